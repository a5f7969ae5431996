//===- StridedCopyTest.cpp ---------------------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/StridedCopy.h"

#include <cstring>
#include <gtest/gtest.h>

#include <random>

using namespace tessera::runtime;

namespace {

/// Copies by index arithmetic alone.
std::vector<uint8_t> reference(const TensorView &view) {
  int64_t count = 1, width = sizeOf(view.dtype);
  for (int32_t i = 0; i < view.rank; ++i)
    count *= view.sizes[i];
  std::vector<uint8_t> out(size_t(count * width));
  for (int64_t n = 0; n < count; ++n) {
    int64_t rest = n, offset = 0;
    for (int32_t d = view.rank; d-- > 0;) {
      offset += rest % view.sizes[d] * view.strides[d];
      rest /= view.sizes[d];
    }
    std::memcpy(out.data() + n * width, static_cast<char *>(view.data) + offset * width,
                size_t(width));
  }
  return out;
}

void check(DType dtype, std::vector<int64_t> sizes, std::vector<int64_t> strides) {
  int64_t low = 0, high = 0, width = sizeOf(dtype);
  for (size_t i = 0; i < sizes.size(); ++i)
    (strides[i] < 0 ? low : high) += (sizes[i] - 1) * strides[i];
  std::vector<uint8_t> memory(size_t((high - low + 1) * width));
  std::mt19937 random(1);
  for (uint8_t &byte : memory)
    byte = uint8_t(random());
  TensorView view{memory.data() - low * width, dtype, int32_t(sizes.size()), sizes.data(),
                  strides.data()};
  TensorSpec target = TensorSpec::contiguous(dtype, sizes);
  std::vector<uint8_t> expected = reference(view), got(expected.size());
  copyStrided(view, got.data(), target.strides.data());
  EXPECT_EQ(got, expected) << formatShape(sizes) << " strided " << formatShape(strides);
}

} // namespace

TEST(StridedCopy, Layouts) {
  for (DType dtype : {DType::U8, DType::BF16, DType::F32, DType::I64}) {
    check(dtype, {}, {});
    check(dtype, {5}, {1});
    check(dtype, {5}, {3});
    check(dtype, {5}, {0});
    check(dtype, {5}, {-1});
    check(dtype, {7, 9}, {9, 1});
    check(dtype, {33, 70}, {1, 33});
    check(dtype, {100, 17}, {1, 128});
    check(dtype, {4, 33, 70}, {33 * 70, 1, 33});
    check(dtype, {3, 5, 7}, {1, 21, 3});
    check(dtype, {3, 5, 7}, {7, 0, -1});
    check(dtype, {2, 1, 6, 4}, {48, 1000, 8, 2});
    check(dtype, {6, 4}, {-4, 1});
    check(dtype, {6, 5, 4, 3}, {1, 6, 30, 120});
  }
}

TEST(StridedCopy, EmptyTensorsTouchNothing) {
  std::vector<int64_t> sizes{3, 0, 2}, strides{0, 2, 1};
  copyStrided({nullptr, DType::F32, 3, sizes.data(), strides.data()}, nullptr, strides.data());
}

TEST(StridedCopy, WritesStridedTargets) {
  std::vector<float> source{1, 2, 3, 4, 5, 6}, target(6);
  std::vector<int64_t> sizes{2, 3}, from{3, 1}, to{1, 2};
  copyStrided({source.data(), DType::F32, 2, sizes.data(), from.data()}, target.data(), to.data());
  EXPECT_EQ(target, (std::vector<float>{1, 4, 2, 5, 3, 6}));
}
