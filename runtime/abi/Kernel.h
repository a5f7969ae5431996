//===- Kernel.h - the contract between generated code and the runtime -----===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Plain C: the compiler emits code against it, the runtime calls through it,
// and a saved program keeps working as long as this file does not change.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_ABI_KERNEL_H
#define TESSERA_RUNTIME_ABI_KERNEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Bumped whenever a compiled kernel of an older build could misbehave.
#define TESSERA_KERNEL_ABI_VERSION 2

/// What a kernel returns.
enum TesseraStatus {
  TESSERA_OK = 0,
  /// An index (embedding, gather, index_select) lies outside its dimension.
  TESSERA_INDEX_OUT_OF_RANGE = 1,
  /// Integer division or remainder by zero.
  TESSERA_DIVISION_BY_ZERO = 2,
  /// A function of the runtime's library was asked for what it does not do.
  TESSERA_INVALID_CALL = 3,
  /// A probability that is NaN or outside of [0, 1].
  TESSERA_PROBABILITY_OUT_OF_RANGE = 4,
  /// A standard deviation below zero.
  TESSERA_NEGATIVE_DEVIATION = 5,
  /// Weights of a choice that are negative, not finite, or all zero.
  TESSERA_INVALID_WEIGHTS = 6,
  /// A matrix without an inverse, or one without a Cholesky factor.
  TESSERA_SINGULAR_MATRIX = 7,
};

/// Computes the units [begin, end) of the kernel's parallel range.
///
/// `buffers` holds the addresses of the inputs, then of the outputs, each the
/// first element of its view. `symbols` are the numbers that code which serves
/// several sizes reads in place of having them in it. `scratch` is private to the calling thread,
/// 64-byte aligned and as large as the kernel asked for.
typedef int32_t (*TesseraKernelFn)(void *const *buffers, const int64_t *symbols, void *scratch,
                                   int64_t begin, int64_t end);

#ifdef __cplusplus
}
#endif

#endif // TESSERA_RUNTIME_ABI_KERNEL_H
