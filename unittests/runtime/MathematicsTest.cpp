//===- MathematicsTest.cpp - special functions against what is known of them //
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Values with a closed form, identities that tie functions to each other over the
// seams between their methods, and the ends of their domains.
//
//===----------------------------------------------------------------------===//

#include "runtime/mathematics/Mathematics.h"
#include "runtime/abi/Mathematics.h"

#include "gtest/gtest.h"

#include <cmath>
#include <limits>
#include <string>

using namespace tessera::mathematics;

namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double infinity = std::numeric_limits<double>::infinity();

void expectClose(double got, double wanted, double tolerance = 1e-13) {
  EXPECT_NEAR(got, wanted, tolerance * std::max(1.0, std::abs(wanted)));
}

TEST(Mathematics, EveryNameIsThereInBothWidths) {
#define TESSERA_MATH_CHECK(name, arity)                                                            \
  EXPECT_NE(tessera_math_function(TESSERA_MATH_PREFIX #name), nullptr) << #name;                   \
  EXPECT_NE(tessera_math_function(TESSERA_MATH_PREFIX #name "f"), nullptr) << #name;
  TESSERA_MATH_FUNCTIONS(TESSERA_MATH_CHECK)
#undef TESSERA_MATH_CHECK
  for (const char *other : {"tessera_math_", "tessera_math_i", "tessera_math_i0ff", "i0", "sinf"})
    EXPECT_EQ(tessera_math_function(other), nullptr) << other;
}

TEST(Mathematics, FloatsAreRoundedFromDouble) {
  auto function = reinterpret_cast<float (*)(float)>(tessera_math_function("tessera_math_i0f"));
  EXPECT_EQ(function(1.5f), static_cast<float>(besselI0(1.5)));
}

TEST(Mathematics, GammaFunctions) {
  const double euler = 0.57721566490153286061;
  expectClose(logGamma(0.5), 0.5 * std::log(pi));
  expectClose(digamma(1), -euler);
  expectClose(digamma(0.5), -euler - 2 * std::log(2));
  expectClose(digamma(-0.5), digamma(0.5) + 2);
  expectClose(trigamma(1), pi * pi / 6);
  expectClose(trigamma(0.25) + trigamma(0.75), 2 * pi * pi);
  expectClose(zeta(2, 1), pi * pi / 6);
  expectClose(zeta(4, 1), std::pow(pi, 4) / 90);
  expectClose(zeta(3.5, 0.7), zeta(3.5, 1.7) + std::pow(0.7, -3.5));
  expectClose(zeta(2, -1.5), zeta(2, -0.5) + 1 / 2.25);
  EXPECT_EQ(digamma(0.0), -infinity);
  EXPECT_EQ(digamma(-0.0), infinity);
  EXPECT_TRUE(std::isnan(digamma(-3)));
  EXPECT_EQ(zeta(1, 2), infinity);
  EXPECT_EQ(zeta(2, -1), infinity);
  EXPECT_TRUE(std::isnan(zeta(0.5, 2)));
  EXPECT_TRUE(std::isnan(zeta(2.5, -0.5)));
}

TEST(Mathematics, IncompleteGammaFunctions) {
  for (double a : {0.01, 0.5, 1.0, 3.0, 9.9, 10.1, 100.0, 5e3, 9.9e4})
    for (double x : {1e-3, 0.5, a - 0.1 * std::sqrt(a), a, a + 1.1, a + 3 * std::sqrt(a), 2 * a}) {
      if (x <= 0)
        continue;
      expectClose(gammaP(a, x) + gammaQ(a, x), 1);
      // P(a + 1, x) = P(a, x) - x^a e^-x / Γ(a + 1)
      double step = std::exp(a * std::log(x) - x - std::lgamma(a + 1));
      expectClose(gammaP(a, x) - gammaP(a + 1, x), step, 1e-10);
    }
  expectClose(gammaP(1, 0.7), -std::expm1(-0.7));
  expectClose(gammaQ(0.5, 2), std::erfc(std::sqrt(2.0)));
  // The two methods meet.
  for (double off : {-3.0, -0.3, 0.0, 0.3, 3.0}) {
    double below = 1e5, above = 1e5 + 1e-3, root = std::sqrt(below);
    expectClose(gammaQ(below, below + off * root), gammaQ(above, above + off * root), 1e-7);
  }
  EXPECT_EQ(gammaP(2, 0), 0);
  EXPECT_EQ(gammaP(2, infinity), 1);
  EXPECT_EQ(gammaQ(infinity, 2), 1);
  EXPECT_TRUE(std::isnan(gammaP(-1, 2)));
  EXPECT_TRUE(std::isnan(gammaP(0, 0)));
}

TEST(Mathematics, ModifiedBesselFunctions) {
  expectClose(besselI0(1), 1.2660658777520083356);
  expectClose(besselI1(1), 0.56515910399248502721);
  expectClose(besselK0(1), 0.42102443824070833334);
  expectClose(besselK1(1), 0.60190723019723457474);
  // I0 K1 + I1 K0 = 1/x, over every seam.
  for (double x : {1e-6, 0.1, 1.0, 1.999, 2.0, 2.001, 7.0, 19.999, 20.001, 90.0, 600.0}) {
    double crossed = besselI0Scaled(x) * besselK1Scaled(x) + besselI1Scaled(x) * besselK0Scaled(x);
    EXPECT_NEAR(crossed * x, 1, 1e-13) << x;
    if (x < 500)
      expectClose(besselI0(x) * std::exp(-x), besselI0Scaled(x));
  }
  EXPECT_EQ(besselI1(-3), -besselI1(3));
  EXPECT_EQ(besselK0(0), infinity);
  EXPECT_TRUE(std::isnan(besselK0(-1)));
  EXPECT_EQ(besselK1(infinity), 0);
}

TEST(Mathematics, AirysFunction) {
  expectClose(airyAi(0), 0.35502805388781723926);
  expectClose(airyAi(1), 0.13529241631288141552);
  EXPECT_NEAR(airyAi(-2.33810741045976703849), 0, 1e-14);
  EXPECT_NEAR(airyAi(6.000001) / airyAi(6), 1, 1e-5);
  EXPECT_NEAR(airyAi(-6.0000001), airyAi(-6), 1e-6);
  // Ai'' = x Ai across the seams.
  for (double x : {-6.0, 6.0}) {
    double h = 1e-3;
    double second = (airyAi(x + h) - 2 * airyAi(x) + airyAi(x - h)) / (h * h);
    EXPECT_NEAR(second, x * airyAi(x), 1e-2 * std::abs(x * airyAi(x)));
  }
}

TEST(Mathematics, NormalDistribution) {
  EXPECT_EQ(erfcScaled(0), 1);
  expectClose(erfcScaled(10), 0.056140992743822585);
  EXPECT_NEAR(erfcScaled(10 - 1e-9) / erfcScaled(10), 1, 1e-8);
  EXPECT_EQ(erfcScaled(-30), infinity);
  EXPECT_EQ(erfcScaled(infinity), 0);
  expectClose(logNdtr(0), -std::log(2.0));
  for (double x : {-37.0, -20.0, -1.0, -0.5, 0.0, 3.0}) {
    double p = std::exp(logNdtr(x));
    EXPECT_NEAR(ndtri(p), x, 1e-11 * std::max(1.0, std::abs(x)) + (x > 0 ? 1e-12 : 0)) << x;
  }
  EXPECT_EQ(ndtri(0), -infinity);
  EXPECT_EQ(ndtri(1), infinity);
  EXPECT_TRUE(std::isnan(ndtri(1.5)));
}

TEST(Mathematics, Polynomials) {
  for (double x : {-0.9, -0.2, 0.0, 0.3, 0.77})
    for (int n = 2; n < 30; ++n) {
      double angle = std::acos(x);
      expectClose(chebyshevT(x, n), std::cos(n * angle), 1e-11);
      expectClose(chebyshevU(x, n), std::sin((n + 1) * angle) / std::sin(angle), 1e-11);
      expectClose(chebyshevW(x, n) - chebyshevW(x, n - 1), 2 * chebyshevT(x, n), 1e-11);
      expectClose(chebyshevV(x, n) + chebyshevV(x, n - 1), 2 * chebyshevT(x, n), 1e-11);
      expectClose(shiftedChebyshevT(0.5 * x + 0.5, n), chebyshevT(x, n), 1e-11);
    }
  expectClose(hermiteH(0.5, 3), 8 * 0.125 - 12 * 0.5);
  expectClose(hermiteHe(0.5, 3), 0.125 - 1.5);
  expectClose(laguerreL(0.5, 2), 0.5 * (0.25 - 4 * 0.5 + 2));
  expectClose(legendreP(0.5, 2), 0.5 * (3 * 0.25 - 1));
  EXPECT_EQ(legendreP(0.3, -1), 0);
  EXPECT_EQ(chebyshevU(-1, 3), -4);
  EXPECT_EQ(hermiteH(0.3, 2.9), hermiteH(0.3, 2));
}

TEST(Mathematics, PartsOfNumbers) {
  auto exponent =
      reinterpret_cast<float (*)(float)>(tessera_math_function("tessera_math_exponentf"));
  EXPECT_EQ(exponent(0.75f), 0);
  EXPECT_EQ(exponent(-9.0f), 4);
  EXPECT_EQ(exponent(std::numeric_limits<float>::infinity()), 0);
  auto next = reinterpret_cast<float (*)(float, float)>(
      tessera_math_function("tessera_math_nextafter_bf16f"));
  EXPECT_EQ(next(1.0f, 2.0f), 1.0078125f);
  EXPECT_EQ(next(1.0f, 0.0f), 0.99609375f);
  EXPECT_EQ(next(-1.0f, 0.0f), -0.99609375f);
  EXPECT_EQ(next(0.0f, -1.0f), -9.183549615799121e-41f);
  EXPECT_EQ(next(1.0f, 1.0f), 1.0f);
}

} // namespace
