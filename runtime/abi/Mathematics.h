//===- Mathematics.h - functions kernels call by name -------------*- C -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Functions of one or two numbers that the C library does not have: a kernel
// calls them one element at a time.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_ABI_MATHEMATICS_H
#define TESSERA_RUNTIME_ABI_MATHEMATICS_H

#ifdef __cplusplus
extern "C" {
#endif

/// Every function and the numbers it takes.
#define TESSERA_MATH_FUNCTIONS(FUNCTION)                                                           \
  FUNCTION(airy_ai, 1)                                                                             \
  FUNCTION(bessel_j0, 1)                                                                           \
  FUNCTION(bessel_j1, 1)                                                                           \
  FUNCTION(bessel_y0, 1)                                                                           \
  FUNCTION(bessel_y1, 1)                                                                           \
  FUNCTION(chebyshev_t, 2)                                                                         \
  FUNCTION(chebyshev_u, 2)                                                                         \
  FUNCTION(chebyshev_v, 2)                                                                         \
  FUNCTION(chebyshev_w, 2)                                                                         \
  FUNCTION(digamma, 1)                                                                             \
  FUNCTION(erfcx, 1)                                                                               \
  FUNCTION(exponent, 1)                                                                            \
  FUNCTION(gcd, 2)                                                                                 \
  FUNCTION(hermite_h, 2)                                                                           \
  FUNCTION(hermite_he, 2)                                                                          \
  FUNCTION(i0, 1)                                                                                  \
  FUNCTION(i0e, 1)                                                                                 \
  FUNCTION(i1, 1)                                                                                  \
  FUNCTION(i1e, 1)                                                                                 \
  FUNCTION(igamma, 2)                                                                              \
  FUNCTION(igammac, 2)                                                                             \
  FUNCTION(k0, 1)                                                                                  \
  FUNCTION(k0e, 1)                                                                                 \
  FUNCTION(k1, 1)                                                                                  \
  FUNCTION(k1e, 1)                                                                                 \
  FUNCTION(laguerre_l, 2)                                                                          \
  FUNCTION(legendre_p, 2)                                                                          \
  FUNCTION(lgamma, 1)                                                                              \
  FUNCTION(log_ndtr, 1)                                                                            \
  FUNCTION(mantissa, 1)                                                                            \
  FUNCTION(ndtri, 1)                                                                               \
  FUNCTION(nextafter, 2)                                                                           \
  FUNCTION(nextafter_bf16, 2)                                                                      \
  FUNCTION(nextafter_f16, 2)                                                                       \
  FUNCTION(shifted_chebyshev_t, 2)                                                                 \
  FUNCTION(shifted_chebyshev_u, 2)                                                                 \
  FUNCTION(shifted_chebyshev_v, 2)                                                                 \
  FUNCTION(shifted_chebyshev_w, 2)                                                                 \
  FUNCTION(trigamma, 1)                                                                            \
  FUNCTION(zeta, 2)

/// What every symbol begins with: "tessera_math_digamma" takes and returns double, with an f behind
/// it float.
#define TESSERA_MATH_PREFIX "tessera_math_"

typedef void (*TesseraMathFn)(void);

/// The function `symbol`, to be called as its name says, or null.
TesseraMathFn tessera_math_function(const char *symbol);

#ifdef __cplusplus
}
#endif

#endif // TESSERA_RUNTIME_ABI_MATHEMATICS_H
