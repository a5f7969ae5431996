//===- ClaimConvolutions.cpp - convolutions with a kernel of their own -----===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Marks the convolutions that become kernels of class convolution; the others are
// expanded to products and sums before ops are grouped. The rule is
// isWorthDirect's. Code for any size has no place for borders: its convolutions are
// expanded.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/ConvolutionShapes.h"
#include "compiler/conversions/GraphToSchedule/Passes.h"
#include "compiler/graph/transforms/Passes.h"

#include "llvm/ADT/STLExtras.h"

namespace tessera {
#define GEN_PASS_DEF_CLAIMCONVOLUTIONS
#include "compiler/conversions/GraphToSchedule/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;

/// As many channels of neighbouring pixels are read as fast from planes, but for pairs.
static constexpr int64_t kFewChannels = 4;

namespace {
struct ClaimConvolutions : tessera::impl::ClaimConvolutionsBase<ClaimConvolutions> {
  using ClaimConvolutionsBase::ClaimConvolutionsBase;

  void runOnOperation() override {
    if (anySizes)
      return;
    schedule::MachineModel machine;
    machine.threads = static_cast<int>(threads);
    machine.vectorBits = vectorBits;
    getOperation().walk([&](graph::ConvolutionOp op) {
      if (hasKernel(op, machine))
        claim(op);
    });
  }

private:
  bool hasKernel(graph::ConvolutionOp op, const schedule::MachineModel &machine) {
    bool known = llvm::all_of(op->getOperandTypes(), [](Type type) {
      return cast<RankedTensorType>(type).hasStaticShape();
    });
    return known && op.getChannelsLast() && !graph::hasDepthwiseKernel(op) &&
           isWorthDirect(convolutionShape(op, bf16Dot), machine);
  }

  void claim(graph::ConvolutionOp op) {
    op->setAttr(graph::kClaimed, UnitAttr::get(&getContext()));
    // Pixels with their channels apart, as images come in: each would be read from as many lines.
    // Joining one part copies it.
    Value input = op.getInput();
    auto type = cast<RankedTensorType>(input.getType());
    bool isFew = type.getShape().back() <= kFewChannels && !type.getElementType().isBF16();
    if (!input.getDefiningOp<graph::PermuteOp>() || isFew)
      return;
    OpBuilder b(op);
    Value copy = graph::ConcatOp::create(b, op.getLoc(), type, input, /*dim=*/0);
    op.getInputMutable().set(copy);
  }
};
} // namespace
