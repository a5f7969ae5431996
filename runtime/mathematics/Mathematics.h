//===- Mathematics.h - special functions ------------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the C library lacks of PyTorch's functions, in double precision: relative
// errors are below 1e-13 unless stated otherwise. At poles, for arguments outside
// of the domain and for infinities they answer as PyTorch does.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_MATHEMATICS_MATHEMATICS_H
#define TESSERA_RUNTIME_MATHEMATICS_MATHEMATICS_H

namespace tessera::mathematics {

// Gamma.cpp
double logGamma(double x);
/// Absolute, not relative, error near its root 1.46.
double digamma(double x);
double trigamma(double x);
/// Hurwitz' zeta function: the sum of (k + q)^-x over k >= 0.
double zeta(double x, double q);

// IncompleteGamma.cpp: regularized; errors below 1e-9 for a above 1e5.
double gammaP(double a, double x);
double gammaQ(double a, double x);

// Bessel.cpp
double besselI0(double x);
double besselI0Scaled(double x);
double besselI1(double x);
double besselI1Scaled(double x);
double besselK0(double x);
double besselK0Scaled(double x);
double besselK1(double x);
double besselK1Scaled(double x);
/// Errors below 1e-9.
double airyAi(double x);

// Normal.cpp
/// exp(x²) erfc(x).
double erfcScaled(double x);
/// The logarithm of the normal distribution's cumulative function.
double logNdtr(double x);
/// Its inverse.
double ndtri(double p);

// Polynomials.cpp: of degree n, truncated to an integer.
double chebyshevT(double x, double n);
double chebyshevU(double x, double n);
double chebyshevV(double x, double n);
double chebyshevW(double x, double n);
double shiftedChebyshevT(double x, double n);
double shiftedChebyshevU(double x, double n);
double shiftedChebyshevV(double x, double n);
double shiftedChebyshevW(double x, double n);
double hermiteH(double x, double n);
double hermiteHe(double x, double n);
double laguerreL(double x, double n);
double legendreP(double x, double n);

} // namespace tessera::mathematics

#endif // TESSERA_RUNTIME_MATHEMATICS_MATHEMATICS_H
