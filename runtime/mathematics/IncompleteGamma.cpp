//===- IncompleteGamma.cpp - regularized incomplete gamma functions --------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The power series below the turning point x = a + 1 and the continued fraction
// above it, both of which take some roots of a steps; for large a the uniform
// asymptotic expansion around it (DLMF 8.12).
//
//===----------------------------------------------------------------------===//

#include "runtime/mathematics/Mathematics.h"

#include <cmath>
#include <limits>

using namespace tessera;

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
static constexpr double epsilon = std::numeric_limits<double>::epsilon() / 2;
static constexpr double twoPi = 6.28318530717958647693;

/// From here on two terms of the uniform expansion are enough.
static constexpr double largeA = 1e5;
static constexpr int steps = 10000;

/// x^a e^-x / Γ(a + 1).
static double prefactor(double a, double x) {
  if (a < 10)
    return std::exp(a * std::log(x) - x - mathematics::logGamma(a + 1));
  // Through Stirling's formula, in which the large parts cancel by themselves.
  double off = (x - a) / a, inverse = 1 / a, square = inverse * inverse;
  double stirling = inverse * (1. / 12 - square * (1. / 360 - square * (1. / 1260)));
  return std::exp(a * (std::log1p(off) - off) - stirling) / std::sqrt(twoPi * a);
}

/// P by its power series.
static double series(double a, double x) {
  double sum = 1, term = 1;
  for (int k = 1; k < steps && term > epsilon * sum; ++k) {
    term *= x / (a + k);
    sum += term;
  }
  return prefactor(a, x) * sum;
}

/// Q by Legendre's continued fraction, in Lentz' form.
static double fraction(double a, double x) {
  static constexpr double tiny = 1e-300;
  double b = x + 1 - a, c = 1 / tiny, d = 1 / b, result = d;
  for (int k = 1; k < steps; ++k) {
    double numerator = -k * (k - a);
    b += 2;
    d = numerator * d + b;
    d = 1 / (std::abs(d) < tiny ? tiny : d);
    c = b + numerator / c;
    c = std::abs(c) < tiny ? tiny : c;
    double change = c * d;
    result *= change;
    if (std::abs(change - 1) < 2 * epsilon)
      break;
  }
  // Γ(a + 1) = a Γ(a)
  return prefactor(a, x) * a * result;
}

/// Q (upper) or P for large a.
static double uniform(double a, double x, bool upper) {
  double off = (x - a) / a;
  double eta = std::copysign(std::sqrt(2 * (off - std::log1p(off))), off);
  double c0, c1;
  if (std::abs(eta) < 0.1) {
    c0 = -1. / 3 + eta * (1. / 12 + eta * (-2. / 135 + eta * (1. / 864 + eta * (1. / 2835))));
    c1 = -1. / 540 + eta * (-1. / 288 + eta * (1. / 378));
  } else {
    c0 = 1 / off - 1 / eta;
    c1 = 1 / (eta * eta * eta) - (1 / off + 1) / (off * off) - 1 / (12 * off);
  }
  double rest = std::exp(-0.5 * a * eta * eta) / std::sqrt(twoPi * a) * (c0 + c1 / a);
  double argument = eta * std::sqrt(a / 2);
  return upper ? 0.5 * std::erfc(argument) + rest : 0.5 * std::erfc(-argument) - rest;
}

double mathematics::gammaP(double a, double x) {
  if (x < 0 || a < 0)
    return undefined;
  if (a == 0)
    return x > 0 ? 1 : undefined;
  if (x == 0)
    return 0;
  if (a == infinity)
    return x == infinity ? undefined : 0;
  if (x == infinity)
    return 1;
  if (std::isnan(a) || std::isnan(x))
    return undefined;
  if (a > largeA)
    return uniform(a, x, false);
  return x < a + 1 ? series(a, x) : 1 - fraction(a, x);
}

double mathematics::gammaQ(double a, double x) {
  if (x < 0 || a < 0)
    return undefined;
  if (a == 0)
    return x > 0 ? 0 : undefined;
  if (x == 0)
    return 1;
  if (a == infinity)
    return x == infinity ? undefined : 1;
  if (x == infinity)
    return 0;
  if (std::isnan(a) || std::isnan(x))
    return undefined;
  if (a > largeA)
    return uniform(a, x, true);
  return x < a + 1 ? 1 - series(a, x) : fraction(a, x);
}
