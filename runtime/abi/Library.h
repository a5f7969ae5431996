//===- Library.h - how a kernel calls the runtime's library -------*- C -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sorting, writing at indices and their like follow no loop nest. A kernel of class
// `library` calls a C function for them, one signature for all: what the function
// needs to know of its tensors comes as numbers.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_ABI_LIBRARY_H
#define TESSERA_RUNTIME_ABI_LIBRARY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Element types, by the numbers of runtime::DType.
enum TesseraDType {
  TESSERA_BOOL,
  TESSERA_U8,
  TESSERA_I8,
  TESSERA_I16,
  TESSERA_I32,
  TESSERA_I64,
  TESSERA_F16,
  TESSERA_BF16,
  TESSERA_F32,
  TESSERA_F64
};

/// Computes the units [begin, end) of a call; returns a TesseraStatus.
///
/// `buffers` holds the first element of each input, then of each output. `description`
/// holds the number of tensors; of each its dtype, its rank, its sizes and its strides in
/// elements; then the function's own parameters. `scratch` is private to the thread and
/// as large as the function's header asks for.
typedef int32_t (*TesseraLibraryFn)(void *const *buffers, const int64_t *description, void *scratch,
                                    int64_t begin, int64_t end);

/// The function `name` ("tessera_sort"), or null.
TesseraLibraryFn tessera_library_function(const char *name);

/// Bytes of scratch in which a row of `length` elements of `elementBytes` is put in order: keys of
/// four bytes are packed with their position, wider ones stand beside it; sorting takes two copies.
static inline int64_t tessera_ordering_scratch(int64_t elementBytes, int64_t length) {
  return 2 * length * (elementBytes <= 4 && length < ((int64_t)1 << 32) ? 8 : 16);
}

/// Bytes of scratch in which a function of matrices works on one of rows × columns, with
/// `right` columns beside it where it solves for them: as much as the neediest one takes.
static inline int64_t tessera_matrix_scratch(int64_t rows, int64_t columns, int64_t right) {
  int64_t larger = rows > columns ? rows : columns;
  return 8 * (5 * larger * larger + larger * right + 4 * larger);
}

/// Columns that a unit of tessera_grouped_matmul computes.
#define TESSERA_GROUPED_COLUMNS 128

/// Bytes of scratch in which tessera_grouped_matmul packs operands and keeps sums of
/// `elementBytes`: eight rows of the left one, a block of the right one, 64 rows of sums.
static inline int64_t tessera_grouped_scratch(int64_t elementBytes) {
  return elementBytes * (8 * 256 + (256 + 64) * TESSERA_GROUPED_COLUMNS);
}

/// Up to this prime factor a length is transformed as it is; one with a greater factor as a
/// convolution of another length.
#define TESSERA_FFT_LARGEST_PRIME 31

/// The length of the transforms that one of `length` is computed by.
static inline int64_t tessera_fft_inner_length(int64_t length) {
  int64_t rest = length, padded = 1;
  for (int64_t prime = 2; prime <= TESSERA_FFT_LARGEST_PRIME; ++prime)
    while (rest % prime == 0)
      rest /= prime;
  if (rest == 1)
    return length;
  while (padded < 2 * length - 1)
    padded *= 2;
  return padded;
}

/// Rows that are transformed together: elements of all of them lie side by side.
static inline int64_t tessera_fft_lanes(int64_t length) {
  return tessera_fft_inner_length(length) <= 4096 ? 8 : 1;
}

/// Bytes of scratch in which rows of `length` elements are transformed: two complex copies.
static inline int64_t tessera_fft_scratch(int64_t length) {
  return 32 * tessera_fft_inner_length(length) * tessera_fft_lanes(length);
}

/// What becomes of an element that tessera_scatter writes to.
enum TesseraScatterMode {
  TESSERA_SCATTER_NONE, ///< the last one written stays
  TESSERA_SCATTER_SUM,
  TESSERA_SCATTER_PROD,
  TESSERA_SCATTER_MIN,
  TESSERA_SCATTER_MAX
};

/// Which element of a row tessera_order_statistic picks.
enum TesseraStatistic {
  TESSERA_KTH, ///< the k-th smallest, counted from 1
  TESSERA_MEDIAN,
  TESSERA_NANMEDIAN,
  TESSERA_MODE
};

#ifdef __cplusplus
}
#endif

#endif // TESSERA_RUNTIME_ABI_LIBRARY_H
