//===- Indexing.cpp - kernels that read where tensors say ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes a kernel with graph.gather and leaves a pointwise nest in which the chosen
// index is a number known at run time: vectors run along the dimensions that keep
// it fixed. Every index is checked before it is used; a bad one reads element 0
// and makes the kernel fail.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointNest.h"
#include "compiler/graph/ir/GraphOps.h"
#include "runtime/abi/Kernel.h"

using namespace mlir;
using namespace tessera;

/// True when the kernel gathers from a dimension without elements: no index is in range.
static bool gathersFromNothing(schedule::KernelOp kernel) {
  auto result = kernel.walk([](graph::GatherOp gather) {
    auto source = cast<RankedTensorType>(gather.getSource().getType());
    auto index = cast<RankedTensorType>(gather.getIndex().getType());
    bool isEmpty = source.getDimSize(gather.getDim()) == 0 && index.getNumElements() > 0;
    return isEmpty ? WalkResult::interrupt() : WalkResult::advance();
  });
  return result.wasInterrupted();
}

FailureOr<KernelExtent> tessera::emitIndexing(KernelFrame &frame) {
  if (!gathersFromNothing(frame.kernel))
    return emitPointwise(frame);
  Operation *ret = frame.function.getBody().front().getTerminator();
  OpBuilder::InsertionGuard guard(frame.b);
  frame.b.setInsertionPoint(ret);
  ret->setOperand(0, arith::ConstantIntOp::create(frame.b, frame.kernel.getLoc(),
                                                  TESSERA_INDEX_OUT_OF_RANGE, 32));
  return KernelExtent{1, 1};
}
