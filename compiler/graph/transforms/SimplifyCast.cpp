//===- SimplifyCast.cpp - casts that do nothing ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

using namespace mlir;

namespace tessera::graph {
namespace {

/// Bits an element type keeps of an integer's value, without the sign.
unsigned valueBits(Type type) {
  if (auto floating = dyn_cast<FloatType>(type))
    return floating.getFPMantissaWidth();
  bool isUnsigned = type.isUnsignedInteger() || type.isInteger(1);
  return type.getIntOrFloatBitWidth() - (isUnsigned ? 0 : 1);
}

/// Whether every value of `from` is one of `to`.
bool isLossless(Type from, Type to) {
  if (from == to || from.isInteger(1))
    return true;
  if (isa<FloatType>(from)) {
    auto wide = dyn_cast<FloatType>(to);
    // bf16 has f32's exponents, so f16 holds none of its large numbers: compare both parts.
    return wide && wide.getFPMantissaWidth() >= cast<FloatType>(from).getFPMantissaWidth() &&
           APFloat::semanticsMaxExponent(wide.getFloatSemantics()) >=
               APFloat::semanticsMaxExponent(cast<FloatType>(from).getFloatSemantics());
  }
  if (to.isInteger(1))
    return false;
  if (to.isUnsignedInteger())
    return false;
  // f16 reaches 65504: enough for the 8-bit integers, whose bits its mantissa holds.
  return valueBits(to) >= valueBits(from);
}

/// A cast to the type it already has.
struct RemoveCast : OpRewritePattern<CastOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CastOp op, PatternRewriter &rewriter) const override {
    if (op.getOperand().getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "expected a cast to the operand's own type");
    rewriter.replaceOp(op, op.getOperand());
    return success();
  }
};

/// a -> b -> c is a -> c when b holds every value of a.
struct MergeCasts : OpRewritePattern<CastOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(CastOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getOperand().getDefiningOp<CastOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "expected a cast before");
    Type from = rankedType(inner.getOperand()).getElementType(), middle = inner.getDtype(),
         to = op.getDtype();
    if (!isLossless(from, middle))
      return rewriter.notifyMatchFailure(op, "expected the first cast to be lossless");
    // Integers wrap, floats out of an integer's range do not.
    if (isa<IntegerType>(from) && isa<FloatType>(middle) && isa<IntegerType>(to) &&
        !isLossless(from, to))
      return rewriter.notifyMatchFailure(op, "expected a target that holds the first type");
    rewriter.replaceOpWithNewOp<CastOp>(op, inner.getOperand(), to);
    return success();
  }
};

} // namespace

void populateCastPatterns(RewritePatternSet &patterns) {
  patterns.add<RemoveCast, MergeCasts>(patterns.getContext());
}

} // namespace tessera::graph
