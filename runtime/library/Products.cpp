//===- Products.cpp - products of matrices whose sizes the data says -------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Products over groups of rows, or of the summed dimension, that end where a tensor
// says. Tiles of both operands are packed and multiplied by a kernel with its sums in
// registers; a group of few rows reads the right operand where it lies, once. Sums are
// in f32, or in f64 for f64, and leave the registers every `kDepth` products, so that
// rounding stays that of short sums.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Library.h"
#include "runtime/library/Views.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

using namespace tessera::runtime::library;

namespace {

constexpr int64_t kRows = 64, kDepth = 256, kColumns = TESSERA_GROUPED_COLUMNS;
/// Rows of a register tile; it is two vectors wide.
constexpr int64_t kTileRows = 8;
/// Groups of fewer rows are not worth packing the right operand for.
constexpr int64_t kFewRows = 4;

// Stands in each function below, so that the code of every machine holds it inline.
#define TESSERA_INLINE [[gnu::always_inline]] inline

// --- elements --------------------------------------------------------------------------

template <typename T> using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename Sum, int64_t Lanes> struct VectorOf {
  typedef Sum Type __attribute__((ext_vector_type(Lanes), aligned(alignof(Sum))));
};
template <typename Sum, int64_t Lanes> using Vector = typename VectorOf<Sum, Lanes>::Type;

template <typename T> TESSERA_INLINE SumOf<T> widen(T x) {
  if constexpr (std::is_same_v<T, Half>)
    return static_cast<float>(std::bit_cast<_Float16>(x.bits));
  else if constexpr (std::is_same_v<T, BFloat>)
    return std::bit_cast<float>(uint32_t(x.bits) << 16);
  else
    return x;
}

template <typename T> TESSERA_INLINE T narrow(SumOf<T> x) {
  if constexpr (std::is_same_v<T, Half>) {
    return {std::bit_cast<uint16_t>(static_cast<_Float16>(x))};
  } else if constexpr (std::is_same_v<T, BFloat>) {
    auto bits = std::bit_cast<uint32_t>(x);
    if ((bits & 0x7fffffff) > 0x7f800000)
      return {0x7fc0};
    return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
  } else {
    return x;
  }
}

/// `Lanes` neighbours.
template <int64_t Lanes, typename T>
TESSERA_INLINE Vector<SumOf<T>, Lanes> loadVector(const T *from) {
  Vector<SumOf<T>, Lanes> loaded;
  if constexpr (std::is_same_v<T, Half>) {
    typedef _Float16 Halves __attribute__((ext_vector_type(Lanes), aligned(2)));
    loaded = __builtin_convertvector(*reinterpret_cast<const Halves *>(from), decltype(loaded));
  } else if constexpr (std::is_same_v<T, BFloat>) {
    typedef uint16_t Bits __attribute__((ext_vector_type(Lanes), aligned(2)));
    typedef uint32_t Words __attribute__((ext_vector_type(Lanes)));
    Words words = __builtin_convertvector(*reinterpret_cast<const Bits *>(from), Words) << 16;
    std::memcpy(&loaded, &words, sizeof loaded);
  } else {
    loaded = *reinterpret_cast<const Vector<T, Lanes> *>(from);
  }
  return loaded;
}

/// The sum of all lanes, halves first.
template <typename Sum, int64_t Lanes> TESSERA_INLINE Sum total(Vector<Sum, Lanes> lanes) {
  if constexpr (Lanes == 2) {
    return lanes[0] + lanes[1];
  } else {
    Vector<Sum, Lanes / 2> low = lanes.lo, high = lanes.hi;
    return total<Sum, Lanes / 2>(low + high);
  }
}

// --- one product -----------------------------------------------------------------------

/// A matrix in memory.
template <typename T> struct Matrix {
  T *data;
  int64_t row, column; ///< strides

  T &at(int64_t i, int64_t j) const { return data[i * row + j * column]; }
  Matrix from(int64_t i, int64_t j) const { return {&at(i, j), row, column}; }
};

/// What a call of a unit works in; `Sum` is the type of its numbers.
template <typename Sum> struct Scratch {
  Sum *left, *right, *sums;
};

/// `count` × `depth` of the left operand: the rows of a tile beside one another.
template <int64_t Rows, typename T>
TESSERA_INLINE void packLeft(Matrix<const T> from, int64_t depth, SumOf<T> *to) {
  for (int64_t i = 0; i < Rows; ++i)
    for (int64_t k = 0; k < depth; ++k)
      to[k * Rows + i] = widen(from.at(i, k));
}

/// `depth` × `columns` of the right operand, panels of `width` columns, with zeros behind the last.
template <typename T>
TESSERA_INLINE void packRight(Matrix<const T> from, int64_t depth, int64_t columns, int64_t width,
                              SumOf<T> *to) {
  constexpr int64_t strip = 16; // so that what a line of memory holds is used while it is there
  for (int64_t j = 0; j < columns; j += width, to += depth * width) {
    int64_t filled = std::min(width, columns - j);
    if (filled < width)
      std::fill_n(to, depth * width, SumOf<T>(0));
    for (int64_t k = 0; k < depth; k += strip) {
      int64_t last = std::min(depth, k + strip);
      if (from.column == 1) {
        for (int64_t d = k; d < last; ++d)
          for (int64_t c = 0; c < filled; ++c)
            to[d * width + c] = widen(from.at(d, j + c));
      } else {
        for (int64_t c = 0; c < filled; ++c)
          for (int64_t d = k; d < last; ++d)
            to[d * width + c] = widen(from.at(d, j + c));
      }
    }
  }
}

/// Adds the product of a packed tile and a packed panel to `sums`.
template <int64_t Rows, int64_t Lanes, typename Sum>
TESSERA_INLINE void multiplyTile(const Sum *left, const Sum *right, int64_t depth, Sum *sums) {
  using Lane = Vector<Sum, Lanes>;
  Lane low[Rows], high[Rows];
  for (int64_t i = 0; i < Rows; ++i)
    low[i] = high[i] = Lane(Sum(0));
  for (int64_t k = 0; k < depth; ++k, left += Rows, right += 2 * Lanes) {
    Lane first = loadVector<Lanes>(right), second = loadVector<Lanes>(right + Lanes);
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < Rows; ++i) {
      low[i] += Lane(left[i]) * first;
      high[i] += Lane(left[i]) * second;
    }
  }
  for (int64_t i = 0; i < Rows; ++i) {
    auto *row = reinterpret_cast<Lane *>(sums + i * kColumns);
    row[0] += low[i];
    *reinterpret_cast<Lane *>(sums + i * kColumns + Lanes) += high[i];
  }
}

/// All panels of a block for `Rows` rows from `first` on.
template <int64_t Rows, int64_t Lanes, typename T>
TESSERA_INLINE void multiplyRows(Matrix<const T> left, int64_t depth, int64_t columns,
                                 const Scratch<SumOf<T>> &scratch, int64_t first) {
  packLeft<Rows>(left.from(first, 0), depth, scratch.left);
  for (int64_t j = 0; j < columns; j += 2 * Lanes)
    multiplyTile<Rows, Lanes>(scratch.left, scratch.right + j * depth, depth,
                              scratch.sums + first * kColumns + j);
}

template <typename T>
TESSERA_INLINE void storeSums(const SumOf<T> *sums, Matrix<T> to, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      to.at(i, j) = narrow<T>(sums[i * kColumns + j]);
}

template <int64_t Lanes, typename T>
TESSERA_INLINE void multiplyPacked(Matrix<const T> left, Matrix<const T> right, Matrix<T> result,
                                   int64_t rows, int64_t depth, int64_t columns,
                                   const Scratch<SumOf<T>> &scratch) {
  for (int64_t top = 0; top < rows; top += kRows) {
    int64_t height = std::min(kRows, rows - top);
    std::fill_n(scratch.sums, height * kColumns, SumOf<T>(0));
    for (int64_t k = 0; k < depth; k += kDepth) {
      int64_t run = std::min(kDepth, depth - k), i = 0;
      packRight(right.from(k, 0), run, columns, 2 * Lanes, scratch.right);
      Matrix<const T> block = left.from(top, k);
      for (; i + kTileRows <= height; i += kTileRows)
        multiplyRows<kTileRows, Lanes>(block, run, columns, scratch, i);
      for (; i + 4 <= height; i += 4)
        multiplyRows<4, Lanes>(block, run, columns, scratch, i);
      for (; i < height; ++i)
        multiplyRows<1, Lanes>(block, run, columns, scratch, i);
    }
    storeSums(scratch.sums, result.from(top, 0), height, columns);
  }
}

/// For a few rows and a right operand whose columns are contiguous: each is read once.
template <int64_t Lanes, typename T>
TESSERA_INLINE void multiplyColumns(Matrix<const T> left, Matrix<const T> right, Matrix<T> result,
                                    int64_t rows, int64_t depth, int64_t columns,
                                    const Scratch<SumOf<T>> &scratch) {
  using Sum = SumOf<T>;
  using Lane = Vector<Sum, Lanes>;
  std::fill_n(scratch.sums, rows * kColumns, Sum(0));
  for (int64_t k = 0; k < depth; k += kDepth) {
    int64_t run = std::min(kDepth, depth - k);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t d = 0; d < run; ++d)
        scratch.left[i * kDepth + d] = widen(left.at(i, k + d));
    for (int64_t j = 0; j < columns; ++j) {
      const T *column = &right.at(k, j);
      Lane sums[kFewRows] = {};
      int64_t d = 0;
      for (; d + Lanes <= run; d += Lanes) {
        Lane factor = loadVector<Lanes>(column + d);
        for (int64_t i = 0; i < rows; ++i)
          sums[i] += factor * loadVector<Lanes>(scratch.left + i * kDepth + d);
      }
      for (int64_t i = 0; i < rows; ++i) {
        Sum sum = total<Sum, Lanes>(sums[i]);
        for (int64_t rest = d; rest < run; ++rest)
          sum += widen(column[rest]) * scratch.left[i * kDepth + rest];
        scratch.sums[i * kColumns + j] += sum;
      }
    }
  }
  storeSums(scratch.sums, result, rows, columns);
}

// --- groups ----------------------------------------------------------------------------

int64_t endOf(const View &ends, int64_t group) {
  int64_t at = group * ends.strides[0];
  return ends.dtype == TESSERA_I32 ? ends.as<int32_t>()[at] : ends.as<int64_t>()[at];
}

template <typename T> Matrix<T> matrixOf(const View &view, int64_t unit = 0) {
  int64_t rank = view.rank;
  return {view.as<T>() + (rank == 3 ? unit * view.strides[0] : 0), view.strides[rank - 2],
          view.strides[rank - 1]};
}

/// Rows [from, to) of all columns from `first` on, of group `group`.
template <int64_t Bytes, typename T>
TESSERA_INLINE void runGroups(const Call &call, void *memory, int64_t begin, int64_t end) {
  using Sum = SumOf<T>;
  constexpr int64_t lanes = Bytes / int64_t(sizeof(Sum));
  const View &left = call[0], &right = call[1], &ends = call[2], &out = call[3];
  Sum *space = static_cast<Sum *>(memory);
  Scratch<Sum> scratch{space, space + kTileRows * kDepth, nullptr};
  scratch.sums = scratch.right + kDepth * kColumns;
  bool splitsDepth = right.rank == 2;
  int64_t groups = ends.sizes[0], columns = right.sizes[right.rank - 1];
  int64_t blocks = (columns + kColumns - 1) / kColumns;
  for (int64_t unit = begin; unit < end; ++unit) {
    int64_t first = unit % blocks * kColumns, width = std::min(kColumns, columns - first);
    int64_t from = splitsDepth ? unit / blocks : 0, to = splitsDepth ? from + 1 : groups;
    for (int64_t group = from; group < to; ++group) {
      int64_t start = group == 0 ? 0 : endOf(ends, group - 1), stop = endOf(ends, group);
      Matrix<const T> a = matrixOf<const T>(left), b = matrixOf<const T>(right, group);
      Matrix<T> c = matrixOf<T>(out, group);
      int64_t rows = left.sizes[0], depth = left.sizes[1];
      if (splitsDepth) {
        a = a.from(0, start), b = b.from(start, first), c = c.from(0, first);
        depth = stop - start;
      } else {
        a = a.from(start, 0), b = b.from(0, first), c = c.from(start, first);
        rows = stop - start;
      }
      if (b.row == 1 && rows <= kFewRows)
        multiplyColumns<lanes>(a, b, c, rows, depth, width, scratch);
      else
        multiplyPacked<lanes>(a, b, c, rows, depth, width, scratch);
    }
    if (splitsDepth)
      continue;
    // Rows of no group are zero.
    Matrix<T> rest = matrixOf<T>(out);
    for (int64_t i = groups == 0 ? 0 : endOf(ends, groups - 1); i < left.sizes[0]; ++i)
      for (int64_t j = first; j < first + width; ++j)
        rest.at(i, j) = narrow<T>(0);
  }
}

template <int64_t Bytes>
TESSERA_INLINE void runTyped(const Call &call, void *memory, int64_t begin, int64_t end) {
  switch (call[0].dtype) {
  case TESSERA_F16:
    return runGroups<Bytes, Half>(call, memory, begin, end);
  case TESSERA_BF16:
    return runGroups<Bytes, BFloat>(call, memory, begin, end);
  case TESSERA_F64:
    return runGroups<Bytes, double>(call, memory, begin, end);
  default:
    return runGroups<Bytes, float>(call, memory, begin, end);
  }
}

using Run = void (*)(const Call &, void *, int64_t, int64_t);

[[gnu::target("avx512f,avx512bw,avx512vl,fma,f16c")]] void runAvx512(const Call &call, void *memory,
                                                                     int64_t begin, int64_t end) {
  runTyped<64>(call, memory, begin, end);
}
[[gnu::target("avx2,fma,f16c")]] void runAvx2(const Call &call, void *memory, int64_t begin,
                                              int64_t end) {
  runTyped<32>(call, memory, begin, end);
}
void runAny(const Call &call, void *memory, int64_t begin, int64_t end) {
  runTyped<16>(call, memory, begin, end);
}

Run choose() {
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return runAvx512;
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? runAvx2 : runAny;
}

} // namespace

TESSERA_LIBRARY_FUNCTION(tessera_grouped_matmul) {
  static const Run run = choose();
  Call call(buffers, description);
  const View &left = call[0], &right = call[1], &ends = call[2];
  int64_t last = 0, limit = left.sizes[right.rank == 2 ? 1 : 0];
  for (int64_t group = 0; group < ends.sizes[0]; ++group) {
    int64_t next = endOf(ends, group);
    if (next < last || next > limit)
      return TESSERA_INDEX_OUT_OF_RANGE;
    last = next;
  }
  run(call, scratch, begin, end);
  return TESSERA_OK;
}
