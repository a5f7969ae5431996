//===- RecognizeSoftmax.cpp - softmax and log-softmax written by hand -----===//
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

/// x and dim where a value is x - max(x, dim). Without the subtraction the sum may overflow where
/// the op's does not: another function, left alone.
struct Shifted {
  Value x;
  int64_t dim;
};
std::optional<Shifted> matchShifted(Value value) {
  auto sub = value.getDefiningOp<SubOp>();
  ReduceOp max = sub ? matchKeptReduce(sub.getRhs(), ReduceKind::Max) : nullptr;
  if (!max || max.getOperand() != sub.getLhs() || max.getDims().size() != 1)
    return std::nullopt;
  return Shifted{sub.getLhs(), max.getDims()[0]};
}

/// Whether a value is the sum of `exp` over one dim.
bool isSumOver(Value value, Value exp, int64_t dim) {
  ReduceOp sum = matchKeptReduce(value, ReduceKind::Sum);
  return sum && sum.getOperand() == exp && sum.getDims() == ArrayRef<int64_t>(dim);
}

/// exp(x - max) / sum(exp(x - max)).
struct RecognizeSoftmax : OpRewritePattern<DivOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(DivOp op, PatternRewriter &rewriter) const override {
    auto exp = op.getLhs().getDefiningOp<ExpOp>();
    std::optional<Shifted> shifted = exp ? matchShifted(exp.getOperand()) : std::nullopt;
    if (!shifted || !isSumOver(op.getRhs(), exp, shifted->dim))
      return rewriter.notifyMatchFailure(op, "expected exp(x - max) over its sum");
    rewriter.replaceOpWithNewOp<SoftmaxOp>(op, op.getType(), shifted->x, shifted->dim);
    return success();
  }
};

/// (x - max) - log(sum(exp(x - max))).
struct RecognizeLogSoftmax : OpRewritePattern<SubOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SubOp op, PatternRewriter &rewriter) const override {
    std::optional<Shifted> shifted = matchShifted(op.getLhs());
    auto log = op.getRhs().getDefiningOp<LogOp>();
    ReduceOp sum = log ? matchKeptReduce(log.getOperand(), ReduceKind::Sum) : nullptr;
    auto exp = sum ? sum.getOperand().getDefiningOp<ExpOp>() : nullptr;
    if (!shifted || !exp || exp.getOperand() != op.getLhs() ||
        sum.getDims() != ArrayRef<int64_t>(shifted->dim))
      return rewriter.notifyMatchFailure(op, "expected x - max less the logarithm of its sum");
    rewriter.replaceOpWithNewOp<LogSoftmaxOp>(op, op.getType(), shifted->x, shifted->dim);
    return success();
  }
};

} // namespace

void populateSoftmaxPatterns(RewritePatternSet &patterns) {
  patterns.add<RecognizeSoftmax, RecognizeLogSoftmax>(patterns.getContext());
}

} // namespace tessera::graph
