//===- Bessel.cpp - modified Bessel functions, Airy's function --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Power series for small arguments, asymptotic series for large ones (DLMF 10.40
// and 9.7), and Temme's continued fraction for K between the two. J and Y of
// orders zero and one are the C library's.
//
//===----------------------------------------------------------------------===//

#include "runtime/mathematics/Mathematics.h"

#include <cmath>
#include <limits>

using namespace tessera;

static constexpr double pi = 3.14159265358979323846;
static constexpr double euler = 0.57721566490153286061;
static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double undefined = std::numeric_limits<double>::quiet_NaN();
static constexpr double epsilon = std::numeric_limits<double>::epsilon() / 2;

//===----------------------------------------------------------------------===//
// I
//===----------------------------------------------------------------------===//

/// The sum of (x²/4)^k / (k! (k + order)!): nothing cancels.
static double seriesI(double x, int order) {
  double quarter = 0.25 * x * x, term = 1, sum = 1;
  for (int k = 1; term > epsilon * sum; ++k) {
    term *= quarter / (double(k) * (k + order));
    sum += term;
  }
  return sum;
}

/// sqrt(2πx) e^-x I(x) for large x.
static double asymptoticI(double x, int order) {
  double four = 4.0 * order * order, term = 1, sum = 1;
  for (int k = 1; k < 40 && std::abs(term) > epsilon * std::abs(sum); ++k) {
    double odd = 2 * k - 1;
    term *= -(four - odd * odd) / (8 * k * x);
    sum += term;
  }
  return sum;
}

/// Where the asymptotic series reaches double precision.
static constexpr double largeI = 20;

/// e^-|x| I(|x|).
static double scaledI(double x, int order) {
  x = std::abs(x);
  if (x > largeI)
    return asymptoticI(x, order) / std::sqrt(2 * pi * x);
  return std::exp(-x) * seriesI(x, order) * (order ? 0.5 * x : 1);
}

static double plainI(double x, int order) {
  x = std::abs(x);
  if (x > largeI)
    return std::exp(x) * asymptoticI(x, order) / std::sqrt(2 * pi * x);
  return seriesI(x, order) * (order ? 0.5 * x : 1);
}

double mathematics::besselI0(double x) { return plainI(x, 0); }
double mathematics::besselI0Scaled(double x) { return scaledI(x, 0); }
double mathematics::besselI1(double x) { return x < 0 ? -plainI(x, 1) : plainI(x, 1); }
double mathematics::besselI1Scaled(double x) { return x < 0 ? -scaledI(x, 1) : scaledI(x, 1); }

//===----------------------------------------------------------------------===//
// K
//===----------------------------------------------------------------------===//

static constexpr double smallK = 2;

/// K0 or K1 up to smallK, by the series around zero.
static double seriesK(double x, int order) {
  double quarter = 0.25 * x * x, logarithm = std::log(0.5 * x), term = 1, sum = 0, harmonic = 0;
  for (int k = 0; k < 40; ++k) {
    if (k) {
      term *= quarter / (double(k) * (k + order));
      harmonic += 1.0 / k;
    }
    // ψ(k + 1), and for K1 with it ψ(k + 2).
    double psi = harmonic - euler;
    sum += term * (order ? 2 * psi + 1.0 / (k + 1) : psi);
  }
  if (order)
    return 1 / x + logarithm * 0.5 * x * seriesI(x, 1) - 0.25 * x * sum;
  return -logarithm * seriesI(x, 0) + sum;
}

/// e^x K0 or K1 above smallK: N. Temme, "On the numerical evaluation of the modified Bessel
/// function of the third kind" (1975).
static double fractionK(double x, int order) {
  double b = 2 * (1 + x), d = 1 / b, step = d, height = d;
  double before = 0, last = 1, a = -0.25, c = 0.25, weight = 0.25, sum = 1 + weight * step;
  for (int k = 2; k < 1000; ++k) {
    a -= 2 * (k - 1);
    c = -a * c / k;
    double next = (before - b * last) / a;
    before = last;
    last = next;
    weight += c * next;
    b += 2;
    d = 1 / (b + a * d);
    step *= b * d - 1;
    height += step;
    double change = weight * step;
    sum += change;
    if (std::abs(change) < epsilon * std::abs(sum))
      break;
  }
  double zeroth = std::sqrt(pi / (2 * x)) / sum;
  return order ? zeroth * (x + 0.5 - 0.25 * height) / x : zeroth;
}

static double functionK(double x, int order, bool scaled) {
  if (x == 0)
    return infinity;
  if (!(x > 0))
    return undefined;
  if (x <= smallK)
    return seriesK(x, order) * (scaled ? std::exp(x) : 1);
  if (x == infinity)
    return 0;
  return fractionK(x, order) * (scaled ? 1 : std::exp(-x));
}

double mathematics::besselK0(double x) { return functionK(x, 0, false); }
double mathematics::besselK0Scaled(double x) { return functionK(x, 0, true); }
double mathematics::besselK1(double x) { return functionK(x, 1, false); }
double mathematics::besselK1Scaled(double x) { return functionK(x, 1, true); }

//===----------------------------------------------------------------------===//
// Airy's function
//===----------------------------------------------------------------------===//

/// Where the series around zero, in which large terms cancel, gives way to the asymptotic ones.
static constexpr double largeAiry = 6;

static double seriesAiry(double x) {
  long double cube = (long double)x * x * x;
  long double f = 1, fTerm = 1, g = x, gTerm = x;
  for (int k = 0; k < 100; ++k) {
    fTerm *= cube / ((3 * k + 2) * (3 * k + 3));
    gTerm *= cube / ((3 * k + 3) * (3 * k + 4));
    f += fTerm;
    g += gTerm;
  }
  return double(0.35502805388781723926006L * f - 0.25881940379280679840518L * g);
}

double mathematics::airyAi(double x) {
  if (std::isinf(x) || std::isnan(x))
    return undefined;
  double magnitude = std::abs(x);
  if (magnitude <= largeAiry)
    return seriesAiry(x);
  double exponent = 2. / 3 * magnitude * std::sqrt(magnitude);
  // u_k / exponent^k: the even ones, the odd ones, with alternating signs for negative x.
  double term = 1, sums[2] = {1, 0};
  for (int k = 1; k < 20; ++k) {
    double next =
        term * (6. * k - 5) * (6. * k - 3) * (6. * k - 1) / (216. * k * (2. * k - 1) * exponent);
    if (next > term || next < epsilon)
      break;
    term = next;
    sums[k % 2] += x < 0 && k % 4 >= 2 ? -term : term;
  }
  double root = std::sqrt(pi) * std::sqrt(std::sqrt(magnitude));
  if (x > 0)
    return std::exp(-exponent) * (sums[0] - sums[1]) / (2 * root);
  double angle = exponent - pi / 4;
  return (std::cos(angle) * sums[0] + std::sin(angle) * sums[1]) / root;
}
