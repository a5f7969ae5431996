//===- RecognizeNorm.cpp - layer and RMS normalization written by hand ----===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/RecognizePatterns.h"

using namespace mlir;

namespace tessera::graph {
namespace {

/// What a value is when it is numerator / sqrt(variance + eps), in any spelling.
struct Normalized {
  Value numerator;
  Value variance;
  double eps = 0;
};

/// The operand of a square root whose reciprocal a value is.
Value matchRsqrt(Value value) {
  if (auto rsqrt = value.getDefiningOp<RsqrtOp>())
    return rsqrt.getOperand();
  auto reciprocal = value.getDefiningOp<ReciprocalOp>();
  auto sqrt = reciprocal ? reciprocal.getOperand().getDefiningOp<SqrtOp>() : nullptr;
  return sqrt ? sqrt.getOperand() : Value();
}

std::optional<Normalized> splitVariance(Value numerator, Value radicand) {
  auto add = radicand.getDefiningOp<AddOp>();
  if (!add)
    return std::nullopt;
  for (auto [variance, constant] :
       {std::pair(add.getLhs(), add.getRhs()), std::pair(add.getRhs(), add.getLhs())})
    if (std::optional<double> eps = splatNumber(constant))
      return Normalized{numerator, variance, *eps};
  return std::nullopt;
}

std::optional<Normalized> matchNormalized(Operation *op) {
  Value lhs = op->getOperand(0), rhs = op->getOperand(1);
  if (isa<DivOp>(op)) {
    auto sqrt = rhs.getDefiningOp<SqrtOp>();
    return sqrt ? splitVariance(lhs, sqrt.getOperand()) : std::nullopt;
  }
  if (!isa<MulOp>(op))
    return std::nullopt;
  if (Value radicand = matchRsqrt(rhs))
    return splitVariance(lhs, radicand);
  if (Value radicand = matchRsqrt(lhs))
    return splitVariance(rhs, radicand);
  return std::nullopt;
}

/// The mean of x * x where a value is that.
std::optional<Mean> matchMeanOfSquares(Value value) {
  std::optional<Mean> mean = matchMean(value);
  if (!mean)
    return std::nullopt;
  auto square = mean->value.getDefiningOp<MulOp>();
  if (square && square.getLhs() == square.getRhs())
    return Mean{square.getLhs(), mean->dims};
  auto power = mean->value.getDefiningOp<PowOp>();
  if (power && splatNumber(power.getRhs()) == 2.0)
    return Mean{power.getLhs(), mean->dims};
  return std::nullopt;
}

/// x where a value is x - mean(x) over these dims.
Value matchCentered(Value value, ArrayRef<int64_t> dims) {
  auto sub = value.getDefiningOp<SubOp>();
  std::optional<Mean> mean = sub ? matchMean(sub.getRhs()) : std::nullopt;
  return mean && mean->value == sub.getLhs() && ArrayRef<int64_t>(mean->dims) == dims ? mean->value
                                                                                      : Value();
}

/// Both normalizations divide by the root of a mean of squares; layer normalization does so with
/// x - mean(x), RMS normalization with x.
template <typename OpT> struct RecognizeNorm : OpRewritePattern<OpT> {
  using OpRewritePattern<OpT>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpT op, PatternRewriter &rewriter) const override {
    std::optional<Normalized> normalized = matchNormalized(op);
    std::optional<Mean> squares =
        normalized ? matchMeanOfSquares(normalized->variance) : std::nullopt;
    if (!squares || normalized->numerator.getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "expected x over the root of a mean of squares");
    Value numerator = normalized->numerator;
    int64_t axes = countTrailing(squares->dims, rankedType(numerator).getRank());
    if (axes == 0)
      return rewriter.notifyMatchFailure(op, "expected a mean over trailing dimensions");
    Value x = matchCentered(numerator, squares->dims);
    // The variance may be taken of its own x - mean(x), written a second time.
    Value centered = matchCentered(squares->value, squares->dims);
    if (x && (squares->value == numerator || centered == x)) {
      rewriter.replaceOpWithNewOp<LayerNormOp>(op, x, Value(), Value(), axes,
                                               APFloat(normalized->eps));
      return success();
    }
    if (squares->value == numerator) {
      rewriter.replaceOpWithNewOp<RmsNormOp>(op, numerator, Value(), axes,
                                             APFloat(normalized->eps));
      return success();
    }
    return rewriter.notifyMatchFailure(op, "expected the squares of what is divided");
  }
};

/// The operand whose shape is the normalized one, with the norm as the other operand, used once:
/// otherwise both forms would be computed.
template <typename NormT> std::pair<NormT, Value> matchAffine(Operation *op) {
  for (unsigned side : {0, 1}) {
    auto norm = op->getOperand(side).getDefiningOp<NormT>();
    Value affine = op->getOperand(1 - side);
    if (!norm || !norm->hasOneUse() || norm.getType() != op->getResult(0).getType())
      continue;
    RankedTensorType type = rankedType(norm.getResult());
    if (type.hasStaticShape() &&
        rankedType(affine).getShape() == type.getShape().take_back(norm.getAxes()))
      return {norm, affine};
  }
  return {};
}

/// norm(x) * w takes w in; the bias comes after the weight, so none may be there yet.
template <typename NormT> struct AbsorbWeight : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    auto [norm, weight] = matchAffine<NormT>(op);
    if (!norm || norm.getWeight())
      return rewriter.notifyMatchFailure(op, "expected a normalization without weight");
    if constexpr (std::is_same_v<NormT, LayerNormOp>) {
      if (norm.getBias())
        return rewriter.notifyMatchFailure(op, "expected a normalization without bias");
      rewriter.replaceOpWithNewOp<NormT>(op, norm.getOperand(), weight, Value(), norm.getAxes(),
                                         norm.getEps());
    } else {
      rewriter.replaceOpWithNewOp<NormT>(op, norm.getOperand(), weight, norm.getAxes(),
                                         norm.getEps());
    }
    return success();
  }
};

/// layer_norm(x) + b takes b in.
struct AbsorbBias : OpRewritePattern<AddOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AddOp op, PatternRewriter &rewriter) const override {
    auto [norm, bias] = matchAffine<LayerNormOp>(op);
    if (!norm || norm.getBias())
      return rewriter.notifyMatchFailure(op, "expected a layer normalization without bias");
    rewriter.replaceOpWithNewOp<LayerNormOp>(op, norm.getOperand(), norm.getWeight(), bias,
                                             norm.getAxes(), norm.getEps());
    return success();
  }
};

} // namespace

void populateNormPatterns(RewritePatternSet &patterns) {
  patterns.add<RecognizeNorm<MulOp>, RecognizeNorm<DivOp>, AbsorbWeight<LayerNormOp>,
               AbsorbWeight<RmsNormOp>, AbsorbBias>(patterns.getContext());
}

} // namespace tessera::graph
