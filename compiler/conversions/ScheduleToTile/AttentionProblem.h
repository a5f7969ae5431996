//===- AttentionProblem.h - what an attention kernel reads -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_ATTENTIONPROBLEM_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_ATTENTIONPROBLEM_H

#include "compiler/conversions/ScheduleToTile/KernelEmitter.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"

namespace tessera {

/// One of query, key and value: a matrix a head, in place.
struct HeadedMatrix {
  mlir::Value memref;
  llvm::SmallVector<int64_t> batchStrides; ///< one a batch dimension, 0 where it is broadcast
  int64_t headStride = 0, rowStride = 0, colStride = 0;
};

/// Keys or values: the rows of one matrix a head, or of several, one after the other.
struct HeadedRows {
  llvm::SmallVector<HeadedMatrix, 2> pieces;
  llvm::SmallVector<int64_t, 2> counts; ///< rows of each piece
  mlir::Value join;                     ///< what puts the pieces together, or null
  HeadedMatrix joined;                  ///< where they are stored together; no memref: nowhere
};

struct AttentionProblem {
  graph::AttentionOp attention;
  llvm::SmallVector<int64_t> batch;
  int64_t queryHeads = 0, keyHeads = 0;
  int64_t queries = 0, keys = 0;  ///< L and S
  int64_t depth = 0, columns = 0; ///< E and Ev
  HeadedMatrix q;
  HeadedRows k, v;
  mlir::Value mask; ///< the body's value, or null
  bool maskIsBool = false;
  double scale = 1.0;
  bool causal = false;
  mlir::Type elementType, accType;

  int64_t batchItems() const { return productOf(batch); }
  /// Query heads that read one key head.
  int64_t group() const { return keyHeads == 0 ? 1 : queryHeads / keyHeads; }
};

/// Diagnoses a body that is not one attention over inputs, with pointwise ops after it.
mlir::FailureOr<AttentionProblem> readAttention(KernelFrame &frame);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_ATTENTIONPROBLEM_H
