//===- SimplifyMovement.cpp - movement that cancels or composes -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;

namespace tessera::graph {
namespace {

/// Movement that gives back its operand. Equal types prove it for reshape and broadcast only when
/// no size is unknown: 4x? and 4x? need not be the same.
struct RemoveIdentity : OpTraitRewritePattern<Movement> {
  using OpTraitRewritePattern::OpTraitRewritePattern;

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    Value operand = op->getOperand(0);
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    if (operand.getType() != type || !type.hasStaticShape())
      return rewriter.notifyMatchFailure(op, "expected one static type");
    if (!isIdentity(op, type))
      return rewriter.notifyMatchFailure(op, "expected every element to stay in place");
    rewriter.replaceOp(op, operand);
    return success();
  }

  static bool isIdentity(Operation *op, RankedTensorType type) {
    if (isa<ReshapeOp, BroadcastOp>(op))
      return true;
    if (auto permute = dyn_cast<PermuteOp>(op))
      return llvm::equal(permute.getDims(), llvm::seq<int64_t>(0, type.getRank()));
    // Steps above one make the result smaller unless there is one element at most.
    if (isa<SliceOp>(op))
      return true;
    if (auto concat = dyn_cast<ConcatOp>(op))
      return concat.getInputs().size() == 1;
    if (auto pad = dyn_cast<PadOp>(op))
      return llvm::all_of(pad.getLow(), [](int64_t amount) { return amount == 0; });
    if (auto reverse = dyn_cast<ReverseOp>(op))
      return llvm::all_of(reverse.getDims(),
                          [&](int64_t dim) { return type.getDimSize(dim) <= 1; });
    return false;
  }
};

/// reshape(reshape(x)) is reshape(x): both keep the row-major order of elements.
struct MergeReshapes : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getOperand().getDefiningOp<ReshapeOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "expected a reshape before");
    rewriter.modifyOpInPlace(op, [&] { op.getOperandMutable().assign(inner.getOperand()); });
    return success();
  }
};

/// permute(permute(x)) is one permute.
struct MergePermutes : OpRewritePattern<PermuteOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PermuteOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getOperand().getDefiningOp<PermuteOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "expected a permute before");
    SmallVector<int64_t> dims =
        llvm::map_to_vector(op.getDims(), [&](int64_t dim) { return inner.getDims()[dim]; });
    rewriter.replaceOpWithNewOp<PermuteOp>(op, op.getType(), inner.getOperand(), dims);
    return success();
  }
};

/// A permute that only moves dims of size one keeps the order of elements, and reshapes compose
/// with what reads them better than permutes do.
struct PermuteToReshape : OpRewritePattern<PermuteOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PermuteOp op, PatternRewriter &rewriter) const override {
    RankedTensorType type = rankedType(op.getOperand());
    if (!type.hasStaticShape())
      return rewriter.notifyMatchFailure(op, "expected a static shape");
    SmallVector<int64_t> moved;
    for (int64_t dim : op.getDims())
      if (type.getDimSize(dim) != 1)
        moved.push_back(dim);
    if (!llvm::is_sorted(moved))
      return rewriter.notifyMatchFailure(op, "expected only dims of size one to move");
    rewriter.replaceOpWithNewOp<ReshapeOp>(op, op.getType(), op.getOperand(),
                                           rankedType(op.getResult()).getShape());
    return success();
  }
};

/// broadcast(broadcast(x)) is broadcast(x).
struct MergeBroadcasts : OpRewritePattern<BroadcastOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(BroadcastOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getOperand().getDefiningOp<BroadcastOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "expected a broadcast before");
    rewriter.modifyOpInPlace(op, [&] { op.getOperandMutable().assign(inner.getOperand()); });
    return success();
  }
};

/// Elementwise ops broadcast by themselves. The result must not shrink, so at least one other
/// operand has to keep the shape up. A value used twice stays one value: x * x is a square.
struct DropBroadcastOperand : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    for (OpOperand &operand : op->getOpOperands()) {
      auto broadcast = operand.get().getDefiningOp<BroadcastOp>();
      if (!broadcast || llvm::count(op->getOperands(), operand.get()) > 1 ||
          !rankedType(op->getResult(0)).hasStaticShape() ||
          !keepsShape(op, operand, broadcast.getOperand()))
        continue;
      rewriter.modifyOpInPlace(op, [&] { operand.set(broadcast.getOperand()); });
      return success();
    }
    return rewriter.notifyMatchFailure(op, "expected an operand broadcast for nothing");
  }

  static bool keepsShape(Operation *op, OpOperand &replaced, Value replacement) {
    std::optional<SmallVector<int64_t>> shape(std::in_place);
    for (OpOperand &operand : op->getOpOperands()) {
      Value value = &operand == &replaced ? replacement : operand.get();
      shape = broadcastShapes(*shape, rankedType(value).getShape());
      if (!shape)
        return false;
    }
    return rankedType(op->getResult(0)).getShape() == ArrayRef<int64_t>(*shape);
  }
};

/// slice(slice(x)) is one slice.
struct MergeSlices : OpRewritePattern<SliceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(SliceOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getOperand().getDefiningOp<SliceOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "expected a slice before");
    SmallVector<int64_t> starts, limits, steps;
    for (int64_t dim = 0; dim < rankedType(op.getResult()).getRank(); ++dim) {
      int64_t step = inner.getSteps()[dim] * op.getSteps()[dim];
      int64_t start = inner.getStarts()[dim] + op.getStarts()[dim] * inner.getSteps()[dim];
      int64_t size = rankedType(op.getResult()).getDimSize(dim);
      starts.push_back(size == 0 ? 0 : start);
      // One past the last element taken: always within the inner slice's limit.
      limits.push_back(size == 0 ? 0 : start + (size - 1) * step + 1);
      steps.push_back(step);
    }
    rewriter.replaceOpWithNewOp<SliceOp>(op, op.getType(), inner.getOperand(), starts, limits,
                                         steps);
    return success();
  }
};

/// concat(concat(a, b), c) along one dim is concat(a, b, c); inputs without elements go.
struct FlattenConcat : OpRewritePattern<ConcatOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConcatOp op, PatternRewriter &rewriter) const override {
    SmallVector<Value> inputs;
    for (Value input : op.getInputs()) {
      auto inner = input.getDefiningOp<ConcatOp>();
      if (inner && inner.getDim() == op.getDim())
        llvm::append_range(inputs, inner.getInputs());
      else if (rankedType(input).getDimSize(op.getDim()) != 0)
        inputs.push_back(input);
    }
    if (inputs.empty() || llvm::equal(inputs, op.getInputs()))
      return rewriter.notifyMatchFailure(op, "expected a nested or an empty input");
    rewriter.replaceOpWithNewOp<ConcatOp>(op, op.getType(), inputs, op.getDim());
    return success();
  }
};

/// reverse(reverse(x)) reverses the dims that one of them alone does.
struct MergeReverses : OpRewritePattern<ReverseOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReverseOp op, PatternRewriter &rewriter) const override {
    auto inner = op.getOperand().getDefiningOp<ReverseOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(op, "expected a reverse before");
    llvm::SmallBitVector reversed(rankedType(op.getResult()).getRank());
    for (int64_t dim : inner.getDims())
      reversed.flip(dim);
    for (int64_t dim : op.getDims())
      reversed.flip(dim);
    SmallVector<int64_t> dims(reversed.set_bits());
    rewriter.replaceOpWithNewOp<ReverseOp>(op, op.getType(), inner.getOperand(), dims);
    return success();
  }
};

/// A reduction over dims of size one combines nothing.
struct ReduceToReshape : OpRewritePattern<ReduceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReduceOp op, PatternRewriter &rewriter) const override {
    RankedTensorType type = rankedType(op.getOperand()), result = rankedType(op.getResult());
    if (!result.hasStaticShape() ||
        !llvm::all_of(op.getDims(), [&](int64_t dim) { return type.getDimSize(dim) == 1; }))
      return rewriter.notifyMatchFailure(op, "expected dims of size one in a static shape");
    rewriter.replaceOpWithNewOp<ReshapeOp>(op, result, op.getOperand(), result.getShape());
    return success();
  }
};

} // namespace

void populateMovementPatterns(RewritePatternSet &patterns) {
  patterns.add<RemoveIdentity, MergeReshapes, MergePermutes, PermuteToReshape, MergeBroadcasts,
               DropBroadcastOperand, MergeSlices, FlattenConcat, MergeReverses, ReduceToReshape>(
      patterns.getContext());
}

} // namespace tessera::graph
