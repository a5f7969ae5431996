//===- AttentionProblem.cpp - what an attention kernel reads ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/AttentionProblem.h"

using namespace mlir;

namespace tessera {

/// The layout of a […, heads, rows, columns] input; an operand without heads serves them all.
static FailureOr<HeadedMatrix> readOperand(KernelFrame &frame, Value value, StringRef name,
                                           size_t batchRank) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument)
    return frame.kernel.emitOpError("[attention] ")
           << name << " must be an input of the kernel; compute it in a kernel of its own";
  HeadedMatrix matrix;
  unsigned i = argument.getArgNumber();
  matrix.memref = frame.inputs[i];
  SmallVector<int64_t> strides = frame.kernel.getInputStrides(i);
  auto shape = cast<RankedTensorType>(argument.getType()).getShape();
  int64_t rank = shape.size();
  matrix.rowStride = strides[rank - 2];
  matrix.colStride = strides[rank - 1];
  if (rank >= 3 && shape[rank - 3] != 1)
    matrix.headStride = strides[rank - 3];
  matrix.batchStrides.assign(batchRank, 0);
  for (int64_t d = 0; d < rank - 3; ++d)
    if (shape[d] != 1)
      matrix.batchStrides[batchRank - (rank - 3) + d] = strides[d];
  return matrix;
}

FailureOr<AttentionProblem> readAttention(KernelFrame &frame) {
  AttentionProblem p;
  p.attention = findOnly<graph::AttentionOp>(frame.kernel);
  if (!p.attention)
    return frame.kernel.emitOpError(
        "[attention] body must hold exactly one graph.attention; split the kernel");
  auto result = cast<RankedTensorType>(p.attention.getType());
  auto query = cast<RankedTensorType>(p.attention.getQuery().getType());
  auto key = cast<RankedTensorType>(p.attention.getKey().getType());
  if (!result.hasStaticShape() || !key.hasStaticShape() || !query.hasStaticShape())
    return frame.kernel.emitOpError("[attention] shapes must be static, got ")
           << query << " and " << key;

  int64_t rank = result.getRank();
  p.queries = result.getDimSize(rank - 2);
  p.columns = result.getDimSize(rank - 1);
  p.queryHeads = rank >= 3 ? result.getDimSize(rank - 3) : 1;
  p.keyHeads = key.getRank() >= 3 ? key.getDimSize(key.getRank() - 3) : 1;
  p.keys = key.getDimSize(key.getRank() - 2);
  p.depth = query.getDimSize(query.getRank() - 1);
  if (rank > 3)
    p.batch = llvm::to_vector(result.getShape().drop_back(3));
  p.scale = p.attention.getScale().convertToDouble();
  p.causal = p.attention.getCausal();
  p.mask = p.attention.getMask();
  p.maskIsBool = p.mask && getElementTypeOrSelf(p.mask.getType()).isInteger(1);
  p.elementType = result.getElementType();
  p.accType = registerType(p.elementType);

  auto q = readOperand(frame, p.attention.getQuery(), "query", p.batch.size());
  auto k = readOperand(frame, p.attention.getKey(), "key", p.batch.size());
  auto v = readOperand(frame, p.attention.getValue(), "value", p.batch.size());
  if (failed(q) || failed(k) || failed(v))
    return failure();
  p.q = *q;
  p.k = *k;
  p.v = *v;
  return p;
}

} // namespace tessera
