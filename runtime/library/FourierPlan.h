//===- FourierPlan.h - what transforms of one length have in common --------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Roots of unity cost more than the sums that use them, so plans are kept for the
// process: the one place where the library allocates.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_LIBRARY_FOURIERPLAN_H
#define TESSERA_RUNTIME_LIBRARY_FOURIERPLAN_H

#include <cstdint>
#include <memory>
#include <vector>

namespace tessera::runtime::library {

/// A complex number of a table.
template <typename T> struct Root {
  T re, im;
};

/// Forward transforms of `length` complex numbers; T is what they are computed in.
template <typename T> struct FourierPlan {
  explicit FourierPlan(int64_t length);

  int64_t length;
  /// The length of the transforms it is computed by; another one than `length` where that has a
  /// great prime factor.
  int64_t inner;
  /// Radices of the inner length, whose product it is.
  std::vector<int64_t> radices;
  /// e^(-2πi k / inner) for k < inner.
  std::vector<Root<T>> roots;
  /// e^(-πi k / length) for k <= length: what a real transform of twice the length needs.
  std::vector<Root<T>> halfTurn;
  /// e^(-πi k² / length), and the transform of their conjugates: only where the inner length is
  /// another one.
  std::vector<Root<T>> chirp, spectrum;
};

/// The plan for a length, made at its first use.
template <typename T> std::shared_ptr<const FourierPlan<T>> fourierPlan(int64_t length);

/// Transforms `lanes` rows side by side: of element e, lane v, the real part is at a[2 e L + v] and
/// the imaginary one at a[(2 e + 1) L + v]. Works in both buffers; the one with the result.
template <typename T, int L> T *transform(const FourierPlan<T> &plan, T *a, T *b);

} // namespace tessera::runtime::library

#endif // TESSERA_RUNTIME_LIBRARY_FOURIERPLAN_H
