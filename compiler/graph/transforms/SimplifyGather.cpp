//===- SimplifyGather.cpp - reading few elements ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From a log_softmax of which a gather takes few elements, as in a cross entropy,
// to the same elements of its operand less what their rows have in common: the
// others are never written.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

using namespace mlir;

namespace tessera::graph {
namespace {

/// Elements a gather may take of a log_softmax, one of so many, for its rows not to be written.
constexpr int64_t fewOf = 4;

/// gather(log_softmax(x), i) = gather(x, i) - gather(max, row of i) - gather(log(sum), row of i),
/// all of them flattened; the same arithmetic. Halves would round what is between.
struct GatherLogSoftmax : OpRewritePattern<GatherOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(GatherOp op, PatternRewriter &rewriter) const override {
    auto flat = op.getSource().getDefiningOp<ReshapeOp>();
    auto softmax = flat ? flat.getOperand().getDefiningOp<LogSoftmaxOp>() : LogSoftmaxOp();
    if (!softmax || !flat->hasOneUse() || !softmax->hasOneUse())
      return rewriter.notifyMatchFailure(op,
                                         "expected elements of a log_softmax nobody else reads");
    RankedTensorType type = rankedType(softmax), indexType = rankedType(op.getIndex());
    if (rankedType(flat).getRank() != 1 ||
        static_cast<int64_t>(softmax.getDim()) != type.getRank() - 1 ||
        type.getElementTypeBitWidth() < 32 || !type.hasStaticShape() ||
        !indexType.hasStaticShape() || type.getNumElements() == 0 ||
        indexType.getNumElements() * fewOf > type.getNumElements())
      return rewriter.notifyMatchFailure(op, "expected few elements of rows of f32 or f64");

    Location loc = op.getLoc();
    SmallVector<int64_t> kept(type.getShape().drop_back()), last{type.getRank() - 1};
    int64_t length = type.getShape().back(), rows = ShapedType::getNumElements(kept);
    kept.push_back(1);
    RankedTensorType rowType = type.clone(kept), result = rankedType(op);
    Value x = softmax.getOperand();
    Value largest = ReduceOp::create(rewriter, loc, rowType, ReduceKind::Max, x, last, true);
    Value shifted = SubOp::create(rewriter, loc, type, x, largest);
    Value exp = ExpOp::create(rewriter, loc, type, shifted);
    Value sum = ReduceOp::create(rewriter, loc, rowType, ReduceKind::Sum, exp, last, true);
    Value log = LogOp::create(rewriter, loc, rowType, sum);
    Value step = createSplat(rewriter, loc, indexType.clone(ArrayRef<int64_t>()), length);
    Value row = FloorDivOp::create(rewriter, loc, indexType, op.getIndex(), step);
    auto gather = [&](Value from, int64_t size, Value index) -> Value {
      Value line = ReshapeOp::create(rewriter, loc, type.clone({size}), from, {size});
      return GatherOp::create(rewriter, loc, result, line, index, op.getDim());
    };
    Value element = gather(x, rows * length, op.getIndex());
    Value less = SubOp::create(rewriter, loc, result, element, gather(largest, rows, row));
    rewriter.replaceOpWithNewOp<SubOp>(op, result, less, gather(log, rows, row));
    return success();
  }
};

} // namespace

void populateGatherPatterns(RewritePatternSet &patterns) {
  patterns.add<GatherLogSoftmax>(patterns.getContext());
}

} // namespace tessera::graph
