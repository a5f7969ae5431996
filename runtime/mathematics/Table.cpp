//===- Table.cpp - the functions by name -----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each function in double and, computed in double and rounded, in float; those
// that take a number apart see it in its own type.
//
//===----------------------------------------------------------------------===//

#include "runtime/abi/Mathematics.h"
#include "runtime/mathematics/Mathematics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

using namespace tessera;

namespace {

using Unary = double (*)(double);
using Binary = double (*)(double, double);

template <Unary function> float narrow(float x) { return static_cast<float>(function(x)); }
template <Binary function> float narrow(float x, float y) {
  return static_cast<float>(function(x, y));
}

//===----------------------------------------------------------------------===//
// Parts of numbers
//===----------------------------------------------------------------------===//

template <typename Real> Real mantissa(Real x) {
  int exponent;
  return std::frexp(x, &exponent);
}

/// An integer, as a number. Infinities and NaN have none: PyTorch says zero.
template <typename Real> Real exponent(Real x) {
  int result = 0;
  std::frexp(x, &result);
  return std::isfinite(x) ? static_cast<Real>(result) : 0;
}

template <typename Real> Real nextAfter(Real x, Real y) { return std::nextafter(x, y); }

/// The neighbour of a bfloat16 that stands in a float, whose low half is zero.
float nextAfterBF16(float x, float y) {
  if (std::isnan(x) || std::isnan(y))
    return x + y;
  if (x == y)
    return y;
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  if (x == 0)
    bits = (y < 0 ? 0x80000000u : 0u) | 0x10000u;
  else
    bits += (x < y) == (x > 0) ? 0x10000u : 0xffff0000u;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

/// The neighbour of a float16 that stands in a float.
float nextAfterF16(float x, float y) {
  constexpr float largest = 65504;
  constexpr int smallestExponent = -14, mantissaBits = 10;
  if (std::isnan(x) || std::isnan(y))
    return x + y;
  if (x == y)
    return y;
  if (x == 0)
    return std::copysign(std::ldexp(1.0f, smallestExponent - mantissaBits), y);
  bool inwards = (x < y) == (x < 0);
  if (std::isinf(x))
    return std::copysign(largest, x);
  int exponent = std::max(std::ilogb(x), smallestExponent);
  // Below a power of two numbers are twice as close, except at the smallest.
  bool closer = inwards && exponent > smallestExponent && std::ldexp(1.0f, exponent) == std::abs(x);
  float step = std::ldexp(1.0f, exponent - mantissaBits - (closer ? 1 : 0));
  float size = inwards ? std::abs(x) - step : std::abs(x) + step;
  return std::copysign(size > largest ? std::numeric_limits<float>::infinity() : size, x);
}

/// Of whole numbers that double holds exactly; the sign is what C's remainders leave.
double greatestCommonDivisor(double x, double y) {
  while (x != 0) {
    double rest = std::fmod(y, x);
    y = x;
    x = rest;
  }
  return y;
}

// At infinity PyTorch has no answer.
double j0Function(double x) { return std::isinf(x) ? x - x : ::j0(x); }
double j1Function(double x) { return std::isinf(x) ? x - x : ::j1(x); }
double y0Function(double x) { return std::isinf(x) ? x - x : ::y0(x); }
double y1Function(double x) { return std::isinf(x) ? x - x : ::y1(x); }

struct Entry {
  const char *name;
  TesseraMathFn wide;
  TesseraMathFn narrow;
};

template <Unary function> Entry unary(const char *name) {
  float (*rounded)(float) = narrow<function>;
  return {name, reinterpret_cast<TesseraMathFn>(function),
          reinterpret_cast<TesseraMathFn>(rounded)};
}

template <Binary function> Entry binary(const char *name) {
  float (*rounded)(float, float) = narrow<function>;
  return {name, reinterpret_cast<TesseraMathFn>(function),
          reinterpret_cast<TesseraMathFn>(rounded)};
}

template <typename Wide, typename Narrow>
Entry either(const char *name, Wide *wide, Narrow *narrow) {
  return {name, reinterpret_cast<TesseraMathFn>(wide), reinterpret_cast<TesseraMathFn>(narrow)};
}

} // namespace

static const Entry entries[] = {
    unary<mathematics::airyAi>("airy_ai"),
    unary<j0Function>("bessel_j0"),
    unary<j1Function>("bessel_j1"),
    unary<y0Function>("bessel_y0"),
    unary<y1Function>("bessel_y1"),
    binary<mathematics::chebyshevT>("chebyshev_t"),
    binary<mathematics::chebyshevU>("chebyshev_u"),
    binary<mathematics::chebyshevV>("chebyshev_v"),
    binary<mathematics::chebyshevW>("chebyshev_w"),
    unary<mathematics::digamma>("digamma"),
    unary<mathematics::erfcScaled>("erfcx"),
    either("exponent", exponent<double>, exponent<float>),
    binary<greatestCommonDivisor>("gcd"),
    binary<mathematics::hermiteH>("hermite_h"),
    binary<mathematics::hermiteHe>("hermite_he"),
    unary<mathematics::besselI0>("i0"),
    unary<mathematics::besselI0Scaled>("i0e"),
    unary<mathematics::besselI1>("i1"),
    unary<mathematics::besselI1Scaled>("i1e"),
    binary<mathematics::gammaP>("igamma"),
    binary<mathematics::gammaQ>("igammac"),
    unary<mathematics::besselK0>("k0"),
    unary<mathematics::besselK0Scaled>("k0e"),
    unary<mathematics::besselK1>("k1"),
    unary<mathematics::besselK1Scaled>("k1e"),
    binary<mathematics::laguerreL>("laguerre_l"),
    binary<mathematics::legendreP>("legendre_p"),
    unary<mathematics::logGamma>("lgamma"),
    unary<mathematics::logNdtr>("log_ndtr"),
    either("mantissa", mantissa<double>, mantissa<float>),
    unary<mathematics::ndtri>("ndtri"),
    either("nextafter", nextAfter<double>, nextAfter<float>),
    either("nextafter_bf16", nextAfter<double>, nextAfterBF16),
    either("nextafter_f16", nextAfter<double>, nextAfterF16),
    binary<mathematics::shiftedChebyshevT>("shifted_chebyshev_t"),
    binary<mathematics::shiftedChebyshevU>("shifted_chebyshev_u"),
    binary<mathematics::shiftedChebyshevV>("shifted_chebyshev_v"),
    binary<mathematics::shiftedChebyshevW>("shifted_chebyshev_w"),
    unary<mathematics::trigamma>("trigamma"),
    binary<mathematics::zeta>("zeta"),
};

TesseraMathFn tessera_math_function(const char *symbol) {
  constexpr size_t prefix = sizeof(TESSERA_MATH_PREFIX) - 1;
  if (std::strncmp(symbol, TESSERA_MATH_PREFIX, prefix) != 0)
    return nullptr;
  const char *name = symbol + prefix;
  for (const Entry &entry : entries) {
    size_t length = std::strlen(entry.name);
    if (std::strncmp(name, entry.name, length) != 0)
      continue;
    if (name[length] == '\0')
      return entry.wide;
    if (name[length] == 'f' && name[length + 1] == '\0')
      return entry.narrow;
  }
  return nullptr;
}
