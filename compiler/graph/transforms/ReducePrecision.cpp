//===- ReducePrecision.cpp - tessera-graph-reduce-precision ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From Graph IR in f32 to Graph IR whose products, convolutions and attention
// have operands of bf16, and everything else what it had. A value is rounded
// where it is computed, in front of movement, so that the kernel that makes it
// also stores it rounded.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Passes.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace tessera::graph {

#define GEN_PASS_DEF_GRAPHREDUCEPRECISION
#include "compiler/graph/transforms/Passes.h.inc"

/// Products of a sum this short gain nothing, and may be positions times frequencies, which bf16
/// cannot tell apart.
constexpr int64_t kLeastDepth = 16;

/// Fewer queries take as long as their keys and values take to read, and to round.
constexpr int64_t kLeastQueries = 16;

static bool isF32(Value value) { return rankedType(value).getElementType().isF32(); }

/// How many products one element of the result sums up; 0 for ops whose operands keep their type.
static int64_t depthOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, int64_t>(op)
      .Case([](MatmulOp matmul) {
        ArrayRef<int64_t> shape = rankedType(matmul.getLhs()).getShape();
        return shape[shape.size() - (matmul.getTransposeA() ? 2 : 1)];
      })
      .Case([](ConvolutionOp convolution) -> int64_t {
        ArrayRef<int64_t> shape = rankedType(convolution.getWeight()).getShape();
        // Few channels a group: the kernel for them multiplies elements, not matrices.
        if (shape[1] == 1 || hasDepthwiseKernel(convolution))
          return 0;
        return ShapedType::isDynamicShape(shape) ? kLeastDepth
                                                 : ShapedType::getNumElements(shape.drop_front());
      })
      .Case([](AttentionOp attention) -> int64_t {
        ArrayRef<int64_t> shape = rankedType(attention.getQuery()).getShape();
        int64_t queries = shape[shape.size() - 2];
        bool isFew = !ShapedType::isDynamic(queries) && queries < kLeastQueries;
        return isFew ? 0 : shape.back();
      })
      .Default([](Operation *) { return 0; });
}

/// Operands that are multiplied: an attention's mask is added.
static MutableArrayRef<OpOperand> factorsOf(Operation *op) {
  return op->getOpOperands().take_front(isa<AttentionOp>(op) ? 3 : 2);
}

static bool isReduced(Operation *op) {
  int64_t depth = depthOf(op);
  return (ShapedType::isDynamic(depth) || depth >= kLeastDepth) &&
         llvm::all_of(factorsOf(op), [](OpOperand &factor) { return isF32(factor.get()); });
}

namespace {

class Reducer {
public:
  explicit Reducer(MLIRContext *context) : b(context) {}

  void reduce(Operation *op) {
    for (OpOperand &factor : factorsOf(op))
      factor.set(rounded(factor.get()));
    Value result = op->getResult(0);
    result.setType(rankedType(result).clone(b.getBF16Type()));
    b.setInsertionPointAfter(op);
    auto widened = CastOp::create(b, op->getLoc(), result, b.getF32Type());
    result.replaceAllUsesExcept(widened, widened);
  }

private:
  /// `value` as bf16.
  Value rounded(Value value) {
    Value &known = done[value];
    if (known)
      return known;
    Value made = isComputedMovement(value) ? moved(value.getDefiningOp()) : cast(value);
    return done[value] = made; // the map may have grown
  }

  /// Movement of what a kernel makes. A part of an argument is rounded by itself, and of an
  /// argument that is repeated every element once.
  static bool isComputedMovement(Value value) {
    Operation *op = value.getDefiningOp();
    if (!op || !op->hasTrait<Movement>())
      return false;
    return llvm::all_of(op->getOperands(), [](Value operand) {
      while (Operation *def = operand.getDefiningOp()) {
        if (!def->hasTrait<Movement>())
          return !isa<IslandOp>(def);
        operand = def->getOperand(0);
      }
      return false;
    });
  }

  Value moved(Operation *op) {
    IRMapping map;
    for (Value operand : op->getOperands())
      map.map(operand, isF32(operand) ? rounded(operand) : operand);
    b.setInsertionPointAfter(op);
    Operation *clone = b.clone(*op, map);
    Value result = clone->getResult(0);
    result.setType(rankedType(result).clone(b.getBF16Type()));
    return result;
  }

  Value cast(Value value) {
    auto widening = value.getDefiningOp<CastOp>();
    if (widening && rankedType(widening.getOperand()).getElementType().isBF16())
      return widening.getOperand();
    b.setInsertionPointAfterValue(value);
    return CastOp::create(b, value.getLoc(), value, b.getBF16Type());
  }

  OpBuilder b;
  llvm::DenseMap<Value, Value> done;
};

struct GraphReducePrecision : impl::GraphReducePrecisionBase<GraphReducePrecision> {
  void runOnOperation() override {
    auto precision = getOperation()->getAttrOfType<StringAttr>(kPrecision);
    if (!precision || precision.getValue() != "bf16")
      return;
    SmallVector<Operation *> found;
    getOperation().walk([&](Operation *op) {
      if (isReduced(op))
        found.push_back(op);
    });
    Reducer reducer(&getContext());
    for (Operation *op : found)
      reducer.reduce(op);
  }
};

} // namespace
} // namespace tessera::graph
