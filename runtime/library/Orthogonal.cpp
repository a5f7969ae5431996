//===- Orthogonal.cpp - QR by reflections -----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// LAPACK's conventions: a reflection is 1 - tau v vᵀ with v₀ = 1, its vector stands
// below the diagonal of R, and R's diagonal has the sign that loses no digits.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Library.h"
#include "runtime/library/Matrices.h"

#include <algorithm>
#include <cmath>

using namespace tessera::runtime::library;

/// Applies reflection `k` of `packed` to the columns [from, columns) of `a`, in `sums`.
static void reflect(double *a, const double *packed, int64_t packedColumns, double tau, int64_t k,
                    int64_t rows, int64_t columns, int64_t from, double *sums) {
  if (tau == 0)
    return;
  auto vector = [&](int64_t i) { return i == k ? 1.0 : packed[i * packedColumns + k]; };
  std::fill(sums + from, sums + columns, 0.0);
  for (int64_t i = k; i < rows; ++i)
    for (int64_t j = from; j < columns; ++j)
      sums[j] += vector(i) * a[i * columns + j];
  for (int64_t i = k; i < rows; ++i) {
    double factor = tau * vector(i);
    for (int64_t j = from; j < columns; ++j)
      a[i * columns + j] -= factor * sums[j];
  }
}

/// Makes the reflection that leaves one element of column `k` from row `k` on; tau.
static double makeReflection(double *a, int64_t k, int64_t rows, int64_t columns) {
  double scale = 0;
  for (int64_t i = k + 1; i < rows; ++i)
    scale = std::max(scale, std::abs(a[i * columns + k]));
  if (scale == 0)
    return 0;
  double head = a[k * columns + k];
  scale = std::max(scale, std::abs(head));
  double squares = 0;
  for (int64_t i = k; i < rows; ++i) {
    double part = a[i * columns + k] / scale;
    squares += part * part;
  }
  double beta = -std::copysign(scale * std::sqrt(squares), head);
  for (int64_t i = k + 1; i < rows; ++i)
    a[i * columns + k] /= head - beta;
  a[k * columns + k] = beta;
  return (beta - head) / beta;
}

TESSERA_LIBRARY_FUNCTION(tessera_qr) {
  Call call(buffers, description);
  int64_t rows = rowsOf(call[0]), columns = columnsOf(call[0]), count = std::min(rows, columns);
  auto *a = static_cast<double *>(scratch), *tau = a + rows * columns, *sums = tau + count;
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, a);
    for (int64_t k = 0; k < count; ++k) {
      tau[k] = makeReflection(a, k, rows, columns);
      reflect(a, a, columns, tau[k], k, rows, columns, k + 1, sums);
    }
    store(call[1], unit, a);
    store(call[2], unit, tau, 1);
  }
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_householder_product) {
  Call call(buffers, description);
  int64_t rows = rowsOf(call[0]), columns = columnsOf(call[0]), count = columnsOf(call[1]);
  auto *packed = static_cast<double *>(scratch), *q = packed + rows * columns;
  double *tau = q + rows * columns, *sums = tau + count;
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, packed);
    load(call[1], unit, tau, 1);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        q[i * columns + j] = i == j;
    for (int64_t k = count - 1; k >= 0; --k)
      reflect(q, packed, columns, tau[k], k, rows, columns, k, sums);
    store(call[2], unit, q);
  }
  return TESSERA_OK;
}
