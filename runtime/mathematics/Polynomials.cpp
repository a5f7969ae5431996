//===- Polynomials.cpp - orthogonal polynomials ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// By their recurrences; Chebyshev's of high degree by trigonometry where that
// holds. A negative degree gives zero, as in PyTorch.
//
//===----------------------------------------------------------------------===//

#include "runtime/mathematics/Mathematics.h"

#include <cmath>
#include <cstdint>
#include <limits>

using namespace tessera;

static constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

/// The degree; numbers beyond int64 have no meaning in PyTorch either.
static int64_t degree(double n) {
  if (!(n > -0x1p63 && n < 0x1p63))
    return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(n);
}

/// `second` after `first`, n times more by next(k, last, before) for k = 2, 3, ….
template <typename Next>
static double recurrence(int64_t n, double first, double second, Next next) {
  if (n == 0)
    return first;
  double before = first, last = second;
  for (int64_t k = 2; k <= n && !std::isnan(last); ++k) {
    double current = next(static_cast<double>(k), last, before);
    before = last;
    last = current;
  }
  return last;
}

//===----------------------------------------------------------------------===//
// Chebyshev's, of the four kinds
//===----------------------------------------------------------------------===//

namespace {
enum class Kind { T, U, V, W };
}

/// The value at 1 or -1.
static double atEnd(Kind kind, bool positive, double n, bool even) {
  switch (kind) {
  case Kind::T:
    return positive || even ? 1 : -1;
  case Kind::U:
    return positive || even ? n + 1 : -(n + 1);
  case Kind::V:
    return positive ? 1 : even ? 2 * n + 1 : -(2 * n + 1);
  case Kind::W:
    return positive ? 2 * n + 1 : even ? 1 : -1;
  }
  return undefined;
}

/// Inside (-1, 1), in the angle whose cosine is x.
static double byAngle(Kind kind, double angle, double n) {
  switch (kind) {
  case Kind::T:
    return std::cos(n * angle);
  case Kind::U:
    return std::sin((n + 1) * angle) / std::sin(angle);
  case Kind::V:
    return std::cos((n + 0.5) * angle) / std::cos(0.5 * angle);
  case Kind::W:
    return std::sin((n + 0.5) * angle) / std::sin(0.5 * angle);
  }
  return undefined;
}

static double chebyshev(Kind kind, double x, double real) {
  int64_t n = degree(real);
  if (n < 0)
    return 0;
  if (std::abs(x) == 1)
    return atEnd(kind, x > 0, static_cast<double>(n), n % 2 == 0);
  if (n > 8 && std::abs(x) < 1)
    return byAngle(kind, std::acos(x), static_cast<double>(n));
  double second = kind == Kind::T ? x : 2 * x;
  if (kind == Kind::V)
    second -= 1;
  if (kind == Kind::W)
    second += 1;
  return recurrence(n, 1, second,
                    [&](double, double last, double before) { return 2 * x * last - before; });
}

double mathematics::chebyshevT(double x, double n) { return chebyshev(Kind::T, x, n); }
double mathematics::chebyshevU(double x, double n) { return chebyshev(Kind::U, x, n); }
double mathematics::chebyshevV(double x, double n) { return chebyshev(Kind::V, x, n); }
double mathematics::chebyshevW(double x, double n) { return chebyshev(Kind::W, x, n); }
double mathematics::shiftedChebyshevT(double x, double n) {
  return chebyshev(Kind::T, 2 * x - 1, n);
}
double mathematics::shiftedChebyshevU(double x, double n) {
  return chebyshev(Kind::U, 2 * x - 1, n);
}
double mathematics::shiftedChebyshevV(double x, double n) {
  return chebyshev(Kind::V, 2 * x - 1, n);
}
double mathematics::shiftedChebyshevW(double x, double n) {
  return chebyshev(Kind::W, 2 * x - 1, n);
}

//===----------------------------------------------------------------------===//
// Hermite's, Laguerre's, Legendre's
//===----------------------------------------------------------------------===//

double mathematics::hermiteH(double x, double real) {
  int64_t n = degree(real);
  if (n < 0)
    return 0;
  return recurrence(n, 1, 2 * x, [&](double k, double last, double before) {
    return 2 * x * last - 2 * (k - 1) * before;
  });
}

double mathematics::hermiteHe(double x, double real) {
  int64_t n = degree(real);
  if (n < 0)
    return 0;
  return recurrence(
      n, 1, x, [&](double k, double last, double before) { return x * last - (k - 1) * before; });
}

double mathematics::laguerreL(double x, double real) {
  int64_t n = degree(real);
  if (n < 0)
    return 0;
  if (x == 0)
    return 1;
  return recurrence(n, 1, 1 - x, [&](double k, double last, double before) {
    return ((2 * k - 1 - x) * last - (k - 1) * before) / k;
  });
}

double mathematics::legendreP(double x, double real) {
  int64_t n = degree(real);
  if (n < 0)
    return 0;
  if (std::abs(x) == 1)
    return x > 0 || n % 2 == 0 ? 1 : -1;
  return recurrence(n, 1, x, [&](double k, double last, double before) {
    return ((2 * k - 1) * x * last - (k - 1) * before) / k;
  });
}
