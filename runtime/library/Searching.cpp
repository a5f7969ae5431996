//===- Searching.cpp - places in sorted rows -------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Keys.h"
#include "runtime/library/Library.h"

#include <algorithm>

using namespace tessera::runtime::library;

namespace {

/// Whether an element of the sequence comes before `value`: as PyTorch's comparisons have it, a NaN
/// on either side says so, too.
template <typename T> bool comesBefore(T element, T value, bool right) {
  if constexpr (std::is_arithmetic_v<T>) {
    return right ? !(element > value) : !(element >= value);
  } else {
    auto key = keyOf(element), wanted = keyOf(value);
    return isNaNKey<T>(key) || isNaNKey<T>(wanted) || key < wanted || (right && key == wanted);
  }
}

/// Elements of a sorted row before which `value` would not be put.
template <typename T>
int64_t countBefore(const T *row, int64_t length, int64_t stride, T value, bool right) {
  int64_t low = 0;
  while (length > 0) {
    int64_t half = length / 2;
    bool before = comesBefore(row[(low + half) * stride], value, right);
    low = before ? low + half + 1 : low;
    length = before ? length - half - 1 : half;
  }
  return low;
}

/// Places of the values [first, last) of one row.
template <typename T>
void searchRow(const Call &call, int64_t row, int64_t first, int64_t last, bool right) {
  const View &sequence = call[0], &values = call[1], &result = call[2];
  int64_t dim = sequence.rank - 1;
  const T *sorted = sequence.as<T>() + sequence.rowOffset(row, dim);
  const T *wanted = values.as<T>() + values.rowOffset(row, dim);
  int64_t *found = result.as<int64_t>() + result.rowOffset(row, dim);
  int64_t length = sequence.sizes[dim], stride = sequence.strides[dim];
  for (int64_t i = first; i < last; ++i)
    found[i * result.strides[dim]] =
        countBefore(sorted, length, stride, wanted[i * values.strides[dim]], right);
}

} // namespace

TESSERA_LIBRARY_FUNCTION(tessera_search_sorted) {
  Call call(buffers, description);
  const View &values = call[1];
  bool right = call.parameters[0];
  int64_t columns = values.sizes[values.rank - 1];
  withElement(values.dtype, [&](auto element) {
    for (int64_t i = begin; i < end;) {
      int64_t row = i / columns, first = i % columns;
      int64_t last = std::min(columns, first + end - i);
      searchRow<decltype(element)>(call, row, first, last, right);
      i += last - first;
    }
  });
  return TESSERA_OK;
}
