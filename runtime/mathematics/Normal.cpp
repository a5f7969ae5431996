//===- Normal.cpp - functions of the normal distribution ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// All of them go back to the C library's erfc, which keeps its relative accuracy
// in the tail.
//
//===----------------------------------------------------------------------===//

#include "runtime/mathematics/Mathematics.h"

#include <cmath>
#include <limits>

using namespace tessera;

static constexpr double sqrtPi = 1.77245385090551602730;
static constexpr double sqrtTwoPi = 2.50662827463100050242;
static constexpr double sqrtHalf = 0.70710678118654752440;
static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

double mathematics::erfcScaled(double x) {
  if (std::isnan(x))
    return x;
  if (x < -26.7)
    return infinity;
  if (x < 10) {
    // The square's rounding error would be multiplied by the exponential.
    double square = x * x, error = std::fma(x, x, -square);
    return std::exp(square) * (1 + error) * std::erfc(x);
  }
  // The sum of (-1)^k (2k - 1)!! / (2x²)^k.
  double inverse = 0.5 / x / x, term = 1, sum = 1;
  for (int k = 1; k < 12; ++k) {
    term *= -(2 * k - 1) * inverse;
    sum += term;
  }
  return sum / (x * sqrtPi);
}

double mathematics::logNdtr(double x) {
  double scaled = x * sqrtHalf;
  if (x < -1)
    return std::log(0.5 * erfcScaled(-scaled)) - scaled * scaled;
  return std::log1p(-0.5 * std::erfc(scaled));
}

/// A rational approximation, to nine digits (P. Acklam), for p up to one half.
static double startNdtri(double p) {
  static constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,
                                 -2.759285104469687e+02, 1.383577518672690e+02,
                                 -3.066479806614716e+01, 2.506628277459239e+00};
  static constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02,
                                 -1.556989798598866e+02, 6.680131188771972e+01,
                                 -1.328068155288572e+01, 1.0};
  static constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01,
                                 -2.400758277161838e+00, -2.549732539343734e+00,
                                 4.374664141464968e+00,  2.938163982698783e+00};
  static constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01,
                                 2.445134137142996e+00, 3.754408661907416e+00, 1.0};
  auto polynomial = [](const auto &coefficients, double x) {
    double value = 0;
    for (double coefficient : coefficients)
      value = value * x + coefficient;
    return value;
  };
  if (p < 0.02425) {
    double q = std::sqrt(-2 * std::log(p));
    return polynomial(c, q) / polynomial(d, q);
  }
  double q = p - 0.5, r = q * q;
  return q * polynomial(a, r) / polynomial(b, r);
}

double mathematics::ndtri(double p) {
  if (p == 0)
    return -infinity;
  if (p == 1)
    return infinity;
  if (!(p > 0 && p < 1))
    return undefined;
  if (p > 0.5)
    return -ndtri(1 - p);
  double x = startNdtri(p);
  // Halley's steps on the relative error, which is exact to the far end of the tail.
  for (int step = 0; step < 2; ++step) {
    double error = 0.5 * std::erfc(-x * sqrtHalf) - p;
    double shift = error * sqrtTwoPi * std::exp(0.5 * x * x);
    if (!std::isfinite(shift))
      break;
    x -= shift / (1 + 0.5 * x * shift);
  }
  return x;
}
