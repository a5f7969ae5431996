//===- KernelCost.cpp - predicted work of one launch -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/TileKernel.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;

static double elements(Value value) {
  return static_cast<double>(cast<RankedTensorType>(value.getType()).getNumElements());
}

/// Multiplications and additions as torch.utils.flop_counter counts them for products; one a result
/// element for everything else.
static double flopsOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, double>(op)
      .Case([](graph::MatmulOp matmul) {
        auto lhs = cast<RankedTensorType>(matmul.getLhs().getType());
        int64_t k = lhs.getDimSize(lhs.getRank() - (matmul.getTransposeA() ? 2 : 1));
        return 2.0 * elements(matmul.getResult()) * k;
      })
      .Case([](graph::ConvolutionOp convolution) {
        ArrayRef<int64_t> weight =
            cast<RankedTensorType>(convolution.getWeight().getType()).getShape();
        return 2.0 * elements(convolution.getResult()) * productOf(weight.drop_front());
      })
      .Case([](graph::AttentionOp attention) {
        auto query = cast<RankedTensorType>(attention.getQuery().getType());
        auto key = cast<RankedTensorType>(attention.getKey().getType());
        double s = key.getDimSize(key.getRank() - 2), e = query.getDimSize(query.getRank() - 1);
        return 2.0 * s *
               (elements(attention.getQuery()) +
                elements(attention.getQuery()) / e *
                    cast<RankedTensorType>(attention.getType()).getShape().back());
      })
      .Case<graph::LayerNormOp, graph::RmsNormOp, graph::SoftmaxOp, graph::LogSoftmaxOp>(
          [](auto norm) { return 8.0 * elements(norm->getOperand(0)); })
      .Case<graph::ReduceOp, graph::ArgReduceOp>(
          [](auto reduce) { return elements(reduce->getOperand(0)); })
      .Default([](Operation *other) {
        return other->getNumResults() == 1 && graph::isPointwise(other)
                   ? elements(other->getResult(0))
                   : 0.0;
      });
}

KernelCost tessera::kernelCost(schedule::KernelOp kernel) {
  KernelCost cost;
  for (Operation &op : kernel.getBody().front())
    cost.flops += flopsOf(&op);
  for (Value input : kernel.getInputs())
    cost.bytes += byteSize(cast<ShapedType>(input.getType()));
  for (Value output : kernel.getOutputs())
    cost.bytes += byteSize(cast<ShapedType>(output.getType()));
  return cost;
}
