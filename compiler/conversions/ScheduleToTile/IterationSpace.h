//===- IterationSpace.h - points and indices of a kernel -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel walks a box of integer points. Every index it uses is a linear form
// of the point, so that contiguity, broadcasting, reversal and merging of loops
// are questions about coefficients.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_ITERATIONSPACE_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_ITERATIONSPACE_H

#include "compiler/support/Sizes.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace tessera {

/// base + Σ dims[d]·point[d] + Σ coefficient·symbol, a symbol being a number known at run time
/// only.
struct LinearForm {
  int64_t base = 0;
  llvm::SmallVector<int64_t, 6> dims;
  llvm::SmallVector<std::pair<unsigned, int64_t>, 1> symbols; ///< sorted by symbol

  LinearForm() = default;
  LinearForm(unsigned rank, int64_t base) : base(base), dims(rank, 0) {}

  void add(const LinearForm &other, int64_t factor = 1);
  void addSymbol(unsigned symbol, int64_t coefficient);
  bool operator==(const LinearForm &other) const = default;
  /// Appends what identifies the form.
  void appendKey(std::vector<int64_t> &key) const;
};

/// A box of points and what they stand for: `roots` gives the indices of the value the kernel
/// computes. Dimensions of size one are left out, so a box may have rank 0 and one point.
struct IterationSpace {
  llvm::SmallVector<int64_t> sizes;
  llvm::SmallVector<bool> reduced; ///< rows: the dimension is a reduced one
  llvm::SmallVector<LinearForm> roots;

  /// All points of a tensor of `shape`; dimensions in `reducedDims` are marked.
  static IterationSpace of(llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int64_t> reducedDims = {});

  unsigned rank() const { return sizes.size(); }
  /// Points of a row: of the reduced dimensions.
  int64_t rowLength() const;
  /// Cuts dimension `dim` into (size / inner) x inner.
  void refine(unsigned dim, int64_t inner);
  /// The points with index < `at` in `dim`, and the others, counted from there.
  std::pair<IterationSpace, IterationSpace> split(unsigned dim, int64_t at) const;
};

/// What a computation asks its iteration space to become before it can be described by linear
/// forms.
struct SpaceChange {
  enum Kind { Refine, Split } kind;
  unsigned dim;
  int64_t amount; ///< Refine: the inner size; Split: the first index of the second half
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_ITERATIONSPACE_H
