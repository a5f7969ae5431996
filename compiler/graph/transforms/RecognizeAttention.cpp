//===- RecognizeAttention.cpp - attention written by hand -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// softmax(scale * q k^T [+ mask]) v. A row whose scores are all -inf is zero in
// graph.attention and NaN when written by hand, so a mask is taken only when no
// such row can be: it is finite, or it is the causal one.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/RecognizePatterns.h"

#include <cmath>

using namespace mlir;

namespace tessera::graph {
namespace {

/// Bounds of a value's elements, as far as ops above it prove them.
struct Range {
  double low, high;
};

std::optional<Range> rangeOf(Value value, unsigned depth = 0) {
  Operation *op = value.getDefiningOp();
  if (!op || depth > 16)
    return std::nullopt;
  if (std::optional<double> number = splatNumber(value))
    return std::isnan(*number) ? std::nullopt : std::optional(Range{*number, *number});
  if (isa<ReshapeOp, PermuteOp, BroadcastOp, SliceOp, ReverseOp>(op))
    return rangeOf(op->getOperand(0), depth + 1);
  if (auto cast = dyn_cast<CastOp>(op))
    return rankedType(cast.getOperand()).getElementType().isInteger(1) ? std::optional(Range{0, 1})
                                                                       : std::nullopt;
  std::optional<Range> a, b;
  if (isa<SelectOp>(op)) {
    a = rangeOf(op->getOperand(1), depth + 1);
    b = rangeOf(op->getOperand(2), depth + 1);
  } else if (isa<AddOp, SubOp, MulOp>(op)) {
    a = rangeOf(op->getOperand(0), depth + 1);
    b = rangeOf(op->getOperand(1), depth + 1);
  }
  if (!a || !b)
    return std::nullopt;
  if (isa<SelectOp>(op))
    return Range{std::min(a->low, b->low), std::max(a->high, b->high)};
  if (isa<AddOp>(op))
    return Range{a->low + b->low, a->high + b->high};
  if (isa<SubOp>(op))
    return Range{a->low - b->high, a->high - b->low};
  auto products = {a->low * b->low, a->low * b->high, a->high * b->low, a->high * b->high};
  return Range{std::min(products), std::max(products)};
}

/// Whether no element can be infinite or NaN in its own type.
bool isFinite(Value value) {
  auto element = dyn_cast<FloatType>(rankedType(value).getElementType());
  std::optional<Range> range = element ? rangeOf(value) : std::nullopt;
  if (!range)
    return false;
  APFloat largest = APFloat::getLargest(element.getFloatSemantics());
  bool losesInfo;
  largest.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
  return std::abs(range->low) <= largest.convertToDouble() &&
         std::abs(range->high) <= largest.convertToDouble();
}

/// Integers that count along one dim: offset, offset + 1, ...
struct Positions {
  int64_t dimFromEnd = 0; ///< 1 is the last dim; 0 when the value does not count
  int64_t offset = 0;
};

/// The dim, from the end, that a vector gets when ones are put around it; 0 when it is split.
int64_t dimOfVector(RankedTensorType vector, RankedTensorType reshaped) {
  if (vector.getRank() != 1 || !vector.hasStaticShape() || vector.getDimSize(0) <= 1)
    return 0;
  for (int64_t dim = 0; dim < reshaped.getRank(); ++dim)
    if (reshaped.getDimSize(dim) == vector.getDimSize(0))
      return reshaped.getRank() - dim;
  return 0;
}

Positions matchPositions(Value value) {
  Positions result;
  // Set where the rest counts along a vector that was reshaped.
  int64_t vectorDim = 0;
  while (Operation *op = value.getDefiningOp()) {
    std::optional<double> right =
        isa<AddOp, SubOp>(op) ? splatNumber(op->getOperand(1)) : std::nullopt;
    if (isa<BroadcastOp>(op) && vectorDim == 0) {
      value = op->getOperand(0); // aligned at the end, so the count from there stays
    } else if (right) {
      result.offset += static_cast<int64_t>(isa<SubOp>(op) ? -*right : *right);
      value = op->getOperand(0);
    } else if (isa<ReshapeOp>(op) && vectorDim == 0) {
      vectorDim = dimOfVector(rankedType(op->getOperand(0)), rankedType(op->getResult(0)));
      if (vectorDim == 0)
        return {};
      value = op->getOperand(0);
    } else {
      break;
    }
  }
  auto iota = value.getDefiningOp<IotaOp>();
  auto start = iota ? dyn_cast<IntegerAttr>(iota.getStart()) : nullptr;
  auto step = iota ? dyn_cast<IntegerAttr>(iota.getStep()) : nullptr;
  if (!start || !step || step.getInt() != 1 || !isa<IntegerType>(iota.getDtype()))
    return {};
  result.offset += start.getInt();
  result.dimFromEnd = vectorDim ? vectorDim : rankedType(value).getRank() - iota.getDim();
  return result;
}

/// What a condition on positions hides.
enum class Visible { Unknown, WhenTrue, WhenFalse };

/// The predicate that holds for exchanged operands.
ComparePredicate swapped(ComparePredicate predicate) {
  switch (predicate) {
  case ComparePredicate::Lt:
    return ComparePredicate::Gt;
  case ComparePredicate::Le:
    return ComparePredicate::Ge;
  case ComparePredicate::Gt:
    return ComparePredicate::Lt;
  case ComparePredicate::Ge:
    return ComparePredicate::Le;
  case ComparePredicate::Eq:
  case ComparePredicate::Ne:
    return predicate;
  }
  llvm_unreachable("all predicates are handled above");
}

/// When a key is seen that stands at the query's position or before it, which leaves every row
/// key 0.
Visible matchCausal(Value condition) {
  bool inverted = false;
  while (Operation *op = condition.getDefiningOp()) {
    if (!isa<BroadcastOp, BitwiseNotOp>(op))
      break;
    inverted ^= isa<BitwiseNotOp>(op);
    condition = op->getOperand(0);
  }
  auto compare = condition.getDefiningOp<CompareOp>();
  if (!compare)
    return Visible::Unknown;
  ComparePredicate predicate = compare.getPredicate();
  Positions key = matchPositions(compare.getLhs()), query = matchPositions(compare.getRhs());
  if (key.dimFromEnd == 2) {
    std::swap(key, query);
    predicate = swapped(predicate);
  }
  if (key.dimFromEnd != 1 || query.dimFromEnd != 2)
    return Visible::Unknown;
  // key <= query is key < query + 1, and its opposite likewise.
  int64_t ahead = query.offset - key.offset;
  bool shows = (predicate == ComparePredicate::Le && ahead == 0) ||
               (predicate == ComparePredicate::Lt && ahead == 1);
  bool hides = (predicate == ComparePredicate::Gt && ahead == 0) ||
               (predicate == ComparePredicate::Ge && ahead == 1);
  if (!shows && !hides)
    return Visible::Unknown;
  return shows != inverted ? Visible::WhenTrue : Visible::WhenFalse;
}

/// Whether a value is a constant so low that exp of it vanishes beside the row's own first score.
bool isHidden(Value value) {
  std::optional<double> number = splatNumber(value);
  return number && *number <= -1e30;
}

/// What a causal mask lets through: the other value of a select with a hidden one.
Value matchCausalSelect(Value value) {
  auto select = value.getDefiningOp<SelectOp>();
  if (!select)
    return {};
  Visible visible = matchCausal(select.getCondition());
  if (visible == Visible::WhenTrue && isHidden(select.getOnFalse()))
    return select.getOnTrue();
  if (visible == Visible::WhenFalse && isHidden(select.getOnTrue()))
    return select.getOnFalse();
  return {};
}

/// What the scores before softmax are made of.
struct Scores {
  MatmulOp product;
  double scale = 1.0;
  Value mask;
  bool causal = false;
};

Value stripBroadcast(Value value) {
  while (auto broadcast = value.getDefiningOp<BroadcastOp>())
    value = broadcast.getOperand();
  return value;
}

/// Takes apart scale, one mask and the product, from the outside in.
std::optional<Scores> matchScores(Value value) {
  Scores scores;
  if (Value seen = matchCausalSelect(value)) {
    if (seen.getType() != value.getType())
      return std::nullopt;
    scores.causal = true;
    value = seen;
  } else if (auto add = value.getDefiningOp<AddOp>()) {
    bool isLeft = matchScaled(add.getLhs()).value.getDefiningOp<MatmulOp>() != nullptr;
    Value product = isLeft ? add.getLhs() : add.getRhs();
    Value mask = isLeft ? add.getRhs() : add.getLhs();
    if (product.getType() != add.getType())
      return std::nullopt;
    // Zero where a key is seen and -inf elsewhere is the causal mask, added.
    Value seen = matchCausalSelect(stripBroadcast(mask));
    scores.causal = seen && splatNumber(seen) == 0.0;
    if (!scores.causal && !isFinite(mask))
      return std::nullopt;
    if (!scores.causal)
      scores.mask = mask;
    value = product;
  }
  Scaled scaled = matchScaled(value);
  scores.product = scaled.value.getDefiningOp<MatmulOp>();
  scores.scale = scaled.factor;
  if (!scores.product || scores.product.getTransposeA())
    return std::nullopt;
  return scores;
}

/// The value below a cast, as models that take softmax in f32 write it.
Value skipCast(Value value) {
  auto cast = value.getDefiningOp<CastOp>();
  return cast ? cast.getOperand() : value;
}

/// matmul(softmax(scores), v).
struct RecognizeAttention : OpRewritePattern<MatmulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    if (op.getTransposeA() || op.getTransposeB())
      return rewriter.notifyMatchFailure(op, "expected the values untransposed");
    auto softmax = skipCast(op.getLhs()).getDefiningOp<SoftmaxOp>();
    RankedTensorType type = rankedType(op.getResult());
    int64_t rank = type.getRank();
    if (!softmax || static_cast<int64_t>(softmax.getDim()) != rank - 1 || rank < 3)
      return rewriter.notifyMatchFailure(op, "expected a softmax over the keys, with heads");
    Type element = type.getElementType();
    // The op computes its softmax in f32 at least; one in a narrower type is another function.
    if (relativeEpsilon(rankedType(softmax).getElementType()) > relativeEpsilon(element))
      return rewriter.notifyMatchFailure(op, "expected a softmax as precise as the product");
    std::optional<Scores> scores = matchScores(skipCast(softmax.getOperand()));
    if (!scores)
      return rewriter.notifyMatchFailure(op, "expected scaled scores with a mask of finite rows");
    Scaled query = matchScaled(scores->product.getLhs());
    Scaled key = matchScaled(scores->product.getRhs());
    if (!fits(query.value, key.value, op.getRhs(), scores->product.getTransposeB(), element))
      return rewriter.notifyMatchFailure(op, "expected equal leading dims and element types");
    if (scores->mask && rankedType(scores->mask).getElementType() != element)
      return rewriter.notifyMatchFailure(op, "expected the mask in the query's element type");
    Value keys = key.value;
    if (!scores->product.getTransposeB()) {
      SmallVector<int64_t> dims = llvm::to_vector(llvm::seq<int64_t>(0, rank));
      std::swap(dims[rank - 1], dims[rank - 2]);
      keys = PermuteOp::create(rewriter, op.getLoc(), keys, dims);
    }
    double scale = scores->scale * query.factor * key.factor;
    rewriter.replaceOpWithNewOp<AttentionOp>(op, op.getType(), query.value, keys, op.getRhs(),
                                             scores->mask, APFloat(scale), scores->causal);
    return success();
  }

  /// graph.attention has no broadcasting between query, key and value.
  static bool fits(Value query, Value key, Value value, bool transposed, Type element) {
    RankedTensorType types[] = {rankedType(query), rankedType(key), rankedType(value)};
    for (RankedTensorType type : types)
      if (type.getElementType() != element || type.getRank() != types[0].getRank() ||
          !type.hasStaticShape() ||
          type.getShape().drop_back(2) != types[0].getShape().drop_back(2))
        return false;
    int64_t keys = types[1].getShape().take_back(2)[transposed ? 0 : 1];
    return keys == types[2].getShape().take_back(2)[0] && keys > 0;
  }
};

/// The heads before they were repeated: reshape(broadcast(reshape(x))) with the copies of a head
/// next to each other.
Value matchRepeatedHeads(Value value) {
  auto outer = value.getDefiningOp<ReshapeOp>();
  auto broadcast = outer ? outer.getOperand().getDefiningOp<BroadcastOp>() : nullptr;
  auto inner = broadcast ? broadcast.getOperand().getDefiningOp<ReshapeOp>() : nullptr;
  if (!inner)
    return {};
  RankedTensorType source = rankedType(inner.getOperand()), result = rankedType(value);
  int64_t rank = source.getRank();
  if (rank < 3 || result.getRank() != rank || !source.hasStaticShape())
    return {};
  // [.., H, S, E] -> [.., H, 1, S, E] -> [.., H, n, S, E] -> [.., H * n, S, E].
  SmallVector<int64_t> unit(source.getShape());
  unit.insert(unit.begin() + (rank - 2), 1);
  SmallVector<int64_t> repeated = unit;
  repeated[rank - 2] = rankedType(broadcast.getResult()).getShape()[rank - 2];
  SmallVector<int64_t> merged(source.getShape());
  merged[rank - 3] *= repeated[rank - 2];
  bool isRepeat = rankedType(inner.getResult()).getShape() == ArrayRef<int64_t>(unit) &&
                  rankedType(broadcast.getResult()).getShape() == ArrayRef<int64_t>(repeated) &&
                  result.getShape() == ArrayRef<int64_t>(merged);
  return isRepeat ? inner.getOperand() : Value();
}

/// Attention repeats key and value heads itself, without copies.
struct DropRepeatedHeads : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    Value key = matchRepeatedHeads(op.getKey()), value = matchRepeatedHeads(op.getValue());
    auto heads = [](Value v) { return rankedType(v).getShape().take_back(3)[0]; };
    if (!key || !value || heads(key) != heads(value))
      return rewriter.notifyMatchFailure(op, "expected key and value heads repeated alike");
    rewriter.modifyOpInPlace(op, [&] {
      op.getKeyMutable().assign(key);
      op.getValueMutable().assign(value);
    });
    return success();
  }
};

} // namespace

void populateAttentionPatterns(RewritePatternSet &patterns) {
  patterns.add<RecognizeAttention, DropRepeatedHeads>(patterns.getContext());
}

} // namespace tessera::graph
