//===- SinkPermutes.cpp - permutes of rows go below what works row by row --===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Attention modules transpose batch and sequence around every projection. A
// product with a plain matrix and an elementwise op treat all rows alike, so the
// permute can come after them, where it meets its inverse or becomes a layout:
//
//   matmul(permute(x), W)    → permute(matmul(x, W))       last dimension in place
//   matmul(reshape(x), W)    → reshape(matmul(x, W))       only rows regrouped
//   reshape(permute(x))      → reshape(permute(reshape x)) merging what stays together first
//   reshape(permute(x))      → permute(reshape(x))         when it only splits
//   op(permute(x), row-wise) → permute(op(x, row-wise))
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/GreedyPass.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

#include "mlir/IR/PatternMatch.h"

namespace tessera::graph {
#define GEN_PASS_DEF_GRAPHSINKPERMUTES
#include "compiler/graph/transforms/Passes.h.inc"
} // namespace tessera::graph

using namespace mlir;
using namespace tessera;
using namespace tessera::graph;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

static Value permute(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> dims) {
  SmallVector<int64_t> shape;
  for (int64_t d : dims)
    shape.push_back(typeOf(value).getDimSize(d));
  return PermuteOp::create(b, loc, typeOf(value).clone(shape), value, b.getDenseI64ArrayAttr(dims));
}

static Value reshape(OpBuilder &b, Location loc, Value value, ArrayRef<int64_t> shape) {
  return ReshapeOp::create(b, loc, typeOf(value).clone(shape), value,
                           b.getDenseI64ArrayAttr(shape));
}

namespace {

/// A product whose right side is one matrix for all rows.
LogicalResult matchRowProduct(MatmulOp op, PatternRewriter &rewriter) {
  if (typeOf(op.getRhs()).getRank() != 2)
    return rewriter.notifyMatchFailure(op, "expected one matrix on the right");
  if (op.getTransposeA())
    return rewriter.notifyMatchFailure(op, "expected the left operand's rows in place");
  return success();
}

/// The product of `lhs` instead of `op`'s own left operand.
Value productOf(PatternRewriter &rewriter, MatmulOp op, Value lhs) {
  SmallVector<int64_t> shape(typeOf(lhs).getShape());
  shape.back() = typeOf(op.getResult()).getShape().back();
  Operation *product = rewriter.clone(*op);
  product->setOperand(0, lhs);
  product->getResult(0).setType(typeOf(op.getResult()).clone(shape));
  return product->getResult(0);
}

struct SinkPermuteBelowMatmul : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    if (failed(matchRowProduct(op, rewriter)))
      return failure();
    auto producer = op.getLhs().getDefiningOp<PermuteOp>();
    if (!producer || producer.getDims().empty() ||
        producer.getDims().back() != static_cast<int64_t>(producer.getDims().size()) - 1)
      return rewriter.notifyMatchFailure(
          op, "expected a permute that leaves the last dimension in place");
    Value product = productOf(rewriter, op, producer.getOperand());
    rewriter.replaceOp(op, permute(rewriter, op.getLoc(), product, producer.getDims()));
    return success();
  }
};

struct SinkReshapeBelowMatmul : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    if (failed(matchRowProduct(op, rewriter)))
      return failure();
    auto producer = op.getLhs().getDefiningOp<ReshapeOp>();
    if (!producer)
      return rewriter.notifyMatchFailure(op, "expected a reshape on the left");
    RankedTensorType source = typeOf(producer.getOperand());
    if (source.getRank() < 2 || !source.hasStaticShape() ||
        source.getShape().back() != typeOf(op.getLhs()).getShape().back() ||
        source.getNumElements() == 0)
      return rewriter.notifyMatchFailure(op, "expected a reshape that only regroups rows");
    Value product = productOf(rewriter, op, producer.getOperand());
    rewriter.replaceOp(op,
                       reshape(rewriter, op.getLoc(), product, typeOf(op.getResult()).getShape()));
    return success();
  }
};

/// Runs of `from`'s dimensions whose products are `to`'s; nothing when `to` also splits dimensions.
std::optional<SmallVector<std::pair<int64_t, int64_t>>> mergedRuns(ArrayRef<int64_t> from,
                                                                   ArrayRef<int64_t> to) {
  SmallVector<std::pair<int64_t, int64_t>> runs;
  int64_t d = 0, rank = from.size();
  for (int64_t size : to) {
    int64_t first = d, product = 1;
    do {
      if (d == rank)
        return std::nullopt;
      product *= from[d++];
    } while (product < size);
    if (product != size)
      return std::nullopt;
    runs.push_back({first, d});
  }
  while (d < rank && from[d] == 1)
    runs.back().second = ++d;
  return d == rank ? std::optional(runs) : std::nullopt;
}

struct MergeBelowPermute : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    auto producer = op.getOperand().getDefiningOp<PermuteOp>();
    if (!producer || !typeOf(op.getResult()).hasStaticShape() ||
        typeOf(op.getResult()).getRank() == 0)
      return rewriter.notifyMatchFailure(op, "expected a reshape of a permute");
    ArrayRef<int64_t> permuted = typeOf(producer.getResult()).getShape();
    SmallVector<int64_t> dims(producer.getDims());
    Value source = producer.getOperand();
    // Overlapping windows merge with nothing: they would be copied here, and again behind.
    if (source.getDefiningOp<WindowOp>())
      return rewriter.notifyMatchFailure(op, "expected no windows");
    // Attention stores heads inside the sequence: that order, not the logical one, is what stays
    // together.
    SmallVector<int64_t> stored;
    if (source.getDefiningOp<AttentionOp>()) {
      stored = llvm::to_vector(llvm::seq<int64_t>(0, dims.size()));
      std::swap(stored[stored.size() - 2], stored[stored.size() - 3]);
      for (int64_t &d : dims)
        d = stored[d];
      if (llvm::is_sorted(dims))
        return rewriter.notifyMatchFailure(op, "expected another order than the stored one");
    }
    if (llvm::is_contained(permuted, 0))
      return rewriter.notifyMatchFailure(op, "expected elements");
    auto runs = mergedRuns(permuted, typeOf(op.getResult()).getShape());
    if (!runs)
      return rewriter.notifyMatchFailure(op, "expected a reshape that only merges dimensions");

    // Cut each run where its dimensions are not neighbours in the source: the pieces merge below
    // the permute.
    SmallVector<SmallVector<int64_t>> pieces; // source dimensions, in the permuted order
    for (auto [first, last] : *runs)
      for (int64_t d = first; d < last; ++d) {
        if (d > first && dims[d] == dims[d - 1] + 1)
          pieces.back().push_back(dims[d]);
        else
          pieces.push_back({dims[d]});
      }
    if (pieces.size() == dims.size())
      return rewriter.notifyMatchFailure(op, "expected dimensions that stay together");

    if (!stored.empty())
      source = permute(rewriter, op.getLoc(), source, stored);
    SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(0, pieces.size()));
    llvm::sort(order, [&](int64_t x, int64_t y) { return pieces[x].front() < pieces[y].front(); });
    SmallVector<int64_t> merged, newDims(pieces.size());
    for (auto [position, piece] : llvm::enumerate(order)) {
      int64_t size = 1;
      for (int64_t d : pieces[piece])
        size *= typeOf(source).getDimSize(d);
      merged.push_back(size);
      newDims[piece] = position;
    }
    source = reshape(rewriter, op.getLoc(), source, merged);
    Value result = permute(rewriter, op.getLoc(), source, newDims);
    rewriter.replaceOp(op,
                       reshape(rewriter, op.getLoc(), result, typeOf(op.getResult()).getShape()));
    return success();
  }
};

/// A reshape that only splits dimensions may as well split them before the permute; so a merge that
/// is taken apart again behind a permute disappears.
struct SplitAbovePermute : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    auto producer = op.getOperand().getDefiningOp<PermuteOp>();
    if (!producer || !typeOf(op.getResult()).hasStaticShape() ||
        typeOf(op.getOperand()).getRank() == 0)
      return rewriter.notifyMatchFailure(op, "expected a reshape of a permute");
    ArrayRef<int64_t> dims = producer.getDims(), shape = typeOf(op.getResult()).getShape();
    if (llvm::is_contained(shape, 0) || shape.size() <= dims.size())
      return rewriter.notifyMatchFailure(op, "expected more dimensions, and elements");
    auto runs = mergedRuns(shape, typeOf(op.getOperand()).getShape());
    if (!runs)
      return rewriter.notifyMatchFailure(op, "expected a reshape that only splits dimensions");
    SmallVector<int64_t> split, first(dims.size()), newDims;
    SmallVector<int64_t> position(dims.size());
    for (auto [d, from] : llvm::enumerate(dims))
      position[from] = d;
    for (auto [from, d] : llvm::enumerate(position)) {
      first[from] = split.size();
      split.append(shape.begin() + (*runs)[d].first, shape.begin() + (*runs)[d].second);
    }
    for (auto [d, from] : llvm::enumerate(dims))
      for (int64_t i = 0, e = (*runs)[d].second - (*runs)[d].first; i != e; ++i)
        newDims.push_back(first[from] + i);
    Value source = reshape(rewriter, op.getLoc(), producer.getOperand(), split);
    rewriter.replaceOp(op, permute(rewriter, op.getLoc(), source, newDims));
    return success();
  }
};

/// `other` as it reads when its partner is not permuted by `dims`; null when that needs a permute
/// of its own.
Value unpermuted(Value other, ArrayRef<int64_t> dims) {
  if (auto producer = other.getDefiningOp<PermuteOp>())
    if (producer.getDims() == dims)
      return producer.getOperand();
  // Size-1 dimensions may go anywhere; the others must be dimensions the permute leaves in place.
  int64_t rank = dims.size(), added = rank - typeOf(other).getRank();
  for (auto [d, size] : llvm::enumerate(typeOf(other).getShape()))
    if (size != 1 && dims[d + added] != static_cast<int64_t>(d) + added)
      return {};
  return other;
}

struct SinkPermuteBelowElementwise : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;
  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    PermuteOp producer;
    for (Value operand : op->getOperands())
      if (auto candidate = operand.getDefiningOp<PermuteOp>();
          candidate &&
          operand.getType() == typeOf(op->getResult(0)).clone(typeOf(operand).getElementType()))
        producer = candidate;
    if (!producer || op->getNumResults() != 1)
      return rewriter.notifyMatchFailure(op, "expected a permuted operand of the result's shape");
    // A permute that others need too stays; sinking it here would only add one.
    if (!producer->hasOneUse())
      return rewriter.notifyMatchFailure(op, "expected the permute's only use");
    ArrayRef<int64_t> dims = producer.getDims();
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      Value plain =
          operand.getDefiningOp() == producer ? producer.getOperand() : unpermuted(operand, dims);
      if (!plain)
        return rewriter.notifyMatchFailure(
            op, "expected the other operands to broadcast along the permuted ones");
      operands.push_back(plain);
    }
    Operation *inner = rewriter.clone(*op);
    inner->setOperands(operands);
    inner->getResult(0).setType(
        typeOf(op->getResult(0)).clone(typeOf(producer.getOperand()).getShape()));
    rewriter.replaceOp(op, permute(rewriter, op->getLoc(), inner->getResult(0), dims));
    return success();
  }
};

/// Whether `value` is a permute, or rows of one, regrouped from another shape than `source`'s: an
/// op that moved to the one would move on to the other, and back.
bool isMovedOtherwise(Value value, RankedTensorType source) {
  auto regrouped = value.getDefiningOp<ReshapeOp>();
  Value inner = regrouped ? regrouped.getOperand() : value;
  return inner.getDefiningOp<PermuteOp>() && typeOf(inner).getShape() != source.getShape();
}

/// A regrouping of permuted rows in front of a row-wise op: below it the permute can follow.
struct SinkRowReshapeBelowElementwise : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;
  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 1)
      return failure();
    ArrayRef<int64_t> shape = typeOf(op->getResult(0)).getShape();
    ReshapeOp producer;
    for (Value operand : op->getOperands())
      if (auto candidate = operand.getDefiningOp<ReshapeOp>())
        if (typeOf(operand).getShape() == shape &&
            candidate.getOperand().getDefiningOp<PermuteOp>())
          producer = candidate;
    if (!producer || !producer->hasOneUse())
      return rewriter.notifyMatchFailure(op, "expected a reshape of a permute, used once");
    RankedTensorType source = typeOf(producer.getOperand());
    // A reshape that changes nothing will be folded; moved below, it would come back for ever.
    if (source.getRank() == 0 || !source.hasStaticShape() || source.getShape() == shape ||
        source.getShape().back() != shape.back())
      return rewriter.notifyMatchFailure(op, "expected other rows, the last dimension in place");
    // All of them before anything is made: a pattern that fails leaves nothing behind.
    for (Value operand : op->getOperands()) {
      ArrayRef<int64_t> own = typeOf(operand).getShape();
      if (operand.getDefiningOp() != producer && own == shape && isMovedOtherwise(operand, source))
        return rewriter.notifyMatchFailure(op, "expected no other operand that asks for the like");
      bool rowWise =
          own.empty() || (static_cast<int64_t>(own.size()) <= source.getRank() &&
                          llvm::all_of(own.drop_back(), [](int64_t size) { return size == 1; }));
      if (own != shape && !rowWise)
        return rewriter.notifyMatchFailure(op, "expected the other operands to be one row");
    }
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      if (typeOf(operand).getShape() == shape)
        operand = reshape(rewriter, op->getLoc(), operand, source.getShape());
      operands.push_back(operand);
    }
    Operation *inner = rewriter.clone(*op);
    inner->setOperands(operands);
    inner->getResult(0).setType(typeOf(op->getResult(0)).clone(source.getShape()));
    rewriter.replaceOp(op, reshape(rewriter, op->getLoc(), inner->getResult(0), shape));
    return success();
  }
};

struct GraphSinkPermutes
    : GreedyPass<tessera::graph::impl::GraphSinkPermutesBase<GraphSinkPermutes>> {
  void populate(RewritePatternSet &owned) override {
    owned.add<SinkPermuteBelowMatmul, SinkReshapeBelowMatmul, MergeBelowPermute, SplitAbovePermute,
              SinkPermuteBelowElementwise, SinkRowReshapeBelowElementwise>(owned.getContext());
    // What is sunk has to meet its inverse, and compose with what it lands on.
    populateMovementPatterns(owned);
  }
};

} // namespace
