//===- Searching.cpp - running extrema, places in sorted rows --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Keys.h"
#include "runtime/library/Library.h"

using namespace tessera::runtime::library;

namespace {

/// `Wins` says whether an element replaces the one that leads so far.
template <typename T, typename Wins>
void runExtremum(const Call &call, int64_t dim, int64_t row, Wins wins) {
  const View &source = call[0], &values = call[1], &indices = call[2];
  const T *from = source.as<T>() + source.rowOffset(row, dim);
  T *value = values.as<T>() + values.rowOffset(row, dim);
  int64_t *index = indices.as<int64_t>() + indices.rowOffset(row, dim);
  int64_t leader = 0;
  for (int64_t i = 0; i < source.sizes[dim]; ++i) {
    if (wins(keyOf(from[i * source.strides[dim]]), keyOf(from[leader * source.strides[dim]])))
      leader = i;
    value[i * values.strides[dim]] = from[leader * source.strides[dim]];
    index[i * indices.strides[dim]] = leader;
  }
}

/// Elements of a sorted row that come before `value`: for a NaN, and where the search meets one,
/// all up to there, as PyTorch's comparisons have it.
template <typename T>
int64_t countBefore(const T *row, int64_t length, int64_t stride, T value, bool right) {
  auto key = keyOf(value);
  int64_t low = 0, high = length;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    auto found = keyOf(row[middle * stride]);
    if (found < key || (right && found == key) || isNaNKey<T>(found) || isNaNKey<T>(key))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

} // namespace

TESSERA_LIBRARY_FUNCTION(tessera_running_extremum) {
  Call call(buffers, description);
  int64_t dim = call.parameters[0];
  bool greatest = call.parameters[1];
  withElement(call[0].dtype, [&](auto element) {
    using T = decltype(element);
    using Key = KeyOf<T>;
    for (int64_t row = begin; row < end; ++row) {
      if (greatest)
        runExtremum<T>(call, dim, row, [](Key x, Key leader) { return x >= leader; });
      else
        runExtremum<T>(call, dim, row, [](Key x, Key leader) {
          return isNaNKey<T>(x) || (!isNaNKey<T>(leader) && x <= leader);
        });
    }
  });
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_search_sorted) {
  Call call(buffers, description);
  const View &sequence = call[0], &values = call[1], &result = call[2];
  bool right = call.parameters[0];
  int64_t last = sequence.rank - 1, columns = values.sizes[last];
  withElement(sequence.dtype, [&](auto element) {
    using T = decltype(element);
    for (int64_t i = begin; i < end; ++i) {
      int64_t row = i / columns, column = i % columns;
      T value = values.as<T>()[values.rowOffset(row, last) + column * values.strides[last]];
      result.as<int64_t>()[result.rowOffset(row, last) + column * result.strides[last]] =
          countBefore(sequence.as<T>() + sequence.rowOffset(row, last), sequence.sizes[last],
                      sequence.strides[last], value, right);
    }
  });
  return TESSERA_OK;
}
