//===- ContractionProblem.cpp - what a contraction kernel multiplies -------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ContractionProblem.h"

using namespace mlir;

namespace tessera {

/// Strides of a kernel input over the product's `batch`, and of its last two dimensions.
static BatchedMatrix readInput(KernelFrame &frame, BlockArgument argument, ArrayRef<int64_t> batch,
                               bool transpose) {
  BatchedMatrix matrix;
  unsigned i = argument.getArgNumber();
  matrix.memref = frame.inputs[i];
  SmallVector<int64_t> strides = frame.kernel.getInputStrides(i);
  auto shape = cast<RankedTensorType>(argument.getType()).getShape();
  int64_t rank = shape.size();
  matrix.rowStride = strides[rank - 2];
  matrix.colStride = strides[rank - 1];
  if (transpose)
    std::swap(matrix.rowStride, matrix.colStride);
  // Batch dimensions align on the right; a missing one and one of size 1 stand still.
  matrix.batchStrides.assign(batch.size(), 0);
  for (int64_t d = 0; d < rank - 2; ++d)
    if (shape[d] != 1)
      matrix.batchStrides[batch.size() - (rank - 2) + d] = strides[d];
  return matrix;
}

/// Makes rows of the batch where the second operand is the same for all of it, from the inside as
/// far as the first one's rows go on at one stride: few products of many rows instead of many
/// products of few.
static void foldBatch(ContractionProblem &p) {
  if (p.batchItems() == 1 || llvm::any_of(p.b.batchStrides, [](int64_t s) { return s != 0; }))
    return;
  // With one row an item, the rows' stride is whatever the innermost batch dimension says.
  bool known = p.m != 1;
  while (!p.batch.empty()) {
    int64_t size = p.batch.back();
    if (!p.hasPrologue() && size != 1) {
      int64_t stride = p.a.batchStrides.back();
      if (known && stride != p.a.rowStride * p.m)
        return;
      if (!known)
        p.a.rowStride = stride;
      known = true;
    }
    p.m *= size;
    p.batch.pop_back();
    if (!p.hasPrologue())
      p.a.batchStrides.pop_back();
    p.b.batchStrides.pop_back();
  }
}

/// Follows reshapes that are the only use of `value` and keep its last dimension.
static Value findAnchor(Value value) {
  while (value.hasOneUse()) {
    auto reshape = dyn_cast<graph::ReshapeOp>(*value.getUsers().begin());
    if (!reshape)
      break;
    auto from = cast<RankedTensorType>(value.getType()),
         to = cast<RankedTensorType>(reshape.getType());
    if (to.getRank() < 1 || to.getShape().back() != from.getShape().back())
      break;
    value = reshape.getResult();
  }
  return value;
}

static Type accumulatorType(OpBuilder &b, Type elementType) {
  return elementType.isF16() || elementType.isBF16() ? b.getF32Type() : registerType(elementType);
}

FailureOr<ContractionProblem> readContraction(KernelFrame &frame) {
  ContractionProblem p;
  p.matmul = findOnly<graph::MatmulOp>(frame.kernel);
  if (!p.matmul)
    return frame.kernel.emitOpError(
        "[contraction] body must hold exactly one graph.matmul; split the kernel");
  auto type = cast<RankedTensorType>(p.matmul.getType());
  auto lhs = cast<RankedTensorType>(p.matmul.getLhs().getType());
  if (!type.hasStaticShape() || !lhs.hasStaticShape())
    return frame.kernel.emitOpError("[contraction] shapes must be static, got ") << type;
  int64_t rank = type.getRank();
  p.batch = llvm::to_vector(type.getShape().drop_back(2));
  p.m = type.getDimSize(rank - 2);
  p.n = type.getDimSize(rank - 1);
  p.k = lhs.getDimSize(lhs.getRank() - (p.matmul.getTransposeA() ? 2 : 1));
  p.accType = accumulatorType(frame.b, type.getElementType());

  if (auto argument = dyn_cast<BlockArgument>(p.matmul.getLhs()))
    p.a = readInput(frame, argument, p.batch, p.matmul.getTransposeA());
  Value rhs = p.matmul.getRhs();
  if (auto unpack = rhs.getDefiningOp<schedule::UnpackOp>()) {
    auto panels = dyn_cast<BlockArgument>(unpack.getSource());
    if (!panels || p.matmul.getTransposeB())
      return frame.kernel.emitOpError(
          "[contraction] schedule.unpack must read an input, and the product must not "
          "transpose what it yields");
    // Panels have one dimension more, or two: the batch ends before the panel index.
    auto shape = cast<RankedTensorType>(panels.getType()).getShape();
    int64_t itemDims = cast<RankedTensorType>(unpack.getType()).getRank() - 2;
    p.panelWidth = shape[itemDims + 2];
    p.pairedPanels = static_cast<int64_t>(shape.size()) == itemDims + 4;
    p.b.memref = frame.inputs[panels.getArgNumber()];
    p.b.batchStrides.assign(p.batch.size(), 0);
    SmallVector<int64_t> strides = frame.kernel.getInputStrides(panels.getArgNumber());
    for (int64_t d = 0; d < itemDims; ++d)
      if (shape[d] != 1)
        p.b.batchStrides[p.batch.size() - itemDims + d] = strides[d];
  } else if (auto argument = dyn_cast<BlockArgument>(rhs)) {
    p.b = readInput(frame, argument, p.batch, p.matmul.getTransposeB());
  } else {
    return frame.kernel.emitOpError(
        "[contraction] the second operand must be an input or schedule.unpack of one; "
        "compute it in a kernel of its own");
  }
  p.anchor = findAnchor(p.matmul.getResult());
  p.anchorRows = llvm::to_vector(cast<RankedTensorType>(p.anchor.getType()).getShape().drop_back());
  foldBatch(p);
  return p;
}

} // namespace tessera
