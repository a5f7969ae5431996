//===- Scattering.cpp - writing where an index says ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A unit copies its columns of the destination and then writes to them in the order of
// the index, so that results depend on nothing but the operands. An index that is the
// same for all columns (its strides there are 0) is read once a row.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Keys.h"
#include "runtime/library/Library.h"

#include <algorithm>
#include <cstring>

using namespace tessera::runtime::library;

namespace {

/// What an element becomes when another is written to it.
struct Replace {
  template <typename T> T operator()(T, T given) const { return given; }
};
struct Add {
  template <typename T> T operator()(T held, T given) const {
    if constexpr (std::is_integral_v<T>)
      return T(uint64_t(held) + uint64_t(given)); // wraps
    else
      return held + given;
  }
};
struct Multiply {
  template <typename T> T operator()(T held, T given) const {
    if constexpr (std::is_integral_v<T>)
      return T(uint64_t(held) * uint64_t(given)); // wraps
    else
      return held * given;
  }
};
/// A NaN stays.
struct Minimum {
  template <typename T> T operator()(T held, T given) const {
    auto left = keyOf(held), right = keyOf(given);
    return isNaNKey<T>(right) || (right < left && !isNaNKey<T>(left)) ? given : held;
  }
};
struct Maximum {
  template <typename T> T operator()(T held, T given) const {
    return keyOf(given) > keyOf(held) ? given : held;
  }
};

/// One call: the dimensions before `dim` are outer ones, those behind it columns.
class Scatter {
public:
  Scatter(void *const *buffers, const int64_t *description)
      : call(buffers, description), dest(call[0]), index(call[1]), source(call[2]), out(call[3]),
        dim(call.parameters[0]), block(call.parameters[2]), size(dest.sizes[dim]),
        count(index.sizes[dim]), columns(dest.count(dim + 1, dest.rank)),
        blocks((columns + block - 1) / std::max<int64_t>(block, 1)), destOuter(dest, 0, dim),
        destInner(dest, dim + 1, dest.rank), destSlab(dest, dim, dest.rank),
        indexOuter(index, 0, dim), indexInner(index, dim + 1, index.rank),
        sourceOuter(source, 0, dim), sourceInner(source, dim + 1, source.rank) {}

  TesseraDType dtype() const { return dest.dtype; }
  TesseraScatterMode mode() const { return static_cast<TesseraScatterMode>(call.parameters[1]); }

  template <typename T, typename Combine>
  int32_t run(int64_t begin, int64_t end, Combine combine) const {
    for (int64_t unit = begin; unit < end; ++unit) {
      int64_t outer = unit / blocks, first = unit % blocks * block;
      int64_t last = std::min(first + block, columns);
      copy<T>(outer, first, last);
      if (!(indexInner.isBroadcast() ? writeRows<T>(outer, first, last, combine)
                                     : writeElements<T>(outer, first, last, combine)))
        return TESSERA_INDEX_OUT_OF_RANGE;
    }
    return TESSERA_OK;
  }

private:
  template <typename T> T *slabOf(int64_t outer) const {
    return out.as<T>() + outer * size * columns;
  }
  int64_t indexAt(int64_t offset) const {
    return index.dtype == TESSERA_I64 ? index.as<int64_t>()[offset] : index.as<int32_t>()[offset];
  }
  bool isInside(int64_t position) const { return uint64_t(position) < uint64_t(size); }

  template <typename T>
  static void copyRuns(const Span &span, const T *from, int64_t begin, int64_t end, T *to) {
    span.forEachRun(begin, end, [&](int64_t start, int64_t offset, int64_t length, int64_t stride) {
      if (stride == 1) {
        std::memcpy(to + start, from + offset, length * sizeof(T));
        return;
      }
      for (int64_t i = 0; i < length; ++i)
        to[start + i] = from[offset + i * stride];
    });
  }

  /// The destination's columns [first, last) into the result.
  template <typename T> void copy(int64_t outer, int64_t first, int64_t last) const {
    const T *from = dest.as<T>() + destOuter.at(outer);
    T *to = slabOf<T>(outer);
    if (last - first == columns)
      return copyRuns(destSlab, from, 0, size * columns, to);
    for (int64_t d = 0; d < size; ++d)
      copyRuns(destInner, from + d * dest.strides[dim], first, last, to + d * columns);
  }

  /// One index for all columns.
  template <typename T, typename Combine>
  bool writeRows(int64_t outer, int64_t first, int64_t last, Combine combine) const {
    const T *from = source.as<T>() + sourceOuter.at(outer);
    T *slab = slabOf<T>(outer);
    for (int64_t j = 0, at = indexOuter.at(outer); j < count; ++j, at += index.strides[dim]) {
      int64_t position = indexAt(at);
      if (!isInside(position))
        return false;
      T *to = slab + position * columns;
      const T *row = from + j * source.strides[dim];
      sourceInner.forEachRun(first, last,
                             [&](int64_t start, int64_t offset, int64_t length, int64_t stride) {
                               for (int64_t i = 0; i < length; ++i)
                                 to[start + i] = combine(to[start + i], row[offset + i * stride]);
                             });
    }
    return true;
  }

  /// An index for each element.
  template <typename T, typename Combine>
  bool writeElements(int64_t outer, int64_t first, int64_t last, Combine combine) const {
    const T *from = source.as<T>() + sourceOuter.at(outer);
    T *slab = slabOf<T>(outer);
    for (int64_t j = 0, at = indexOuter.at(outer); j < count; ++j, at += index.strides[dim]) {
      const T *row = from + j * source.strides[dim];
      for (int64_t c = first; c < last; ++c) {
        int64_t position = indexAt(at + indexInner.at(c));
        if (!isInside(position))
          return false;
        T &to = slab[position * columns + c];
        to = combine(to, row[sourceInner.at(c)]);
      }
    }
    return true;
  }

  Call call;
  const View &dest, &index, &source, &out;
  int64_t dim, block, size, count, columns, blocks;
  Span destOuter, destInner, destSlab, indexOuter, indexInner, sourceOuter, sourceInner;
};

/// Sums and products are of numbers; half precision and bool are widened before.
template <typename Combine>
int32_t runArithmetic(const Scatter &scatter, int64_t begin, int64_t end, Combine combine) {
  return withElement(scatter.dtype(), [&](auto element) -> int32_t {
    using T = decltype(element);
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
      return scatter.run<T>(begin, end, combine);
    else
      return TESSERA_INVALID_CALL; // the verifier of graph.scatter lets none through
  });
}

template <typename Combine>
int32_t runComparison(const Scatter &scatter, int64_t begin, int64_t end, Combine combine) {
  return withElement(scatter.dtype(), [&](auto element) {
    return scatter.run<decltype(element)>(begin, end, combine);
  });
}

} // namespace

TESSERA_LIBRARY_FUNCTION(tessera_scatter) {
  Scatter scatter(buffers, description);
  switch (scatter.mode()) {
  case TESSERA_SCATTER_SUM:
    return runArithmetic(scatter, begin, end, Add());
  case TESSERA_SCATTER_PROD:
    return runArithmetic(scatter, begin, end, Multiply());
  case TESSERA_SCATTER_MIN:
    return runComparison(scatter, begin, end, Minimum());
  case TESSERA_SCATTER_MAX:
    return runComparison(scatter, begin, end, Maximum());
  case TESSERA_SCATTER_NONE:
    break;
  }
  return withBits(scatter.dtype(),
                  [&](auto bits) { return scatter.run<decltype(bits)>(begin, end, Replace()); });
}
