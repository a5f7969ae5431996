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
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/Expand.h"

#include "compiler/graph/ir/GraphOps.h"

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
  int64_t groups = op.getGroups(), channels = type.getDimSize(1), pixels = 1;
  for (int64_t size : type.getShape().drop_front(2))
    pixels *= size;
  SmallVector<int64_t> shape{type.getDimSize(0), groups, channels / groups, pixels};
  auto split = type.clone(shape);
  Value x = reshape(b, loc, op.getOperand(), shape);
  x = graph::LayerNormOp::create(b, loc, split, x, Value(), Value(), b.getI64IntegerAttr(2), op.getEpsAttr());
  SmallVector<int64_t> affine{groups, channels / groups, 1};
  if (Value weight = op.getWeight())
    x = graph::MulOp::create(b, loc, split, x, reshape(b, loc, weight, affine));
  if (Value bias = op.getBias())
    x = graph::AddOp::create(b, loc, split, x, reshape(b, loc, bias, affine));
  op.getResult().replaceAllUsesWith(reshape(b, loc, x, type.getShape()));
  op.erase();
}

LogicalResult tessera::expandForKernels(func::FuncOp function) {
  function.walk([](graph::GroupNormOp op) { expandGroupNorm(op); });
  return success();
}
