//===- Spectral.cpp - eigenvalues, singular values, exponentials ------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Jacobi's rotations, of a symmetric matrix from both sides and of any other from one
// (M. Hestenes): slower than a tridiagonal form for large matrices, accurate to the
// last digits for all.
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Library.h"
#include "runtime/library/Matrices.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace tessera::runtime::library;

static constexpr double epsilon = std::numeric_limits<double>::epsilon();
static constexpr int maxSweeps = 60;
/// Singular values below are zero: one over them is no number.
static constexpr double smallestValue = 1e-300;

namespace {
struct Rotation {
  double cosine, sine;
};
} // namespace

/// The rotation that makes the symmetric ((p, r), (r, q)) diagonal.
static Rotation diagonalize(double p, double q, double r) {
  double theta = 0.5 * (q - p) / r;
  double tangent = std::copysign(1 / (std::abs(theta) + std::hypot(1, theta)), theta);
  double cosine = 1 / std::hypot(1, tangent);
  return {cosine, tangent * cosine};
}

/// Rotates two vectors of `count` elements, `stride` apart.
static void rotate(double *x, double *y, int64_t count, int64_t stride, Rotation by) {
  for (int64_t i = 0; i < count; ++i) {
    double a = x[i * stride], b = y[i * stride];
    x[i * stride] = by.cosine * a - by.sine * b;
    y[i * stride] = by.sine * a + by.cosine * b;
  }
}

static void setIdentity(double *a, int64_t n) {
  for (int64_t i = 0; i < n * n; ++i)
    a[i] = i % (n + 1) == 0;
}

/// Eigenvalues to the diagonal of `a`, eigenvectors to the rows of `v`.
static void eigenSymmetric(double *a, double *v, int64_t n) {
  setIdentity(v, n);
  for (int sweep = 0; sweep < maxSweeps; ++sweep) {
    bool rotated = false;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        double off = a[p * n + q];
        double scale = std::sqrt(std::abs(a[p * n + p])) * std::sqrt(std::abs(a[q * n + q]));
        if (!(std::abs(off) > std::max(0.1 * epsilon * scale, 1e-300)))
          continue;
        rotated = true;
        Rotation by = diagonalize(a[p * n + p], a[q * n + q], off);
        rotate(a + p, a + q, n, n, by);
        rotate(a + p * n, a + q * n, n, 1, by);
        a[p * n + q] = a[q * n + p] = 0;
        rotate(v + p * n, v + q * n, n, 1, by);
      }
    if (!rotated)
      return;
  }
}

/// Makes the rows of `w` (count × length) orthogonal, and applies the same to the rows of `v`.
static void orthogonalizeRows(double *w, double *v, int64_t count, int64_t length) {
  for (int sweep = 0; sweep < maxSweeps; ++sweep) {
    bool rotated = false;
    for (int64_t p = 0; p < count; ++p)
      for (int64_t q = p + 1; q < count; ++q) {
        double *x = w + p * length, *y = w + q * length;
        double xx = std::inner_product(x, x + length, x, 0.0);
        double yy = std::inner_product(y, y + length, y, 0.0);
        double xy = std::inner_product(x, x + length, y, 0.0);
        if (!(std::abs(xy) > epsilon * std::sqrt(xx) * std::sqrt(yy)) || std::abs(xy) < 1e-300)
          continue;
        rotated = true;
        Rotation by = diagonalize(xx, yy, xy);
        rotate(x, y, length, 1, by);
        rotate(v + p * count, v + q * count, count, 1, by);
      }
    if (!rotated)
      return;
  }
}

/// Makes row `k` a unit vector orthogonal to the unit vectors before it, of which there are fewer
/// than they have elements.
static void completeRow(double *rows, int64_t k, int64_t length) {
  // The axis that lies in their span least.
  int64_t axis = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t j = 0; j < length; ++j) {
    double share = 0;
    for (int64_t i = 0; i < k; ++i)
      share += rows[i * length + j] * rows[i * length + j];
    if (share < least)
      least = share, axis = j;
  }
  double *row = rows + k * length;
  for (int64_t j = 0; j < length; ++j)
    row[j] = j == axis;
  for (int pass = 0; pass < 2; ++pass)
    for (int64_t i = 0; i < k; ++i) {
      const double *other = rows + i * length;
      double share = std::inner_product(row, row + length, other, 0.0);
      for (int64_t j = 0; j < length; ++j)
        row[j] -= share * other[j];
    }
  double size = std::sqrt(std::inner_product(row, row + length, row, 0.0));
  for (int64_t j = 0; j < length; ++j)
    row[j] /= size;
}

/// The numbers below `count` by ascending key.
template <typename Key> static void sortBy(int64_t *order, int64_t count, Key key) {
  std::iota(order, order + count, 0);
  std::sort(order, order + count, [&](int64_t x, int64_t y) {
    double left = key(x), right = key(y);
    return left != right ? left < right : x < y;
  });
}

TESSERA_LIBRARY_FUNCTION(tessera_eigh) {
  Call call(buffers, description);
  bool upper = call.parameters[0];
  int64_t n = columnsOf(call[0]);
  auto *a = static_cast<double *>(scratch), *v = a + n * n, *sorted = v + n * n;
  double *values = sorted + n * n;
  auto *order = reinterpret_cast<int64_t *>(values + n);
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, a);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < i; ++j)
        (upper ? a[i * n + j] : a[j * n + i]) = upper ? a[j * n + i] : a[i * n + j];
    eigenSymmetric(a, v, n);
    sortBy(order, n, [&](int64_t i) { return a[i * (n + 1)]; });
    for (int64_t j = 0; j < n; ++j) {
      values[j] = a[order[j] * (n + 1)];
      for (int64_t i = 0; i < n; ++i)
        sorted[i * n + j] = v[order[j] * n + i];
    }
    store(call[1], unit, values, 1);
    store(call[2], unit, sorted);
  }
  return TESSERA_OK;
}

TESSERA_LIBRARY_FUNCTION(tessera_svd) {
  Call call(buffers, description);
  int64_t rows = rowsOf(call[0]), columns = columnsOf(call[0]);
  int64_t count = std::min(rows, columns), length = std::max(rows, columns);
  bool wide = rows < columns;
  // As rows of `w`: the columns of a tall matrix, the rows of a wide one.
  auto *a = static_cast<double *>(scratch), *w = a + rows * columns, *v = w + rows * columns;
  double *u = v + count * count, *values = u + std::max(rows, columns) * count;
  double *right = values + count;
  auto *order = reinterpret_cast<int64_t *>(right + std::max(rows, columns) * count);
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, a);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t j = 0; j < length; ++j)
        w[i * length + j] = wide ? a[i * columns + j] : a[j * columns + i];
    setIdentity(v, count);
    orthogonalizeRows(w, v, count, length);
    for (int64_t i = 0; i < count; ++i) {
      const double *row = w + i * length;
      values[i] = std::sqrt(std::inner_product(row, row + length, row, 0.0));
    }
    sortBy(order, count, [&](int64_t i) { return -values[i]; });
    // Rows of w are (singular value) · (singular vector). Where the value is zero, any vector
    // will do that is orthogonal to the others.
    for (int64_t k = 0; k < count; ++k) {
      double value = values[order[k]], *longRow = a + k * length;
      const double *scaled = w + order[k] * length, *shortRow = v + order[k] * count;
      for (int64_t j = 0; j < length; ++j)
        longRow[j] = scaled[j] / value;
      if (value < smallestValue)
        completeRow(a, k, length);
      for (int64_t j = 0; j < length; ++j)
        (wide ? right[k * columns + j] : u[j * count + k]) = longRow[j];
      for (int64_t j = 0; j < count; ++j)
        (wide ? u[j * count + k] : right[k * columns + j]) = shortRow[j];
    }
    store(call[1], unit, u);
    store(call[3], unit, right);
    std::sort(values, values + count, [](double x, double y) { return x > y; });
    store(call[2], unit, values, 1);
  }
  return TESSERA_OK;
}

//===----------------------------------------------------------------------===//
// Exponentials
//===----------------------------------------------------------------------===//

/// out = a b, none of which overlap.
static void multiply(const double *a, const double *b, double *out, int64_t n) {
  std::fill(out, out + n * n, 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < n; ++k)
      for (int64_t j = 0; j < n; ++j)
        out[i * n + j] += a[i * n + k] * b[k * n + j];
}

TESSERA_LIBRARY_FUNCTION(tessera_matrix_exp) {
  constexpr int degree = 18; // reaches double precision for norms up to one half
  Call call(buffers, description);
  int64_t n = columnsOf(call[0]), size = n * n;
  auto *a = static_cast<double *>(scratch), *sum = a + size, *term = sum + size,
       *next = term + size;
  for (int64_t unit = begin; unit < end; ++unit) {
    load(call[0], unit, a);
    double norm = 0;
    for (int64_t i = 0; i < n; ++i) {
      double row = 0;
      for (int64_t j = 0; j < n; ++j)
        row += std::abs(a[i * n + j]);
      norm = std::max(norm, row);
    }
    int halvings = 0;
    if (std::isfinite(norm) && norm > 0.5)
      halvings = std::ilogb(norm) + 2;
    for (int64_t i = 0; i < size; ++i)
      a[i] = std::ldexp(a[i], -halvings);
    setIdentity(sum, n);
    setIdentity(term, n);
    for (int k = 1; k <= degree; ++k) {
      multiply(term, a, next, n);
      for (int64_t i = 0; i < size; ++i)
        sum[i] += term[i] = next[i] / k;
    }
    for (int step = 0; step < halvings; ++step) {
      multiply(sum, sum, next, n);
      std::copy(next, next + size, sum);
    }
    store(call[1], unit, sum);
  }
  return TESSERA_OK;
}
