//===- Scattering.cpp - writing where an index says ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A unit copies its part of the destination and then writes to it in the order of the
// index, so that results depend on nothing but the operands. An index that is the same
// for all columns (its strides there are 0) is read once a row.
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

/// One call: the dimensions before `dim` are outer ones, those behind it columns. A unit is a block
/// of rows and columns at one outer place: it walks the whole index and writes what is its own.
class Scatter {
public:
  Scatter(void *const *buffers, const int64_t *description)
      : call(buffers, description), dest(call[0]), index(call[1]), source(call[2]), out(call[3]),
        dim(call.parameters[0]), rowBlock(call.parameters[2]), columnBlock(call.parameters[3]),
        size(dest.sizes[dim]), count(index.sizes[dim]), columns(dest.count(dim + 1, dest.rank)),
        rowBlocks(blocksOf(size, rowBlock)), columnBlocks(blocksOf(columns, columnBlock)),
        destOuter(dest, 0, dim), destInner(dest, dim + 1, dest.rank),
        destSlab(dest, dim, dest.rank), indexOuter(index, 0, dim),
        indexInner(index, dim + 1, index.rank), sourceOuter(source, 0, dim),
        sourceInner(source, dim + 1, source.rank) {}

  TesseraDType dtype() const { return dest.dtype; }
  TesseraScatterMode mode() const { return static_cast<TesseraScatterMode>(call.parameters[1]); }

  template <typename T, typename Combine>
  int32_t run(int64_t begin, int64_t end, Combine combine) const {
    bool good = true;
    for (int64_t unit = begin; unit < end && good; ++unit) {
      Block block = blockOf(unit);
      copy<T>(block);
      good = index.dtype == TESSERA_I64 ? write<T, int64_t>(block, combine)
                                        : write<T, int32_t>(block, combine);
    }
    return good ? TESSERA_OK : TESSERA_INDEX_OUT_OF_RANGE;
  }

private:
  struct Block {
    int64_t outer, firstRow, lastRow, first, last; ///< columns [first, last)
  };

  static int64_t blocksOf(int64_t size, int64_t block) {
    return (std::max<int64_t>(size, 1) + block - 1) / block;
  }
  Block blockOf(int64_t unit) const {
    int64_t column = unit % columnBlocks * columnBlock;
    int64_t row = unit / columnBlocks % rowBlocks * rowBlock;
    return {unit / columnBlocks / rowBlocks, row, std::min(row + rowBlock, size), column,
            std::min(column + columnBlock, columns)};
  }
  template <typename T> T *slabOf(const Block &block) const {
    return out.as<T>() + block.outer * size * columns;
  }
  bool isInside(int64_t position) const { return uint64_t(position) < uint64_t(size); }
  static bool isOwn(const Block &block, int64_t position) {
    return position >= block.firstRow && position < block.lastRow;
  }

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

  /// The destination's part of the block into the result.
  template <typename T> void copy(const Block &block) const {
    const T *from = dest.as<T>() + destOuter.at(block.outer);
    T *to = slabOf<T>(block);
    if (block.last - block.first == columns)
      return copyRuns(destSlab, from, block.firstRow * columns, block.lastRow * columns, to);
    for (int64_t row = block.firstRow; row < block.lastRow; ++row)
      copyRuns(destInner, from + row * dest.strides[dim], block.first, block.last,
               to + row * columns);
  }

  template <typename T, typename Index, typename Combine>
  bool write(const Block &block, Combine combine) const {
    if (columns == 1)
      return writeVector<T, Index>(block, combine);
    if (indexInner.isBroadcast())
      return writeRows<T, Index>(block, combine);
    return writeElements<T, Index>(block, combine);
  }

  /// No columns at all.
  template <typename T, typename Index, typename Combine>
  bool writeVector(const Block &block, Combine combine) const {
    const T *from = source.as<T>() + sourceOuter.at(block.outer);
    const Index *places = index.as<Index>() + indexOuter.at(block.outer);
    T *to = slabOf<T>(block);
    int64_t step = index.strides[dim], stride = source.strides[dim];
    bool whole = block.lastRow - block.firstRow == size;
    for (int64_t j = 0; j < count; ++j) {
      int64_t position = places[j * step];
      if (!isInside(position))
        return false;
      if (whole || isOwn(block, position))
        to[position] = combine(to[position], from[j * stride]);
    }
    return true;
  }

  /// One index for all columns.
  template <typename T, typename Index, typename Combine>
  bool writeRows(const Block &block, Combine combine) const {
    const T *from = source.as<T>() + sourceOuter.at(block.outer);
    const Index *places = index.as<Index>() + indexOuter.at(block.outer);
    T *slab = slabOf<T>(block);
    int64_t step = index.strides[dim];
    const Index *place = places;
    for (int64_t j = 0, end = count, rows = size; j < end; ++j, place += step) {
      int64_t position = *place;
      if (uint64_t(position) >= uint64_t(rows))
        return false;
      if (!isOwn(block, position))
        continue;
      T *to = slab + position * columns;
      const T *row = from + j * source.strides[dim];
      sourceInner.forEachRun(block.first, block.last,
                             [&](int64_t start, int64_t offset, int64_t length, int64_t stride) {
                               if (stride == 1)
                                 for (int64_t i = 0; i < length; ++i)
                                   to[start + i] = combine(to[start + i], row[offset + i]);
                               else
                                 for (int64_t i = 0; i < length; ++i)
                                   to[start + i] = combine(to[start + i], row[offset + i * stride]);
                             });
    }
    return true;
  }

  /// An index for each element.
  template <typename T, typename Index, typename Combine>
  bool writeElements(const Block &block, Combine combine) const {
    const T *from = source.as<T>() + sourceOuter.at(block.outer);
    const Index *places = index.as<Index>() + indexOuter.at(block.outer);
    T *slab = slabOf<T>(block);
    for (int64_t j = 0; j < count; ++j) {
      const T *row = from + j * source.strides[dim];
      const Index *wanted = places + j * index.strides[dim];
      for (int64_t c = block.first; c < block.last; ++c) {
        int64_t position = wanted[indexInner.at(c)];
        if (!isInside(position))
          return false;
        if (!isOwn(block, position))
          continue;
        T &to = slab[position * columns + c];
        to = combine(to, row[sourceInner.at(c)]);
      }
    }
    return true;
  }

  Call call;
  const View &dest, &index, &source, &out;
  int64_t dim, rowBlock, columnBlock, size, count, columns, rowBlocks, columnBlocks;
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
