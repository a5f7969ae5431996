//===- AttentionProblem.cpp - what an attention kernel reads ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/AttentionProblem.h"

using namespace mlir;

namespace tessera {

/// The matrices of a […, heads, rows, columns] buffer; one without heads serves them all.
static HeadedMatrix layOut(Value memref, ArrayRef<int64_t> shape, ArrayRef<int64_t> strides,
                           size_t batchRank) {
  HeadedMatrix matrix;
  matrix.memref = memref;
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

static FailureOr<HeadedMatrix> readOperand(KernelFrame &frame, Value value, StringRef name,
                                           size_t batchRank) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument)
    return frame.kernel.emitOpError("[attention] ")
           << name << " must be an input of the kernel; compute it in a kernel of its own";
  unsigned i = argument.getArgNumber();
  return layOut(frame.inputs[i], cast<RankedTensorType>(argument.getType()).getShape(),
                frame.kernel.getInputStrides(i), batchRank);
}

/// Keys or values: an input, or inputs that a concat puts together along the rows.
static FailureOr<HeadedRows> readRows(KernelFrame &frame, Value value, StringRef name,
                                      size_t batchRank) {
  HeadedRows rows;
  auto add = [&](Value piece) -> LogicalResult {
    FailureOr<HeadedMatrix> matrix = readOperand(frame, piece, name, batchRank);
    if (failed(matrix))
      return failure();
    auto type = cast<RankedTensorType>(piece.getType());
    rows.pieces.push_back(*matrix);
    rows.counts.push_back(type.getDimSize(type.getRank() - 2));
    return success();
  };
  auto type = cast<RankedTensorType>(value.getType());
  auto join = value.getDefiningOp<graph::ConcatOp>();
  if (!join || static_cast<int64_t>(join.getDim()) != type.getRank() - 2)
    return failed(add(value)) ? FailureOr<HeadedRows>() : rows;
  for (Value piece : join.getInputs())
    if (failed(add(piece)))
      return failure();
  rows.join = value;
  for (auto [i, result] : llvm::enumerate(frame.kernel.getYield().getValues())) {
    if (result != value)
      continue;
    auto buffer = cast<MemRefType>(frame.outputs[i].getType());
    auto [strides, offset] = buffer.getStridesAndOffset();
    rows.joined = layOut(frame.outputs[i], type.getShape(), strides, batchRank);
  }
  return rows;
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
  auto k = readRows(frame, p.attention.getKey(), "key", p.batch.size());
  auto v = readRows(frame, p.attention.getValue(), "value", p.batch.size());
  if (failed(q) || failed(k) || failed(v))
    return failure();
  p.q = *q;
  p.k = *k;
  p.v = *v;
  return p;
}

} // namespace tessera
