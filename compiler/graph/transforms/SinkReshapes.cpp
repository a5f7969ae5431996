//===- SinkReshapes.cpp - tessera-graph-sink-reshapes ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From Graph IR where reshapes stand between ops that could be one kernel to
// Graph IR where producer, elementwise chain and consumer have one shape. Two
// walks, each of which visits an op once: down from computations, so that a
// chain keeps its producer's shape, then up from matrix products.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace tessera::graph {

#define GEN_PASS_DEF_GRAPHSINKRESHAPES
#include "compiler/graph/transforms/Passes.h.inc"

namespace {

/// Trailing dims that two shapes share, of which the leading ones are a split or a merge.
int64_t countCommonTrailing(ArrayRef<int64_t> lhs, ArrayRef<int64_t> rhs) {
  int64_t count = 0;
  while (!lhs.empty() && !rhs.empty() && lhs.back() == rhs.back()) {
    lhs = lhs.drop_back();
    rhs = rhs.drop_back();
    ++count;
  }
  return count;
}

/// How many trailing dims an op must find unchanged; nothing for ops that cannot move.
std::optional<int64_t> trailingDimsNeeded(Operation *op) {
  int64_t rank = cast<RankedTensorType>(op->getResult(0).getType()).getRank();
  if (op->hasTrait<Elementwise>())
    return 0;
  if (auto norm = dyn_cast<LayerNormOp>(op))
    return norm.getAxes();
  if (auto norm = dyn_cast<RmsNormOp>(op))
    return norm.getAxes();
  if (auto softmax = dyn_cast<SoftmaxOp>(op))
    return rank - static_cast<int64_t>(softmax.getDim());
  if (auto softmax = dyn_cast<LogSoftmaxOp>(op))
    return rank - static_cast<int64_t>(softmax.getDim());
  return std::nullopt;
}

/// Whether reshaping a value costs nothing: it lies contiguous in memory, unlike what other
/// movement leaves behind.
bool isContiguous(Value value) {
  Operation *op = value.getDefiningOp();
  return !op || !op->hasTrait<Movement>() || isa<ReshapeOp>(op);
}

/// One op changed from shape `from`, which it has, to `to`.
class Reshaping {
public:
  Reshaping(Operation *op, ArrayRef<int64_t> to)
      : op(op), from(rankedType(op->getResult(0)).getShape()), to(to),
        common(countCommonTrailing(from, to)) {}

  /// Whether every operand can follow.
  bool isPossible() const {
    std::optional<int64_t> needed = trailingDimsNeeded(op);
    return needed && common >= std::max<int64_t>(*needed, 1) &&
           llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
             return staysAsIs(operand) || isTrailing(operand.get()) ||
                    (hasOwnShape(operand.get()) && isContiguous(operand.get()));
           });
  }

  /// Makes the op anew in the other shape and gives its result the old one.
  void apply(IRRewriter &rewriter) const {
    rewriter.setInsertionPoint(op);
    Operation *moved = rewriter.clone(*op);
    for (auto [operand, source] : llvm::zip_equal(moved->getOpOperands(), op->getOpOperands()))
      if (!staysAsIs(source))
        operand.set(reshaped(rewriter, operand.get(), moved));
    RankedTensorType type = rankedType(op->getResult(0));
    moved->getResult(0).setType(type.clone(to));
    // Dims are counted from the front, and the number of dims before them changed.
    int64_t shift = static_cast<int64_t>(to.size()) - type.getRank();
    if (auto softmax = dyn_cast<SoftmaxOp>(moved))
      softmax.setDim(softmax.getDim() + shift);
    if (auto softmax = dyn_cast<LogSoftmaxOp>(moved))
      softmax.setDim(softmax.getDim() + shift);
    rewriter.setInsertionPointAfter(moved);
    rewriter.replaceOpWithNewOp<ReshapeOp>(op, type, moved->getResult(0), from);
  }

private:
  bool hasOwnShape(Value operand) const { return rankedType(operand).getShape() == from; }

  /// Weights and biases of normalizations are trailing by definition; other operands stay when
  /// they only meet dims that do.
  bool staysAsIs(OpOperand &operand) const {
    if (!op->hasTrait<Elementwise>())
      return operand.getOperandNumber() > 0;
    return rankedType(operand.get()).getRank() <= common && !hasOwnShape(operand.get());
  }

  /// Whether only ones stand before the dims that stay: they can be left out.
  bool isTrailing(Value operand) const {
    ArrayRef<int64_t> shape = rankedType(operand).getShape();
    return op->hasTrait<Elementwise>() && static_cast<int64_t>(shape.size()) > common &&
           !hasOwnShape(operand) && isContiguous(operand) &&
           llvm::all_of(shape.drop_back(common), [](int64_t size) { return size == 1; });
  }

  Value reshaped(IRRewriter &rewriter, Value operand, Operation *moved) const {
    ArrayRef<int64_t> shape = to;
    if (isTrailing(operand))
      shape = rankedType(operand).getShape().take_back(common);
    auto reshape = operand.getDefiningOp<ReshapeOp>();
    Value source = reshape ? reshape.getOperand() : operand;
    if (rankedType(source).getShape() == shape)
      return source;
    rewriter.setInsertionPoint(moved);
    return ReshapeOp::create(rewriter, operand.getLoc(), rankedType(operand).clone(shape), source,
                             shape);
  }

  Operation *op;
  ArrayRef<int64_t> from;
  SmallVector<int64_t> to;
  int64_t common;
};

/// Whether a value is the result of work whose kernel may go on, rather than an input.
bool isComputed(Value value) {
  Operation *op = value.getDefiningOp();
  return op && (op->hasTrait<Contraction>() || op->hasTrait<Elementwise>() || op->hasTrait<Rows>());
}

/// The last of the computations that `op` reads in its own shape, at once or through a reshape: the
/// one whose kernel it joins. With it, the reshape between them.
std::pair<Operation *, ReshapeOp> lastComputation(Operation *op) {
  std::pair<Operation *, ReshapeOp> last;
  for (Value operand : op->getOperands()) {
    if (rankedType(operand).getShape() != rankedType(op->getResult(0)).getShape())
      continue;
    auto reshape = operand.getDefiningOp<ReshapeOp>();
    Value source = reshape ? reshape.getOperand() : operand;
    Operation *maker = source.getDefiningOp();
    if (isComputed(source) && (!last.first || (maker->getBlock() == last.first->getBlock() &&
                                               last.first->isBeforeInBlock(maker))))
      last = {maker, reshape};
  }
  return last;
}

/// Computation, reshape, op: the op takes the computation's shape.
void sinkBelow(Operation *op, IRRewriter &rewriter) {
  if (op->getNumResults() != 1 || !rankedType(op->getResult(0)).hasStaticShape())
    return;
  auto [maker, reshape] = lastComputation(op);
  if (!reshape)
    return;
  Reshaping reshaping(op, rankedType(reshape.getOperand()).getShape());
  if (reshaping.isPossible())
    reshaping.apply(rewriter);
}

/// Whether elementwise ops lead from a convolution or a reduction to `op`: they are its kernel's,
/// in its shape.
bool endsKernel(Operation *op) {
  ArrayRef<int64_t> shape = rankedType(op->getResult(0)).getShape();
  SmallVector<Operation *> stack{op};
  llvm::SmallPtrSet<Operation *, 16> seen;
  while (!stack.empty()) {
    Operation *next = stack.pop_back_val();
    if (isa<ConvolutionOp, ReduceOp>(next))
      return true;
    if (!next->hasTrait<Elementwise>() || !seen.insert(next).second)
      continue;
    for (Value operand : next->getOperands())
      if (Operation *def = operand.getDefiningOp(); def && rankedType(operand).getShape() == shape)
        stack.push_back(def);
  }
  return false;
}

/// Whether `op` rounds what another op makes and others read as it is: one kernel stores both,
/// which must then have one shape.
bool staysWithMaker(Operation *op, RankedTensorType to) {
  if (!isa<CastOp>(op) || !isComputed(op->getOperand(0)))
    return false;
  return llvm::any_of(op->getOperand(0).getUsers(), [&](Operation *user) {
    auto reshape = dyn_cast<ReshapeOp>(user);
    return user != op && (!reshape || rankedType(reshape).getShape() != to.getShape());
  });
}

/// Op, reshape, matrix product: the op takes the product's shape, unless others need its own.
void raiseAbove(ReshapeOp reshape, IRRewriter &rewriter) {
  Operation *op = reshape.getOperand().getDefiningOp();
  if (!op || !isComputed(reshape.getOperand()) || !rankedType(reshape).hasStaticShape() ||
      !llvm::all_of(op->getUsers(), [&](Operation *user) {
        auto other = dyn_cast<ReshapeOp>(user);
        return other && other.getType() == reshape.getType();
      }))
    return;
  Reshaping reshaping(op, rankedType(reshape).getShape());
  if (reshaping.isPossible() && !endsKernel(op) && !staysWithMaker(op, reshape.getType()))
    reshaping.apply(rewriter);
}

struct SinkReshapesPass : impl::GraphSinkReshapesBase<SinkReshapesPass> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (op->getNumResults() == 1 && trailingDimsNeededIsKnown(op))
        ops.push_back(op);
    });
    for (Operation *op : ops)
      sinkBelow(op, rewriter);
    mergeReshapes(rewriter);
    raise(rewriter);
    mergeReshapes(rewriter);
  }

  static bool trailingDimsNeededIsKnown(Operation *op) {
    return isa<RankedTensorType>(op->getResult(0).getType()) && trailingDimsNeeded(op);
  }

  /// Up from every product, through chains of several ops one op at a time. Operands are looked
  /// up anew each time, since moving an op replaces values.
  void raise(IRRewriter &rewriter) {
    SmallVector<std::pair<Operation *, unsigned>> frontier;
    auto push = [&](Operation *op) {
      for (unsigned index = 0; index < op->getNumOperands(); ++index)
        frontier.push_back({op, index});
    };
    getOperation().walk([&](MatmulOp op) { push(op); });
    while (!frontier.empty()) {
      auto [consumer, index] = frontier.pop_back_val();
      auto reshape = consumer->getOperand(index).getDefiningOp<ReshapeOp>();
      if (!reshape)
        continue;
      raiseAbove(reshape, rewriter);
      // Where an op moved, this reshape reads the one that gives its result the old shape.
      auto back = reshape.getOperand().getDefiningOp<ReshapeOp>();
      Operation *moved = back ? back.getOperand().getDefiningOp() : nullptr;
      if (!moved || back.getOperand().getType() != reshape.getType())
        continue;
      consumer->setOperand(index, back.getOperand());
      push(moved);
    }
  }

  /// What the walks leave behind: reshapes of reshapes, to the same shape, and unused ones.
  void mergeReshapes(IRRewriter &rewriter) {
    SmallVector<ReshapeOp> reshapes;
    getOperation().walk([&](ReshapeOp op) { reshapes.push_back(op); });
    for (ReshapeOp reshape : reshapes) {
      if (auto inner = reshape.getOperand().getDefiningOp<ReshapeOp>())
        reshape.getOperandMutable().assign(inner.getOperand());
      if (reshape.getOperand().getType() == reshape.getType() &&
          rankedType(reshape).hasStaticShape())
        rewriter.replaceOp(reshape, reshape.getOperand());
    }
    bool changed = true;
    while (std::exchange(changed, false)) {
      SmallVector<ReshapeOp> unused;
      getOperation().walk([&](ReshapeOp op) {
        if (op->use_empty())
          unused.push_back(op);
      });
      changed = !unused.empty();
      for (ReshapeOp op : unused)
        rewriter.eraseOp(op);
    }
  }
};

} // namespace

} // namespace tessera::graph
