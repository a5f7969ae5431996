//===- SimplifyMatmul.cpp - transposes and leading dimensions of matrix products ===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"
#include "compiler/support/Sizes.h"

using namespace mlir;

namespace tessera::graph {
namespace {

/// A transpose of the last two dims becomes the operand's flag.
struct FoldTranspose : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    auto transposed = [](Value value) -> PermuteOp {
      auto permute = value.getDefiningOp<PermuteOp>();
      return permute && swapsLastTwo(permute.getDims()) ? permute : nullptr;
    };
    PermuteOp lhs = transposed(op.getLhs()), rhs = transposed(op.getRhs());
    if (!lhs && !rhs)
      return rewriter.notifyMatchFailure(op, "expected a transposed operand");
    rewriter.modifyOpInPlace(op, [&] {
      if (lhs) {
        op.getLhsMutable().assign(lhs.getOperand());
        op.setTransposeA(!op.getTransposeA());
      }
      if (rhs) {
        op.getRhsMutable().assign(rhs.getOperand());
        op.setTransposeB(!op.getTransposeB());
      }
    });
    return success();
  }
};

/// One matrix on the right serves every row on the left: [.., M, K] x [K, N] is a product of two
/// matrices, which reuses the right one over all rows and needs no batch loop.
struct FlattenLeadingDims : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    RankedTensorType lhs = rankedType(op.getLhs()), rhs = rankedType(op.getRhs()),
                     result = rankedType(op.getResult());
    if (lhs.getRank() <= 2 || op.getTransposeA())
      return rewriter.notifyMatchFailure(op, "expected leading dims and rows in order on the left");
    bool isSingle = llvm::all_of(rhs.getShape().drop_back(2), [](int64_t d) { return d == 1; });
    if (!isSingle || !lhs.hasStaticShape() || !rhs.hasStaticShape() ||
        rhs.getRank() > lhs.getRank())
      return rewriter.notifyMatchFailure(op, "expected static shapes and one matrix on the right");
    int64_t depth = lhs.getShape().back(), rows = productOf(lhs.getShape().drop_back());
    Location loc = op.getLoc();
    Value left = ReshapeOp::create(rewriter, loc, op.getLhs(), ArrayRef<int64_t>{rows, depth});
    Value right = op.getRhs();
    if (rhs.getRank() > 2)
      right = ReshapeOp::create(rewriter, loc, right, rhs.getShape().take_back(2));
    Value product = MatmulOp::create(rewriter, loc, left, right, false, op.getTransposeB());
    rewriter.replaceOpWithNewOp<ReshapeOp>(op, result, product, result.getShape());
    return success();
  }
};

} // namespace

void populateMatmulPatterns(RewritePatternSet &patterns) {
  patterns.add<FoldTranspose, FlattenLeadingDims>(patterns.getContext());
}

} // namespace tessera::graph
