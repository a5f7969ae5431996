//===- Gamma.cpp - the gamma function's logarithm and derivatives ----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Recurrences up to where the asymptotic series hold, reflection below zero, and
// Euler's and Maclaurin's formula for the zeta function.
//
//===----------------------------------------------------------------------===//

#include "runtime/mathematics/Mathematics.h"

#include <cmath>
#include <limits>

using namespace tessera;

static constexpr double pi = 3.14159265358979323846;
static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
static constexpr double epsilon = std::numeric_limits<double>::epsilon() / 2;

double mathematics::logGamma(double x) {
  int sign; // lgamma would write to a global
  return lgamma_r(x, &sign);
}

double mathematics::digamma(double x) {
  if (x == 0)
    return std::copysign(infinity, -x);
  double result = 0;
  if (x < 0) {
    if (x == std::trunc(x))
      return undefined;
    double whole, fraction = std::modf(x, &whole);
    result = -pi / std::tan(pi * fraction);
    x = 1 - x;
  }
  for (; x < 10; ++x)
    result -= 1 / x;
  // log x - 1/2x - the sum of B_2k / (2k x^2k).
  static constexpr double coefficients[] = {1. / 12,  -1. / 120,     1. / 252, -1. / 240,
                                            1. / 132, -691. / 32760, 1. / 12};
  double square = 1 / (x * x), power = square, series = 0;
  for (double coefficient : coefficients) {
    series += coefficient * power;
    power *= square;
  }
  return result + std::log(x) - 0.5 / x - series;
}

double mathematics::trigamma(double x) {
  if (x == 0)
    return infinity;
  double result = 0, sign = 1;
  if (x < 0.5) {
    double sine = std::sin(pi * x); // as PyTorch has it, huge rather than infinite at the poles
    result = -(pi * pi) / (sine * sine);
    sign = -1;
    x = 1 - x;
  }
  for (; x < 12; ++x)
    result += 1 / (x * x);
  // 1/x + 1/2x² + the sum of B_2k / x^(2k+1).
  static constexpr double bernoulli[] = {1. / 6,  -1. / 30,     1. / 42, -1. / 30,
                                         5. / 66, -691. / 2730, 7. / 6};
  double square = 1 / (x * x), power = square / x, series = 0;
  for (double number : bernoulli) {
    series += number * power;
    power *= square;
  }
  return sign * (result + 1 / x + 0.5 * square + series);
}

double mathematics::zeta(double x, double q) {
  if (x == 1)
    return infinity;
  if (x < 1)
    return undefined;
  if (q <= 0) {
    if (q == std::floor(q))
      return infinity;
    if (x != std::floor(x)) // powers of negative numbers
      return undefined;
  }
  if (std::isnan(x) || std::isnan(q))
    return undefined;
  double sum = std::pow(q, -x), term = 0, at = q;
  for (int i = 0; i < 9 || at <= 9; ++i) {
    at += 1;
    term = std::pow(at, -x);
    sum += term;
    if (std::abs(term) < epsilon * std::abs(sum))
      return sum;
  }
  sum += term * at / (x - 1) - 0.5 * term;
  // (2k)! / B_2k
  static constexpr double divisors[] = {12.0,
                                        -720.0,
                                        30240.0,
                                        -1209600.0,
                                        47900160.0,
                                        -1.8924375803183791606e9,
                                        7.47242496e10,
                                        -2.950130727918164224e12,
                                        1.1646782814350067249e14,
                                        -4.5979787224074726105e15,
                                        1.8152105401943546773e17,
                                        -7.1661652561756670113e18};
  double rising = 1, offset = 0;
  for (double divisor : divisors) {
    rising *= x + offset;
    term /= at;
    double correction = rising * term / divisor;
    sum += correction;
    if (std::abs(correction) < epsilon * std::abs(sum))
      break;
    rising *= x + offset + 1;
    term /= at;
    offset += 2;
  }
  return sum;
}
