//===- RecognizeActivation.cpp - sigmoid, SiLU and GELU written by hand ---===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/RecognizePatterns.h"

#include <cmath>

using namespace mlir;

namespace tessera::graph {
namespace {

/// A product taken apart: the constants' product and everything else, in no order.
struct Product {
  double factor = 1.0;
  SmallVector<Value> values;

  bool isFactor(double wanted, double epsilon) const {
    // One rounding a constant, and four constants at most.
    return std::abs(factor - wanted) <= 4 * epsilon * std::abs(wanted);
  }
  /// Removes one occurrence.
  bool take(Value value) {
    auto *it = llvm::find(values, value);
    if (it == values.end())
      return false;
    values.erase(it);
    return true;
  }
};

void collect(Value value, Product &product) {
  if (std::optional<double> number = splatNumber(value)) {
    product.factor *= *number;
    return;
  }
  if (auto mul = value.getDefiningOp<MulOp>()) {
    collect(mul.getLhs(), product);
    collect(mul.getRhs(), product);
    return;
  }
  auto div = value.getDefiningOp<DivOp>();
  if (std::optional<double> divisor = div ? splatNumber(div.getRhs()) : std::nullopt;
      divisor && *divisor != 0) {
    product.factor /= *divisor;
    collect(div.getLhs(), product);
    return;
  }
  product.values.push_back(value);
}

Product productOf(Value value) {
  Product product;
  collect(value, product);
  return product;
}

/// Whether a value is x * sqrt(1/2).
bool isErfArgument(Value value, Value x, double epsilon) {
  Product product = productOf(value);
  return product.take(x) && product.values.empty() && product.isFactor(std::sqrt(0.5), epsilon);
}

/// Whether a value is sqrt(2/pi) * (x + 0.044715 x^3), also with x taken out of the sum.
bool isTanhArgument(Value value, Value x, double epsilon) {
  Product outer = productOf(value);
  if (!outer.isFactor(std::sqrt(2.0 / M_PI), epsilon))
    return false;
  bool isFactored = outer.values.size() == 2 && outer.take(x);
  auto sum = outer.values.size() == 1 ? outer.values[0].getDefiningOp<AddOp>() : nullptr;
  if (!sum)
    return false;
  for (auto [linear, cubic] :
       {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())}) {
    Product product = productOf(cubic);
    size_t power = 0;
    while (product.take(x))
      ++power;
    bool isCubic = product.values.empty() && product.isFactor(0.044715, epsilon);
    if (isFactored ? isCubic && power == 2 && isAbout(linear, 1.0)
                   : isCubic && power == 3 && linear == x)
      return true;
  }
  return false;
}

/// 0.5 * x * (1 + erf(x / sqrt 2)) and 0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))),
/// however the factors are grouped.
struct RecognizeGelu : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    double epsilon = relativeEpsilon(rankedType(op.getResult()).getElementType());
    Product product = productOf(op.getResult());
    if (epsilon == 0 || product.values.size() != 2 || !product.isFactor(0.5, epsilon))
      return rewriter.notifyMatchFailure(op, "expected 0.5 times two values");
    for (auto [x, other] : {std::pair(product.values[0], product.values[1]),
                            std::pair(product.values[1], product.values[0])}) {
      if (x.getType() != op.getType())
        continue;
      Value inner = otherThan<AddOp>(other, 1.0);
      if (!inner)
        continue;
      if (auto erf = inner.getDefiningOp<ErfOp>();
          erf && isErfArgument(erf.getOperand(), x, epsilon)) {
        rewriter.replaceOpWithNewOp<GeluOp>(op, x, GeluApproximation::None);
        return success();
      }
      if (auto tanh = inner.getDefiningOp<TanhOp>();
          tanh && isTanhArgument(tanh.getOperand(), x, epsilon)) {
        rewriter.replaceOpWithNewOp<GeluOp>(op, x, GeluApproximation::Tanh);
        return success();
      }
    }
    return rewriter.notifyMatchFailure(op, "expected 1 + erf or 1 + tanh of the same value");
  }
};

/// exp(-x) where a value is 1 + exp(-x).
Value matchOnePlusExpNeg(Value value) {
  Value other = otherThan<AddOp>(value, 1.0);
  auto exp = other ? other.getDefiningOp<ExpOp>() : nullptr;
  auto neg = exp ? exp.getOperand().getDefiningOp<NegOp>() : nullptr;
  return neg ? neg.getOperand() : Value();
}

/// 1 / (1 + exp(-x)).
struct RecognizeSigmoid : OpRewritePattern<ReciprocalOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReciprocalOp op, PatternRewriter &rewriter) const override {
    Value x = matchOnePlusExpNeg(op.getOperand());
    if (!x || x.getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "expected 1 + exp(-x)");
    rewriter.replaceOpWithNewOp<SigmoidOp>(op, x);
    return success();
  }
};

/// x * sigmoid(x).
struct RecognizeSilu : OpRewritePattern<MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MulOp op, PatternRewriter &rewriter) const override {
    for (auto [x, other] :
         {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
      auto sigmoid = other.getDefiningOp<SigmoidOp>();
      if (!sigmoid || sigmoid.getOperand() != x)
        continue;
      rewriter.replaceOpWithNewOp<SiluOp>(op, x);
      return success();
    }
    return rewriter.notifyMatchFailure(op, "expected x times its sigmoid");
  }
};

/// x / (1 + exp(-x)).
struct RecognizeSiluQuotient : OpRewritePattern<DivOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(DivOp op, PatternRewriter &rewriter) const override {
    if (matchOnePlusExpNeg(op.getRhs()) != op.getLhs() || op.getLhs().getType() != op.getType())
      return rewriter.notifyMatchFailure(op, "expected x / (1 + exp(-x))");
    rewriter.replaceOpWithNewOp<SiluOp>(op, op.getLhs());
    return success();
  }
};

} // namespace

void populateActivationPatterns(RewritePatternSet &patterns) {
  patterns.add<RecognizeGelu, RecognizeSigmoid, RecognizeSilu, RecognizeSiluQuotient>(
      patterns.getContext());
}

} // namespace tessera::graph
