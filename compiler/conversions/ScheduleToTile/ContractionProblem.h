//===- ContractionProblem.h - what a contraction kernel multiplies ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reads a kernel of class contraction: which matrices lie behind its product, at
// which strides, and where the values of its epilogue live. The emitter sees
// only this.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTIONPROBLEM_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTIONPROBLEM_H

#include "compiler/conversions/ScheduleToTile/KernelEmitter.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"

namespace tessera {

/// A matrix of every batch item: element (…, i, j) lies at Σ batch·batchStrides + i·rowStride +
/// j·colStride.
struct BatchedMatrix {
  mlir::Value memref; ///< null when the operand is computed (a prologue)
  llvm::SmallVector<int64_t>
      batchStrides; ///< one a batch dimension of the product, 0 where it is broadcast
  int64_t rowStride = 0, colStride = 0;
};

struct ContractionProblem {
  graph::MatmulOp matmul;
  /// What the epilogue reads: the product, or a reshape of it that keeps its columns.
  mlir::Value anchor;
  /// Dimensions of the anchor without the columns: row (batch, m) of the product is its linear
  /// index there.
  llvm::SmallVector<int64_t> anchorRows;
  llvm::SmallVector<int64_t> batch; ///< empty when the batch was folded into the rows
  int64_t m = 0, n = 0, k = 0;
  BatchedMatrix a, b;
  /// `b` holds column panels […, ceil(n/panelWidth), k, panelWidth] when nonzero.
  int64_t panelWidth = 0;
  bool pairedPanels = false; ///< the panels are […, ceil(n/panelWidth), ceil(k/2), panelWidth, 2]
  mlir::Type accType;

  bool hasPrologue() const { return !a.memref; }
  int64_t batchItems() const { return productOf(batch); }
};

/// Diagnoses a body that is not one product with pointwise ops around it.
mlir::FailureOr<ContractionProblem> readContraction(KernelFrame &frame);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTIONPROBLEM_H
