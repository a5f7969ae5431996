//===- Library.h - the functions behind kernels of class library -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each has the signature of runtime/abi/Library.h. The comment lists tensors and
// parameters in order; a row is what lies along dimension `dim`, and a unit is a row
// unless the comment says otherwise.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_LIBRARY_LIBRARY_H
#define TESSERA_RUNTIME_LIBRARY_LIBRARY_H

#include "runtime/abi/Kernel.h"
#include "runtime/abi/Library.h"

#define TESSERA_LIBRARY_FUNCTION(name)                                                             \
  int32_t name(void *const *buffers, const int64_t *description, [[maybe_unused]] void *scratch,   \
               int64_t begin, int64_t end)

extern "C" {

/// Source → values, indices; dim, descending, stable. Equal elements keep their order, or come as
/// PyTorch's algorithm has them. Scratch: tessera_ordering_scratch.
TESSERA_LIBRARY_FUNCTION(tessera_sort);

/// Source → values, indices (k along dim); dim, largest, sorted. Of equal elements PyTorch's
/// choice. Scratch: tessera_ordering_scratch.
TESSERA_LIBRARY_FUNCTION(tessera_topk);

/// Source → value, index (1 along dim); dim, TesseraStatistic, k. Of equal elements PyTorch's
/// choice. Scratch: tessera_ordering_scratch.
TESSERA_LIBRARY_FUNCTION(tessera_order_statistic);

/// Source → values, indices; dim, greatest. The last of equal elements wins, a NaN from then on.
TESSERA_LIBRARY_FUNCTION(tessera_running_extremum);

/// Source → partial results; dim, product. Of numbers of at least 32 bits or integers.
TESSERA_LIBRARY_FUNCTION(tessera_running_reduce);

/// Sequence, values → positions; right. Rows lie along the last dimension; a unit is a value.
TESSERA_LIBRARY_FUNCTION(tessera_search_sorted);

/// Dest, index, source → dest with `source` written along dim; dim, TesseraScatterMode, row block,
/// column block. Index and source have dest's sizes but along dim. A unit is a block of dest: so
/// many rows (along dim) and columns (behind it) at one place before dim.
TESSERA_LIBRARY_FUNCTION(tessera_scatter);

/// Left, right, ends → product; no parameters. A right operand of rank 3 has a matrix for each
/// group of left's rows, one of rank 2 is summed over in groups, each with a product of its own.
/// Groups lie behind one another up to their ends. A unit is a block of TESSERA_GROUPED_COLUMNS
/// columns, with rank 2 of one group. Scratch: tessera_grouped_scratch.
TESSERA_LIBRARY_FUNCTION(tessera_grouped_matmul);

// Matrices lie in the last two dimensions, in f32 or f64; a unit is one of them.
// Scratch: tessera_matrix_scratch.

/// Symmetric → triangular factor, info; upper, checked. With `checked` a matrix that is not
/// positive definite fails the call.
TESSERA_LIBRARY_FUNCTION(tessera_cholesky);

/// Matrix → packed factors, pivots, info; checked.
TESSERA_LIBRARY_FUNCTION(tessera_lu);

/// Packed factors, pivots, right sides → solutions; transpose.
TESSERA_LIBRARY_FUNCTION(tessera_lu_solve);

/// Triangle, right sides → solutions; upper, transpose, unit diagonal.
TESSERA_LIBRARY_FUNCTION(tessera_triangular_solve);

/// Matrix → packed reflections and R, tau.
TESSERA_LIBRARY_FUNCTION(tessera_qr);

/// Packed reflections, tau → their product, as many columns as the reflections have.
TESSERA_LIBRARY_FUNCTION(tessera_householder_product);

/// Symmetric → ascending eigenvalues, eigenvectors; upper (which triangle is read).
TESSERA_LIBRARY_FUNCTION(tessera_eigh);

/// Matrix → left vectors, descending singular values, right vectors transposed.
TESSERA_LIBRARY_FUNCTION(tessera_svd);

/// Square matrix → its exponential.
TESSERA_LIBRARY_FUNCTION(tessera_matrix_exp);

// Fourier transforms of rows in f32 or f64; complex numbers are two tensors. The second parameter
// holds the bits of a double, by which results are multiplied. Scratch: tessera_fft_scratch.

/// Real, imaginary → real, imaginary; dim, scale, inverse.
TESSERA_LIBRARY_FUNCTION(tessera_fft);

/// Source → the first half of its transform, real, imaginary; dim, scale.
TESSERA_LIBRARY_FUNCTION(tessera_real_fft);

/// The first half of a transform, real, imaginary → what it is of; dim, scale.
TESSERA_LIBRARY_FUNCTION(tessera_inverse_real_fft);

} // extern "C"

#endif // TESSERA_RUNTIME_LIBRARY_LIBRARY_H
