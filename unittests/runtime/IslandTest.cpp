//===- IslandTest.cpp --------------------------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "unittests/runtime/TestPrograms.h"

#include <gtest/gtest.h>

using namespace tessera::runtime;
using namespace tessera::runtime::test;

namespace {

/// y = island(x + 1) + 1.
std::shared_ptr<Program> around(StorageSpec::Kind before = StorageSpec::Kind::Heap) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({4}));
  int32_t h = before == StorageSpec::Kind::Arena ? b.arena(f32({4})) : b.value(before, f32({4}));
  int32_t i = b.value(StorageSpec::Kind::Island, f32({4}));
  int32_t y = b.value(StorageSpec::Kind::Output, f32({4}));
  int32_t k = b.kernel(addOne, 4, 4);
  b.launch(k, {x}, {h});
  b.island(0, {h}, {i});
  b.launch(k, {i}, {y});
  return b.finish({y});
}

Status tenTimes(std::span<const Tensor> inputs, std::vector<Tensor> &results) {
  Tensor out = Tensor::empty(DType::F32, inputs[0].spec().sizes);
  for (int64_t i = 0; i < out.spec().numElements(); ++i)
    static_cast<float *>(out.data())[i] = 10 * at(inputs[0], i);
  results = {out};
  return Status();
}

} // namespace

TEST(Island, RunsBetweenKernels) {
  for (auto kind : {StorageSpec::Kind::Heap, StorageSpec::Kind::Arena}) {
    Runner run(around(kind));
    run.host.islands = {tenTimes};
    EXPECT_EQ(at(run({filled({4}, 1)})[0], 3), 21);
  }
}

TEST(Island, MayReturnKeepAndMutateWhatItGot) {
  for (auto kind : {StorageSpec::Kind::Heap, StorageSpec::Kind::Arena}) {
    Runner run(around(kind));
    Tensor kept;
    run.host.islands = {[&](std::span<const Tensor> inputs, std::vector<Tensor> &results) {
      kept = inputs[0];
      static_cast<float *>(kept.data())[0] = 50;
      results = {inputs[0]};
      return Status();
    }};
    EXPECT_EQ(at(run({filled({4}, 1)})[0], 0), 51);
    Tensor first = kept;
    EXPECT_EQ(at(run({filled({4}, 7)})[0], 1), 9);
    EXPECT_EQ(at(first, 1), 2);
  }
}

TEST(Island, FailuresComeBackAndLeaveTheProgramUsable) {
  Runner run(around());
  bool fails = true;
  run.host.islands = {[&](std::span<const Tensor> inputs, std::vector<Tensor> &results) {
    return fails ? Status::error(ErrorKind::Host, "the host knows") : tenTimes(inputs, results);
  }};
  Tensor x = filled({4}, 1);
  // The first call also makes the memory all later ones share.
  (void)run({x});
  int64_t before = storageStats().live;
  (void)run({x});
  EXPECT_EQ(run.status.kind(), ErrorKind::Host);
  EXPECT_EQ(storageStats().live, before);
  fails = false;
  EXPECT_EQ(at(run({x})[0], 0), 21);
}

TEST(Island, WrongResultsAreErrors) {
  Runner run(around());
  auto message = [&](std::vector<Tensor> results) {
    run.host.islands = {[&](std::span<const Tensor>, std::vector<Tensor> &out) {
      out = results;
      return Status();
    }};
    (void)run({filled({4}, 1)});
    return run.status.failed() ? run.status.message() : "";
  };
  EXPECT_EQ(message({}), "[net.island] island 0 returned 0 tensors, expected 1");
  EXPECT_NE(message({filled({5}, 1)})
                .find("returned float32 (5,) as result 0, compiled for float32 (4,)"),
            std::string::npos);
  EXPECT_NE(message({Tensor::empty(DType::I64, {4})}).find("int64 (4,)"), std::string::npos);
  EXPECT_EQ(message({filled({4}, 1)}), "");
}

TEST(Island, StridedResultsAreCopied) {
  Runner run(around());
  run.host.islands = {[](std::span<const Tensor>, std::vector<Tensor> &results) {
    Tensor wide = tensorOf<float>(DType::F32, {8}, {0, 9, 1, 9, 2, 9, 3, 9});
    auto spec = std::make_shared<TensorSpec>(TensorSpec{DType::F32, {4}, {2}});
    results = {Tensor(wide.owner(), wide.data(), spec)};
    return Status();
  }};
  EXPECT_EQ(at(run({filled({4}, 1)})[0], 3), 4);
}

TEST(Island, SeesInputsParametersAndConstants) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({2})), w = b.parameter("w", f32({2}));
  int32_t c = b.constant<float>(f32({2}), {7, 8});
  int32_t y = b.value(StorageSpec::Kind::Island, f32({2}));
  b.island(0, {x, w, c}, {y});
  Tensor weight = filled({2}, 3);
  Runner run(b.finish({y}), 1, {weight});
  Tensor input = filled({2}, 1);
  run.host.islands = {[&](std::span<const Tensor> inputs, std::vector<Tensor> &results) {
    EXPECT_EQ(inputs[0].data(), input.data());
    EXPECT_EQ(inputs[1].data(), weight.data());
    EXPECT_EQ(at(inputs[2], 1), 8);
    static_cast<float *>(inputs[2].data())[1] = 100;
    results = {inputs[1]};
    return Status();
  }};
  EXPECT_EQ(run({input})[0].data(), weight.data());
  (void)run({input});
}

TEST(Island, HeapStoragesAreFreedAfterTheirLastUse) {
  ProgramBuilder b;
  int32_t x = b.input("x", f32({100000}));
  int32_t h = b.value(StorageSpec::Kind::Heap, f32({100000}));
  int32_t i = b.value(StorageSpec::Kind::Island, f32({1}));
  int32_t j = b.value(StorageSpec::Kind::Island, f32({1}));
  b.launch(b.kernel(addOne, 100000, 100000), {x}, {h});
  b.island(0, {h}, {i});
  b.island(1, {i}, {j});
  Runner run(b.finish({j}));
  int64_t during = 0, after = 0;
  run.host.islands = {[&](std::span<const Tensor>, std::vector<Tensor> &results) {
                        during = storageStats().live;
                        results = {filled({1}, 1)};
                        return Status();
                      },
                      [&](std::span<const Tensor>, std::vector<Tensor> &results) {
                        after = storageStats().live;
                        results = {filled({1}, 2)};
                        return Status();
                      }};
  EXPECT_EQ(at(run({filled({100000}, 0)})[0], 0), 2);
  // The heap storage is gone; the first island's result has come instead.
  EXPECT_EQ(after, during);
}
