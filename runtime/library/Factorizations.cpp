//===- Factorizations.cpp - triangular factors and what solves by them -----===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// LAPACK's results: pivots are counted from one, and `info` is the first column where
// a factorization breaks down, also counted from one, or zero.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Library.h"
#include "runtime/library/Matrices.h"

#include <cmath>
#include <utility>

using namespace tessera::runtime::library;

//===----------------------------------------------------------------------===//
// On one matrix, row by row
//===----------------------------------------------------------------------===//

/// The lower factor in place of the lower triangle, zeros above it.
static int32_t factorCholesky(double *a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (int64_t k = 0; k < j; ++k)
        sum -= a[i * n + k] * a[j * n + k];
      if (i != j) {
        a[i * n + j] = sum / a[j * n + j];
      } else {
        if (!(sum > 0))
          return static_cast<int32_t>(i + 1);
        a[i * n + i] = std::sqrt(sum);
      }
    }
    for (int64_t j = i + 1; j < n; ++j)
      a[i * n + j] = 0;
  }
  return 0;
}

static void transposeSquare(double *a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < i; ++j)
      std::swap(a[i * n + j], a[j * n + i]);
}

/// Both factors in place, and the row that each step exchanged with its own.
static int32_t factorLU(double *a, int64_t rows, int64_t columns, int32_t *pivots) {
  int32_t info = 0;
  int64_t count = rows < columns ? rows : columns;
  for (int64_t k = 0; k < count; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < rows; ++i)
      if (std::abs(a[i * columns + k]) > std::abs(a[pivot * columns + k]))
        pivot = i;
    pivots[k] = static_cast<int32_t>(pivot + 1);
    if (a[pivot * columns + k] == 0) {
      info = info ? info : static_cast<int32_t>(k + 1);
      continue;
    }
    if (pivot != k)
      for (int64_t j = 0; j < columns; ++j)
        std::swap(a[k * columns + j], a[pivot * columns + j]);
    for (int64_t i = k + 1; i < rows; ++i) {
      double factor = a[i * columns + k] /= a[k * columns + k];
      for (int64_t j = k + 1; j < columns; ++j)
        a[i * columns + j] -= factor * a[k * columns + j];
    }
  }
  return info;
}

/// x of T x = b in place of b, where T is a triangle of `a` or its transpose.
static void solveTriangle(const double *a, double *b, int64_t n, int64_t columns, bool upper,
                          bool transpose, bool unit) {
  // A transposed upper triangle is a lower one.
  bool fromEnd = upper != transpose;
  for (int64_t step = 0; step < n; ++step) {
    int64_t i = fromEnd ? n - 1 - step : step;
    double *row = b + i * columns;
    for (int64_t k = fromEnd ? i + 1 : 0; k < (fromEnd ? n : i); ++k) {
      double factor = transpose ? a[k * n + i] : a[i * n + k];
      for (int64_t j = 0; j < columns; ++j)
        row[j] -= factor * b[k * columns + j];
    }
    if (!unit)
      for (int64_t j = 0; j < columns; ++j)
        row[j] /= a[i * n + i];
  }
}

static void exchangeRows(double *b, const int32_t *pivots, int64_t n, int64_t columns,
                         bool backwards) {
  for (int64_t step = 0; step < n; ++step) {
    int64_t k = backwards ? n - 1 - step : step, other = pivots[k] - 1;
    if (other != k && other >= 0 && other < n)
      for (int64_t j = 0; j < columns; ++j)
        std::swap(b[k * columns + j], b[other * columns + j]);
  }
}

//===----------------------------------------------------------------------===//
// On the units of a call
//===----------------------------------------------------------------------===//

/// Writes a unit of int32.
static void storeIntegers(const View &view, int64_t unit, const int32_t *from, int64_t inner) {
  int32_t *to = view.as<int32_t>() + unitOffset(view, unit, inner);
  int64_t count = inner ? columnsOf(view) : 1, stride = inner ? view.strides[view.rank - 1] : 0;
  for (int64_t i = 0; i < count; ++i)
    to[i * stride] = from[i];
}

TESSERA_LIBRARY_FUNCTION(tessera_cholesky) {
  Call call(buffers, description);
  bool upper = call.parameters[0], checked = call.parameters[1];
  int64_t n = columnsOf(call[0]);
  auto *a = static_cast<double *>(scratch);
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, a);
    if (upper)
      transposeSquare(a, n);
    int32_t info = factorCholesky(a, n);
    if (info && checked)
      return TESSERA_SINGULAR_MATRIX;
    if (upper)
      transposeSquare(a, n);
    store(call[1], unit, a);
    storeIntegers(call[2], unit, &info, 0);
  }
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_lu) {
  Call call(buffers, description);
  bool checked = call.parameters[0];
  int64_t rows = rowsOf(call[0]), columns = columnsOf(call[0]);
  auto *a = static_cast<double *>(scratch);
  auto *pivots = reinterpret_cast<int32_t *>(a + rows * columns);
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, a);
    int32_t info = factorLU(a, rows, columns, pivots);
    if (info && checked)
      return TESSERA_SINGULAR_MATRIX;
    store(call[1], unit, a);
    storeIntegers(call[2], unit, pivots, 1);
    storeIntegers(call[3], unit, &info, 0);
  }
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_lu_solve) {
  Call call(buffers, description);
  bool transpose = call.parameters[0];
  int64_t n = columnsOf(call[0]), columns = columnsOf(call[2]);
  auto *a = static_cast<double *>(scratch), *b = a + n * n;
  auto *pivots = reinterpret_cast<int32_t *>(b + n * columns);
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, a);
    load(call[2], unit, b);
    forElements<int32_t>(call[1], unit, 1,
                         [&](int32_t &element, int64_t at) { pivots[at] = element; });
    if (!transpose)
      exchangeRows(b, pivots, n, columns, false);
    solveTriangle(a, b, n, columns, transpose, transpose, !transpose);
    solveTriangle(a, b, n, columns, !transpose, transpose, transpose);
    if (transpose)
      exchangeRows(b, pivots, n, columns, true);
    store(call[3], unit, b);
  }
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_triangular_solve) {
  Call call(buffers, description);
  bool upper = call.parameters[0], transpose = call.parameters[1],
       unitDiagonal = call.parameters[2];
  int64_t n = columnsOf(call[0]), columns = columnsOf(call[1]);
  auto *a = static_cast<double *>(scratch), *b = a + n * n;
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, a);
    load(call[1], unit, b);
    solveTriangle(a, b, n, columns, upper, transpose, unitDiagonal);
    store(call[2], unit, b);
  }
  return TESSERA_OK;
}
