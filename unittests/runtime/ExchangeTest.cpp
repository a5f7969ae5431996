//===- ExchangeTest.cpp ------------------------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Exchange.h"

#include <gtest/gtest.h>

using namespace tessera::runtime;
using namespace tessera::runtime::dlpack;

namespace {

constexpr DType kAll[] = {DType::Bool, DType::U8,  DType::I8,   DType::I16, DType::I32,
                          DType::I64,  DType::F16, DType::BF16, DType::F32, DType::F64};

/// A producer whose tensor can be bent out of shape.
struct Producer {
  int64_t shape[2] = {2, 3}, strides[2] = {3, 1};
  float data[6] = {};
  int deleted = 0;
  DLManagedTensorVersioned managed{};

  Producer() {
    managed.version = {1, 0};
    managed.manager_ctx = this;
    managed.deleter = [](DLManagedTensorVersioned *self) {
      ++static_cast<Producer *>(self->manager_ctx)->deleted;
    };
    managed.dl_tensor = {data, {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, shape, strides, 0};
  }
  Status import() {
    Tensor tensor;
    return importDLPack(&managed, tensor);
  }
};

} // namespace

TEST(Exchange, RoundTripSharesMemory) {
  for (DType dtype : kAll) {
    int64_t before = storageStats().live;
    {
      Tensor tensor = Tensor::empty(dtype, {2, 3});
      void *data = tensor.data();
      DLManagedTensorVersioned *managed = exportDLPack(std::move(tensor));
      Tensor back;
      ASSERT_FALSE(importDLPack(managed, back).failed());
      EXPECT_EQ(back.data(), data);
      EXPECT_EQ(back.spec().dtype, dtype);
      EXPECT_EQ(back.spec().sizes, (std::vector<int64_t>{2, 3}));
    }
    EXPECT_EQ(storageStats().live, before);
  }
}

TEST(Exchange, LegacyRoundTrip) {
  Tensor back;
  DLManagedTensor *managed = exportLegacyDLPack(Tensor::empty(DType::I16, {4}));
  managed->dl_tensor.strides = nullptr;
  ASSERT_FALSE(importDLPack(managed, back).failed());
  EXPECT_EQ(back.spec().strides, (std::vector<int64_t>{1}));
}

TEST(Exchange, OffsetsAndStridesAreKept) {
  Producer producer;
  producer.managed.dl_tensor.byte_offset = 4;
  producer.strides[0] = 1;
  producer.strides[1] = 2;
  {
    Tensor tensor;
    ASSERT_FALSE(importDLPack(&producer.managed, tensor).failed());
    EXPECT_EQ(tensor.data(), producer.data + 1);
    EXPECT_EQ(tensor.spec().strides, (std::vector<int64_t>{1, 2}));
    EXPECT_EQ(producer.deleted, 0);
  }
  EXPECT_EQ(producer.deleted, 1);
}

TEST(Exchange, ReadOnlyTravels) {
  Producer producer;
  producer.managed.flags = kFlagReadOnly;
  Tensor tensor;
  ASSERT_FALSE(importDLPack(&producer.managed, tensor).failed());
  EXPECT_TRUE(tensor.readOnly());
  DLManagedTensorVersioned *again = exportDLPack(tensor);
  EXPECT_EQ(again->flags, kFlagReadOnly);
  again->deleter(again);
}

TEST(Exchange, EmptyAndScalarTensors) {
  Producer empty;
  empty.shape[0] = 0;
  empty.managed.dl_tensor.data = nullptr;
  EXPECT_FALSE(empty.import().failed());
  Producer scalar;
  scalar.managed.dl_tensor.ndim = 0;
  scalar.managed.dl_tensor.shape = scalar.managed.dl_tensor.strides = nullptr;
  EXPECT_FALSE(scalar.import().failed());
}

TEST(Exchange, BadTensorsAreRefusedAndGivenBack) {
  auto refuses = [](auto bend, const char *text) {
    Producer producer;
    bend(producer);
    Status status = producer.import();
    ASSERT_TRUE(status.failed()) << text;
    EXPECT_NE(status.message().find(text), std::string::npos) << status.message();
    EXPECT_EQ(producer.deleted, 1) << text;
  };
  refuses([](Producer &p) { p.managed.dl_tensor.device = {kDLCUDA, 1}; }, "device cuda:1");
  refuses([](Producer &p) { p.managed.dl_tensor.dtype = {kDLComplex, 64, 1}; }, "complex64");
  refuses([](Producer &p) { p.managed.dl_tensor.dtype.lanes = 4; }, "float32x4");
  refuses([](Producer &p) { p.managed.dl_tensor.dtype = {200, 3, 1}; }, "type code 200");
  refuses([](Producer &p) { p.managed.version.major = 7; }, "DLPack 7.0");
  refuses([](Producer &p) { p.managed.dl_tensor.ndim = -2; }, "-2 dimensions");
  refuses([](Producer &p) { p.managed.dl_tensor.ndim = 1000; }, "1000 dimensions");
  refuses([](Producer &p) { p.managed.dl_tensor.shape = nullptr; }, "no shape");
  refuses([](Producer &p) { p.shape[1] = -3; }, "negative size: (2, -3)");
  refuses([](Producer &p) { p.managed.dl_tensor.data = nullptr; }, "no data");
}

TEST(Exchange, ProducersWithoutDeleter) {
  Producer producer;
  producer.managed.deleter = nullptr;
  EXPECT_FALSE(producer.import().failed());
}
