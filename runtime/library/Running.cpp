//===- Running.cpp - partial results of rows: sums, products, extrema ------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A row's elements depend on one another, those of different rows do not: rows are
// walked several at a time. Where they lie side by side, that is a pass over memory in
// order; where they lie behind one another, it hides how long an addition takes.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Keys.h"
#include "runtime/library/Library.h"

#include <algorithm>
#include <array>
#include <type_traits>

using namespace tessera::runtime::library;

namespace {

/// Rows of N tensors that lie at one distance: where the first begins, how far it is to the next.
template <size_t N> struct Group {
  int64_t count = 0;
  std::array<int64_t, N> first, apart;
};

/// Rows that neighbours are walked in, and others: those are as many as registers hold, or one.
constexpr int64_t kWide = 512, kNarrow = 4;

template <int64_t value> using Constant = std::integral_constant<int64_t, value>;

/// Calls `visit(group, count, apart)` for groups of the rows [begin, end), which are counted along
/// the dimensions behind `dim`, or where there are none along those before it. How many a group
/// has and how far they are `apart` in tensor i are constants where that makes vectors of
/// neighbours, or keeps partial results in registers.
template <size_t N, typename Visitor>
void forEachGroup(const Call &call, int64_t dim, int64_t begin, int64_t end, Visitor visit) {
  const View &source = call[0];
  bool behind = source.count(dim + 1, source.rank) > 1;
  int64_t from = behind ? dim + 1 : 0, to = behind ? source.rank : dim;
  int64_t period = source.count(from, to);
  while (begin < end) {
    int64_t start = begin / period * period, offset = begin - start;
    Group<N> group;
    group.count = std::min(end - begin, period - offset);
    bool neighbours = true;
    for (size_t i = 0; i < N; ++i) {
      Span span(call[i], from, to);
      group.first[i] = call[i].rowOffset(start, dim) + span.at(offset);
      group.apart[i] = span.lastStride();
      group.count = std::min(group.count, span.runFrom(offset));
      neighbours &= group.apart[i] == 1;
    }
    group.count = std::min(group.count, kWide);
    if (!neighbours)
      group.count = group.count >= kNarrow ? kNarrow : 1;
    begin += group.count;
    auto apart = [&](int64_t i) { return group.apart[i]; };
    if (group.count == 1)
      visit(group, Constant<1>(), apart);
    else if (neighbours)
      visit(group, group.count, [](int64_t) { return Constant<1>(); });
    else
      visit(group, Constant<kNarrow>(), apart);
  }
}

/// What partial results are kept in: PyTorch's choice, and for integers what wraps around.
template <typename T>
using Accumulator = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

template <typename T, typename Combine>
void runReduce(const Call &call, int64_t dim, int64_t begin, int64_t end, Accumulator<T> neutral,
               Combine combine) {
  int64_t length = call[0].sizes[dim];
  forEachGroup<2>(call, dim, begin, end, [&](const Group<2> &group, auto count, auto apart) {
    const T *from = call[0].as<T>() + group.first[0];
    T *to = call[1].as<T>() + group.first[1];
    auto fromApart = apart(0), toApart = apart(1);
    Accumulator<T> partial[kWide];
    std::fill_n(partial, int64_t(count), neutral);
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t row = 0; row < count; ++row) {
        partial[row] = combine(partial[row], static_cast<Accumulator<T>>(from[row * fromApart]));
        to[row * toApart] = static_cast<T>(partial[row]);
      }
      from += call[0].strides[dim];
      to += call[1].strides[dim];
    }
  });
}

/// Whether an element replaces the one that leads so far: a NaN does, and stays.
template <bool greatest, typename T> bool wins(T x, T leader) {
  if constexpr (std::is_arithmetic_v<T>) {
    return (greatest ? x >= leader : x <= leader) || x != x;
  } else {
    auto key = keyOf(x), leading = keyOf(leader);
    if (greatest || isNaNKey<T>(key))
      return key >= leading;
    return !isNaNKey<T>(leading) && key <= leading;
  }
}

template <bool greatest, typename T>
void runExtremum(const Call &call, int64_t dim, int64_t begin, int64_t end) {
  int64_t length = call[0].sizes[dim];
  forEachGroup<3>(call, dim, begin, end, [&](const Group<3> &group, auto count, auto apart) {
    const T *from = call[0].as<T>() + group.first[0];
    T *value = call[1].as<T>() + group.first[1];
    int64_t *index = call[2].as<int64_t>() + group.first[2];
    auto fromApart = apart(0), valueApart = apart(1), indexApart = apart(2);
    T best[kWide];
    int64_t leader[kWide];
    for (int64_t row = 0; row < count && length > 0; ++row)
      best[row] = from[row * fromApart];
    std::fill_n(leader, int64_t(count), 0);
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t row = 0; row < count; ++row) {
        T element = from[row * fromApart];
        bool won = wins<greatest>(element, best[row]);
        best[row] = won ? element : best[row];
        leader[row] = won ? i : leader[row];
        value[row * valueApart] = best[row];
        index[row * indexApart] = leader[row];
      }
      from += call[0].strides[dim];
      value += call[1].strides[dim];
      index += call[2].strides[dim];
    }
  });
}

} // namespace

TESSERA_LIBRARY_FUNCTION(tessera_running_reduce) {
  Call call(buffers, description);
  int64_t dim = call.parameters[0];
  bool product = call.parameters[1];
  withElement(call[0].dtype, [&](auto element) {
    using T = decltype(element);
    if constexpr (std::is_arithmetic_v<T>) {
      if (product)
        runReduce<T>(call, dim, begin, end, 1, [](auto x, auto y) { return x * y; });
      else
        runReduce<T>(call, dim, begin, end, 0, [](auto x, auto y) { return x + y; });
    }
  });
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_running_extremum) {
  Call call(buffers, description);
  int64_t dim = call.parameters[0];
  bool greatest = call.parameters[1];
  withElement(call[0].dtype, [&](auto element) {
    using T = decltype(element);
    if (greatest)
      runExtremum<true, T>(call, dim, begin, end);
    else
      runExtremum<false, T>(call, dim, begin, end);
  });
  return TESSERA_OK;
}
