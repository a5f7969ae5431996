//===- Expand.cpp - graph ops that no kernel class computes as they are ----===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: graph.group_norm. To: graph.layer_norm over a reshaped operand, and the
// affine part in that shape; both reshapes are layouts and cost nothing.
//
// From: reductions that drop their dimensions. To: reductions that keep them, and
// a reshape behind the elementwise ops that follow, which so stay in their rows.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/Expand.h"

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"

using namespace mlir;
using namespace tessera;

static Value reshape(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> shape) {
  auto type = cast<RankedTensorType>(value.getType()).clone(shape);
  return graph::ReshapeOp::create(b, loc, type, value, b.getDenseI64ArrayAttr(shape));
}

/// [N, C, …] as [N, groups, C/groups, …flattened]: a group is the last two dimensions.
static void expandGroupNorm(graph::GroupNormOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getType());
  int64_t groups = op.getGroups(), channels = type.getDimSize(1);
  int64_t pixels = productOf(type.getShape().drop_front(2));
  SmallVector<int64_t> shape{type.getDimSize(0), groups, channels / groups, pixels};
  auto split = type.clone(shape);
  Value x = reshape(b, loc, op.getOperand(), shape);
  x = graph::LayerNormOp::create(b, loc, split, x, Value(), Value(), b.getI64IntegerAttr(2),
                                 op.getEpsAttr());
  SmallVector<int64_t> affine{groups, channels / groups, 1};
  if (Value weight = op.getWeight())
    x = graph::MulOp::create(b, loc, split, x, reshape(b, loc, weight, affine));
  if (Value bias = op.getBias())
    x = graph::AddOp::create(b, loc, split, x, reshape(b, loc, bias, affine));
  op.getResult().replaceAllUsesWith(reshape(b, loc, x, type.getShape()));
  op.erase();
}

/// Keeps the dimensions of `op` (a reduce or arg_reduce) over `dims` and drops them by a reshape.
template <typename ReduceLikeOp> static void keepDims(ReduceLikeOp op, ArrayRef<int64_t> dims) {
  auto type = cast<RankedTensorType>(op.getType());
  if (op.getKeepdim() || !type.hasStaticShape())
    return;
  SmallVector<int64_t> shape(cast<RankedTensorType>(op.getOperand().getType()).getShape());
  for (int64_t d : dims)
    shape[d] = 1;
  OpBuilder b(op->getContext());
  b.setInsertionPointAfter(op);
  op.setKeepdim(true);
  op.getResult().setType(type.clone(shape));
  Value dropped = reshape(b, op.getLoc(), op.getResult(), type.getShape());
  op.getResult().replaceAllUsesExcept(dropped, dropped.getDefiningOp());
}

/// The value before a reshape that only drops unit dimensions of `kept`'s shape; a single element
/// as it is.
static Value withUnitDims(Value operand, ArrayRef<int64_t> kept) {
  auto type = cast<RankedTensorType>(operand.getType());
  if (auto producer = operand.getDefiningOp<graph::ReshapeOp>())
    if (cast<RankedTensorType>(producer.getOperand().getType()).getShape() == kept)
      return producer.getOperand();
  return type.getNumElements() == 1 && type.getRank() <= static_cast<int64_t>(kept.size())
             ? operand
             : Value();
}

/// An elementwise op on reductions that dropped their dimensions works on the kept ones instead.
static void sinkDroppedDims(Operation *op) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  ArrayRef<int64_t> kept;
  for (Value operand : op->getOperands())
    if (auto producer = operand.getDefiningOp<graph::ReshapeOp>())
      if (isa_and_nonnull<graph::ReduceOp, graph::ArgReduceOp>(
              producer.getOperand().getDefiningOp()) ||
          producer->hasAttr("graph.dropped"))
        if (cast<RankedTensorType>(operand.getType()).getShape() == type.getShape())
          kept = cast<RankedTensorType>(producer.getOperand().getType()).getShape();
  if (kept.empty())
    return;
  SmallVector<Value> operands;
  for (Value operand : op->getOperands()) {
    operands.push_back(withUnitDims(operand, kept));
    if (!operands.back())
      return;
  }
  OpBuilder b(op);
  Operation *inner = b.clone(*op);
  inner->setOperands(operands);
  inner->getResult(0).setType(type.clone(kept));
  Value dropped = reshape(b, op->getLoc(), inner->getResult(0), type.getShape());
  dropped.getDefiningOp()->setAttr("graph.dropped", b.getUnitAttr());
  op->getResult(0).replaceAllUsesWith(dropped);
  op->erase();
}

/// Where nobody asks which of several equal elements comes first, the fast order will do.
static void relaxSort(graph::SortOp op) {
  if (op.getIndices().use_empty())
    op.setStable(true);
}

LogicalResult tessera::expandForKernels(func::FuncOp function) {
  function.walk([](graph::SortOp op) { relaxSort(op); });
  function.walk([](graph::GroupNormOp op) { expandGroupNorm(op); });
  function.walk([](graph::ReduceOp op) { keepDims(op, op.getDims()); });
  function.walk([](graph::ArgReduceOp op) { keepDims(op, {static_cast<int64_t>(op.getDim())}); });
  for (Operation &op : llvm::make_early_inc_range(function.getBody().front()))
    if (op.hasTrait<graph::Elementwise>() && op.getNumResults() == 1)
      sinkDroppedDims(&op);
  function.walk([](graph::ReshapeOp op) { op->removeAttr("graph.dropped"); });
  return success();
}
