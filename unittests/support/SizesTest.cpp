//===- SizesTest.cpp - sizes, strides and bytes ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/support/Sizes.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace tessera;

namespace {

using Sizes = SmallVector<int64_t>;

TEST(Sizes, StridesOfNothingAndOfPoints) {
  EXPECT_EQ(rowMajorStrides({}), Sizes{});
  EXPECT_EQ(rowMajorStrides({5}), Sizes{1});
  EXPECT_EQ(rowMajorStrides({2, 3, 4}), (Sizes{12, 4, 1}));
  EXPECT_EQ(productOf({}), 1);
  EXPECT_EQ(productOf({2, 3, 4}), 24);
}

TEST(Sizes, ASizeOfZeroCountsAsOneInStridesOnly) {
  EXPECT_EQ(rowMajorStrides({2, 0, 4}), (Sizes{4, 4, 1}));
  EXPECT_EQ(productOf({2, 0, 4}), 0);
}

TEST(Sizes, BitsTakeBytes) {
  MLIRContext context;
  Type bit = IntegerType::get(&context, 1), half = BFloat16Type::get(&context);
  EXPECT_EQ(byteWidth(bit), 1);
  EXPECT_EQ(byteWidth(half), 2);
  EXPECT_EQ(byteSize(RankedTensorType::get({3, 5}, bit)), 15);
  EXPECT_EQ(byteSize(MemRefType::get({3, 5}, half)), 30);
  EXPECT_EQ(byteSize(RankedTensorType::get({}, half)), 2);
  EXPECT_EQ(byteSize(RankedTensorType::get({0, 4}, half)), 0);
}

TEST(Sizes, PowersOfTwo) {
  EXPECT_EQ(powerOfTwoCeil(0), 1);
  EXPECT_EQ(powerOfTwoCeil(1), 1);
  EXPECT_EQ(powerOfTwoCeil(9), 16);
  EXPECT_EQ(powerOfTwoCeil(16), 16);
}

} // namespace
