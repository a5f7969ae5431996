//===- SimplifyArithmetic.cpp - neutral elements and inverse ops ----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Only what is exact for every input. For floats that leaves -0.0 as the neutral
// element of addition, since -0.0 + 0.0 is 0.0, and 0.0 as that of subtraction.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

#include <cmath>

using namespace mlir;

namespace tessera::graph {
namespace {

/// Whether a value is a constant with this number and, for floats, this sign of zero.
bool isExactly(Value value, double number) {
  std::optional<double> splat = splatNumber(value);
  return splat && *splat == number &&
         (!isa<FloatType>(rankedType(value).getElementType()) ||
          std::signbit(*splat) == std::signbit(number));
}

/// The number that changes nothing as right operand of this op; NaN where there is none.
double rightNeutral(Operation *op) {
  bool isFloat = isa<FloatType>(rankedType(op->getResult(0)).getElementType());
  if (isa<MulOp, DivOp, PowOp>(op))
    return 1.0;
  if (isa<AddOp>(op))
    return isFloat ? -0.0 : 0.0;
  if (isa<SubOp>(op))
    return 0.0;
  // x floor-divided by 1.0 is rounded; integers are not.
  if (isa<FloorDivOp, TruncDivOp>(op) && !isFloat)
    return 1.0;
  if (isa<BitwiseOrOp, BitwiseXorOp, ShiftLeftOp, ShiftRightOp>(op))
    return 0.0;
  return std::nan("");
}

/// x * 1, x + -0.0, x - 0.0, x / 1, ... is x.
struct RemoveNeutral : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (op->getNumOperands() != 2)
      return rewriter.notifyMatchFailure(op, "expected two operands");
    double neutral = rightNeutral(op);
    for (unsigned side : {0, 1}) {
      Value kept = op->getOperand(side), constant = op->getOperand(1 - side);
      if (side == 1 && !op->hasTrait<OpTrait::IsCommutative>())
        continue;
      if (kept.getType() != op->getResult(0).getType() || !isExactly(constant, neutral))
        continue;
      rewriter.replaceOp(op, kept);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "expected a neutral operand that does not broadcast");
  }
};

/// -(-x) and ~(~x) are x.
template <typename OpT> struct RemoveInvolution : OpRewritePattern<OpT> {
  using OpRewritePattern<OpT>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpT op, PatternRewriter &rewriter) const override {
    auto inner = op.getOperand().template getDefiningOp<OpT>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "expected the same op before");
    rewriter.replaceOp(op, inner.getOperand());
    return success();
  }
};

/// x / c is x * (1 / c) when c is a power of two whose reciprocal is a normal number: both only
/// change the exponent, and division is many times slower.
struct DivideByPowerOfTwo : OpRewritePattern<DivOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(DivOp op, PatternRewriter &rewriter) const override {
    std::optional<double> divisor = splatNumber(op.getRhs());
    int exponent;
    if (!divisor || !std::isfinite(*divisor) || std::abs(std::frexp(*divisor, &exponent)) != 0.5)
      return rewriter.notifyMatchFailure(op, "expected a power of two as divisor");
    RankedTensorType type = rankedType(op.getRhs());
    const llvm::fltSemantics &semantics =
        cast<FloatType>(type.getElementType()).getFloatSemantics();
    // frexp gives 0.5 * 2^exponent, so the reciprocal is 2^(1 - exponent).
    if (1 - exponent < APFloat::semanticsMinExponent(semantics) ||
        1 - exponent > APFloat::semanticsMaxExponent(semantics))
      return rewriter.notifyMatchFailure(op, "expected a normal reciprocal");
    Value factor = createSplat(rewriter, op.getLoc(), type, 1.0 / *divisor);
    rewriter.replaceOpWithNewOp<MulOp>(op, op.getType(), op.getLhs(), factor);
    return success();
  }
};

/// x^2, x^3 and x^-1 without the general power: as exact, and what torch computes.
struct ExpandPower : OpRewritePattern<PowOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PowOp op, PatternRewriter &rewriter) const override {
    std::optional<double> exponent = splatNumber(op.getRhs());
    Value base = op.getLhs();
    if (!exponent || base.getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "expected a constant exponent");
    if (*exponent == 2.0 || *exponent == 3.0) {
      Value square = MulOp::create(rewriter, op.getLoc(), base, base);
      rewriter.replaceOp(op, *exponent == 2.0 ? square
                                              : MulOp::create(rewriter, op.getLoc(), square, base));
      return success();
    }
    if (*exponent == -1.0 && isa<FloatType>(rankedType(base).getElementType())) {
      rewriter.replaceOpWithNewOp<ReciprocalOp>(op, base);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "expected the exponent 2, 3 or -1");
  }
};

/// 1 / x, and 1 / sqrt(x) as one op.
struct FormReciprocal : OpRewritePattern<DivOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(DivOp op, PatternRewriter &rewriter) const override {
    if (!isExactly(op.getLhs(), 1.0) || op.getRhs().getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "expected 1 as dividend");
    rewriter.replaceOpWithNewOp<ReciprocalOp>(op, op.getRhs());
    return success();
  }
};
struct FormRsqrt : OpRewritePattern<ReciprocalOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReciprocalOp op, PatternRewriter &rewriter) const override {
    auto sqrt = op.getOperand().getDefiningOp<SqrtOp>();
    if (!sqrt)
      return rewriter.notifyMatchFailure(op, "expected a square root before");
    rewriter.replaceOpWithNewOp<RsqrtOp>(op, sqrt.getOperand());
    return success();
  }
};

/// select with a known condition or equal values.
struct SimplifySelect : OpRewritePattern<SelectOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SelectOp op, PatternRewriter &rewriter) const override {
    std::optional<double> condition = splatNumber(op.getCondition());
    if (!condition && op.getOnTrue() != op.getOnFalse())
      return rewriter.notifyMatchFailure(op, "expected a known condition or equal values");
    Value chosen = condition && *condition == 0 ? op.getOnFalse() : op.getOnTrue();
    if (chosen.getType() == op.getType()) {
      rewriter.replaceOp(op, chosen);
      return success();
    }
    if (!rankedType(op.getResult()).hasStaticShape())
      return rewriter.notifyMatchFailure(op, "expected a static shape to broadcast to");
    rewriter.replaceOpWithNewOp<BroadcastOp>(op, op.getType(), chosen,
                                             rankedType(op.getResult()).getShape());
    return success();
  }
};

/// select(c, true, false) is c, select(c, false, true) is not c.
struct SelectToCondition : OpRewritePattern<SelectOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SelectOp op, PatternRewriter &rewriter) const override {
    if (op.getCondition().getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "expected a boolean select of the condition's shape");
    std::optional<double> onTrue = splatNumber(op.getOnTrue());
    std::optional<double> onFalse = splatNumber(op.getOnFalse());
    if (!onTrue || !onFalse || *onTrue == *onFalse)
      return rewriter.notifyMatchFailure(op, "expected true and false");
    if (*onTrue == 1)
      rewriter.replaceOp(op, op.getCondition());
    else
      rewriter.replaceOpWithNewOp<BitwiseNotOp>(op, op.getCondition());
    return success();
  }
};

} // namespace

void populateArithmeticPatterns(RewritePatternSet &patterns) {
  patterns.add<RemoveNeutral, RemoveInvolution<NegOp>, RemoveInvolution<BitwiseNotOp>,
               DivideByPowerOfTwo, ExpandPower, FormReciprocal, FormRsqrt, SimplifySelect,
               SelectToCondition>(patterns.getContext());
}

} // namespace tessera::graph
