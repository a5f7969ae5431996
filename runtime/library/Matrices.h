//===- Matrices.h - matrices of a library call in double precision ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A unit of a matrix function is one matrix: the last two dimensions of a view, the
// others being the batch. It is copied into scratch, row by row and in double
// precision, worked on there, and copied out, rounded once.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_LIBRARY_MATRICES_H
#define TESSERA_RUNTIME_LIBRARY_MATRICES_H

#include "runtime/library/Views.h"

namespace tessera::runtime::library {

/// Offset of the first element of unit `unit`, whose last `inner` dimensions are no batch.
inline int64_t unitOffset(const View &view, int64_t unit, int64_t inner) {
  int64_t offset = 0;
  for (int64_t d = view.rank - 1 - inner; d >= 0; --d) {
    offset += unit % view.sizes[d] * view.strides[d];
    unit /= view.sizes[d];
  }
  return offset;
}

inline int64_t rowsOf(const View &view) { return view.sizes[view.rank - 2]; }
inline int64_t columnsOf(const View &view) { return view.sizes[view.rank - 1]; }

/// Calls visit(element, number) for the elements of a unit in row-major order; a vector has one
/// row.
template <typename T, typename Visitor>
void forElements(const View &view, int64_t unit, int64_t inner, Visitor visit) {
  T *data = view.as<T>() + unitOffset(view, unit, inner);
  int64_t rows = inner == 2 ? rowsOf(view) : 1, columns = columnsOf(view);
  int64_t rowStride = inner == 2 ? view.strides[view.rank - 2] : 0;
  int64_t columnStride = view.strides[view.rank - 1];
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      visit(data[i * rowStride + j * columnStride], i * columns + j);
}

/// Copies a unit of f32 or f64 to `to`, and back.
inline void load(const View &view, int64_t unit, double *to, int64_t inner = 2) {
  auto copy = [&](auto &element, int64_t at) { to[at] = static_cast<double>(element); };
  if (view.dtype == TESSERA_F32)
    forElements<float>(view, unit, inner, copy);
  else
    forElements<double>(view, unit, inner, copy);
}
inline void store(const View &view, int64_t unit, const double *from, int64_t inner = 2) {
  auto copy = [&](auto &element, int64_t at) {
    element = static_cast<std::remove_reference_t<decltype(element)>>(from[at]);
  };
  if (view.dtype == TESSERA_F32)
    forElements<float>(view, unit, inner, copy);
  else
    forElements<double>(view, unit, inner, copy);
}

} // namespace tessera::runtime::library

#endif // TESSERA_RUNTIME_LIBRARY_MATRICES_H
