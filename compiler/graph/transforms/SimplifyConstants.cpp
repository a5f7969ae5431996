//===- SimplifyConstants.cpp - elementwise ops and movement on constants --===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Evaluates what is known. Small results only: a table that would take memory is
// better computed when it is needed.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;

namespace tessera::graph {
namespace {

/// Elements of a result that are computed one by one; splats count once.
constexpr int64_t maxElements = 64;

/// One element's value: `number` for floats, `integer` for integers and booleans.
struct Scalar {
  double number = 0;
  int64_t integer = 0;
  bool isFloat = false;
};

Scalar scalarOf(Attribute attribute) {
  Scalar scalar;
  if (auto number = dyn_cast<FloatAttr>(attribute)) {
    scalar.isFloat = true;
    scalar.number = number.getValueAsDouble();
    return scalar;
  }
  auto integer = cast<IntegerAttr>(attribute);
  bool isUnsigned = integer.getType().isUnsignedInteger() || integer.getType().isInteger(1);
  scalar.integer = isUnsigned ? static_cast<int64_t>(integer.getValue().getZExtValue())
                              : integer.getValue().getSExtValue();
  return scalar;
}

Attribute attributeOf(Type type, const Scalar &scalar) {
  if (isa<FloatType>(type))
    return FloatAttr::get(type, scalar.number);
  return IntegerAttr::get(type,
                          APInt(type.getIntOrFloatBitWidth(), static_cast<uint64_t>(scalar.integer),
                                /*isSigned=*/false, /*implicitTrunc=*/true));
}

Scalar number(double value) { return {value, 0, true}; }
Scalar integer(int64_t value) { return {0, value, false}; }
/// Wraps as the machine does, without C++'s undefined overflow.
Scalar wrapped(uint64_t value) { return integer(static_cast<int64_t>(value)); }

/// f16, bf16 and f32 are evaluated in f64 and rounded once more, which for these ops gives the
/// correctly rounded result since f64 has more than twice their bits.
std::optional<Scalar> evaluateFloat(Operation *op, ArrayRef<Scalar> in) {
  double a = in[0].number, b = in.size() > 1 ? in[1].number : 0;
  return llvm::TypeSwitch<Operation *, std::optional<Scalar>>(op)
      .Case([&](AddOp) { return number(a + b); })
      .Case([&](SubOp) { return number(a - b); })
      .Case([&](MulOp) { return number(a * b); })
      .Case([&](DivOp) { return number(a / b); })
      .Case([&](NegOp) { return number(-a); })
      .Case([&](AbsOp) { return number(std::abs(a)); })
      .Case([&](SqrtOp) { return number(std::sqrt(a)); })
      .Case([&](ReciprocalOp) { return number(1.0 / a); })
      .Case([&](FloorOp) { return number(std::floor(a)); })
      .Case([&](CeilOp) { return number(std::ceil(a)); })
      .Case([&](TruncOp) { return number(std::trunc(a)); })
      .Default([](Operation *) { return std::nullopt; });
}

std::optional<Scalar> evaluateInteger(Operation *op, ArrayRef<Scalar> in) {
  uint64_t a = in[0].integer, b = in.size() > 1 ? in[1].integer : 0;
  return llvm::TypeSwitch<Operation *, std::optional<Scalar>>(op)
      .Case([&](AddOp) { return wrapped(a + b); })
      .Case([&](SubOp) { return wrapped(a - b); })
      .Case([&](MulOp) { return wrapped(a * b); })
      .Case([&](NegOp) { return wrapped(-a); })
      .Case([&](BitwiseAndOp) { return wrapped(a & b); })
      .Case([&](BitwiseOrOp) { return wrapped(a | b); })
      .Case([&](BitwiseXorOp) { return wrapped(a ^ b); })
      .Case([&](BitwiseNotOp) { return wrapped(~a); })
      .Default([](Operation *) { return std::nullopt; });
}

template <typename T> bool holds(ComparePredicate predicate, T a, T b) {
  switch (predicate) {
  case ComparePredicate::Eq:
    return a == b;
  case ComparePredicate::Ne:
    return a != b;
  case ComparePredicate::Lt:
    return a < b;
  case ComparePredicate::Le:
    return a <= b;
  case ComparePredicate::Gt:
    return a > b;
  case ComparePredicate::Ge:
    return a >= b;
  }
  llvm_unreachable("all predicates are handled above");
}

std::optional<Scalar> evaluateCast(const Scalar &in, Type to) {
  if (to.isInteger(1))
    return integer(in.isFloat ? in.number != 0 : in.integer != 0);
  if (isa<FloatType>(to)) {
    // An int64 beyond 2^53 would be rounded twice.
    if (!in.isFloat && std::abs(static_cast<double>(in.integer)) > 9007199254740992.0)
      return std::nullopt;
    return number(in.isFloat ? in.number : static_cast<double>(in.integer));
  }
  // What a float out of range becomes is the machine's choice.
  if (in.isFloat && !(std::abs(in.number) < 127.0))
    return std::nullopt;
  if (in.isFloat && to.isUnsignedInteger() && in.number <= -1.0)
    return std::nullopt;
  return integer(in.isFloat ? static_cast<int64_t>(in.number) : in.integer);
}

std::optional<Scalar> evaluate(Operation *op, ArrayRef<Scalar> in) {
  if (auto cast = dyn_cast<CastOp>(op))
    return evaluateCast(in[0], cast.getDtype());
  if (auto compare = dyn_cast<CompareOp>(op))
    return integer(in[0].isFloat ? holds(compare.getPredicate(), in[0].number, in[1].number)
                                 : holds(compare.getPredicate(), in[0].integer, in[1].integer));
  if (isa<SelectOp>(op))
    return in[0].integer ? in[1] : in[2];
  return in[0].isFloat ? evaluateFloat(op, in) : evaluateInteger(op, in);
}

/// An elementwise op whose operands are all known.
struct FoldElementwise : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    RankedTensorType type = rankedType(op->getResult(0));
    SmallVector<DenseElementsAttr> operands;
    for (Value operand : op->getOperands()) {
      auto constant = operand.getDefiningOp<ConstantOp>();
      auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
      if (!elements || elements.empty())
        return rewriter.notifyMatchFailure(op, "expected constant operands with elements");
      if (!elements.isSplat() && elements.getType().getShape() != type.getShape())
        return rewriter.notifyMatchFailure(op, "expected no table that broadcasts");
      operands.push_back(elements);
    }
    bool isSplat = llvm::all_of(operands, [](DenseElementsAttr e) { return e.isSplat(); });
    if (!isSplat && type.getNumElements() > maxElements)
      return rewriter.notifyMatchFailure(op, "expected a small result");
    SmallVector<Attribute> results;
    for (int64_t index = 0, end = isSplat ? 1 : type.getNumElements(); index < end; ++index) {
      SmallVector<Scalar> in = llvm::map_to_vector(operands, [&](DenseElementsAttr elements) {
        return scalarOf(elements.isSplat() ? elements.getSplatValue<Attribute>()
                                           : elements.getValues<Attribute>()[index]);
      });
      std::optional<Scalar> result = evaluate(op, in);
      if (!result)
        return rewriter.notifyMatchFailure(op, "expected an op that is evaluated exactly");
      results.push_back(attributeOf(type.getElementType(), *result));
    }
    rewriter.replaceOpWithNewOp<ConstantOp>(op, DenseElementsAttr::get(type, results));
    return success();
  }
};

/// An op without elements computes nothing; in a kernel it would be stored with whatever shape the
/// others there have.
struct FoldEmpty : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    RankedTensorType type = rankedType(op->getResult(0));
    if (!type.hasStaticShape() || type.getNumElements() != 0)
      return rewriter.notifyMatchFailure(op, "expected a result without elements");
    rewriter.replaceOpWithNewOp<ConstantOp>(op,
                                            DenseElementsAttr::get(type, ArrayRef<Attribute>()));
    return success();
  }
};

/// An op on a choice of two constants is a choice of two constants: what a mask was made of, such
/// as (select(c, 1, 0) == 0), folds down to its condition.
struct FoldIntoSelect : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (isa<SelectOp>(op))
      return rewriter.notifyMatchFailure(op, "expected another op than select");
    SelectOp select;
    SmallVector<Scalar> whenTrue, whenFalse;
    for (Value operand : op->getOperands()) {
      auto chosen = operand.getDefiningOp<SelectOp>();
      if (chosen && select && chosen != select)
        return rewriter.notifyMatchFailure(op, "expected one select");
      std::optional<Scalar> a = splatScalar(chosen ? chosen.getOnTrue() : operand);
      std::optional<Scalar> b = splatScalar(chosen ? chosen.getOnFalse() : operand);
      if (!a || !b)
        return rewriter.notifyMatchFailure(op, "expected constants");
      if (chosen)
        select = chosen;
      whenTrue.push_back(*a);
      whenFalse.push_back(*b);
    }
    RankedTensorType type = rankedType(op->getResult(0));
    if (!select || rankedType(select.getCondition()).getShape() != type.getShape())
      return rewriter.notifyMatchFailure(op, "expected a select that has the result's shape");
    std::optional<Scalar> onTrue = evaluate(op, whenTrue), onFalse = evaluate(op, whenFalse);
    if (!onTrue || !onFalse)
      return rewriter.notifyMatchFailure(op, "expected an op that is evaluated exactly");
    auto constant = [&](const Scalar &scalar) -> Value {
      auto scalarType = RankedTensorType::get({}, type.getElementType());
      return ConstantOp::create(
          rewriter, op->getLoc(),
          DenseElementsAttr::get(scalarType, attributeOf(type.getElementType(), scalar)));
    };
    rewriter.replaceOpWithNewOp<SelectOp>(op, type, select.getCondition(), constant(*onTrue),
                                          constant(*onFalse));
    return success();
  }

  static std::optional<Scalar> splatScalar(Value value) {
    auto constant = value.getDefiningOp<ConstantOp>();
    auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
    if (!elements || elements.empty() || !elements.isSplat())
      return std::nullopt;
    return scalarOf(elements.getSplatValue<Attribute>());
  }
};

/// A constant that is the same everywhere needs no shape of its own where another operand has it:
/// as a scalar it is an immediate of the kernel, with a shape it is memory to read.
struct ShrinkSplat : OpTraitRewritePattern<Elementwise> {
  using OpTraitRewritePattern::OpTraitRewritePattern;

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    RankedTensorType type = rankedType(op->getResult(0));
    for (OpOperand &operand : op->getOpOperands()) {
      RankedTensorType splat = rankedType(operand.get());
      auto constant = operand.get().getDefiningOp<ConstantOp>();
      auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
      if (splat.getRank() == 0 || !elements || elements.empty() || !elements.isSplat() ||
          !othersKeepShape(op, operand, type))
        continue;
      auto scalar = RankedTensorType::get({}, splat.getElementType());
      Value shrunk =
          ConstantOp::create(rewriter, constant.getLoc(),
                             DenseElementsAttr::get(scalar, elements.getSplatValue<Attribute>()));
      rewriter.modifyOpInPlace(op, [&] { operand.set(shrunk); });
      return success();
    }
    return rewriter.notifyMatchFailure(op, "expected a splat whose shape another operand has");
  }

  static bool othersKeepShape(Operation *op, OpOperand &shrunk, RankedTensorType type) {
    std::optional<SmallVector<int64_t>> shape(std::in_place);
    for (OpOperand &operand : op->getOpOperands())
      if (shape && &operand != &shrunk)
        shape = broadcastShapes(*shape, rankedType(operand.get()).getShape());
    return shape && type.hasStaticShape() && type.getShape() == ArrayRef<int64_t>(*shape);
  }
};

/// Movement of a constant that is the same everywhere, and reshapes of any.
struct FoldMovement : OpTraitRewritePattern<Movement> {
  using OpTraitRewritePattern::OpTraitRewritePattern;

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    RankedTensorType type = rankedType(op->getResult(0));
    auto constant = op->getOperand(0).getDefiningOp<ConstantOp>();
    auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
    if (!elements || elements.empty() || !type.hasStaticShape() || type.getNumElements() == 0)
      return rewriter.notifyMatchFailure(op, "expected a constant operand with elements");
    if (elements.isSplat() && op->getNumOperands() == 1) {
      rewriter.replaceOpWithNewOp<ConstantOp>(
          op, DenseElementsAttr::get(type, elements.getSplatValue<Attribute>()));
      return success();
    }
    if (isa<ReshapeOp>(op)) {
      rewriter.replaceOpWithNewOp<ConstantOp>(op, elements.reshape(type));
      return success();
    }
    return rewriter.notifyMatchFailure(op, "expected a splat or a reshape");
  }
};

} // namespace

void populateConstantPatterns(RewritePatternSet &patterns) {
  patterns.add<FoldElementwise, FoldEmpty, FoldMovement, FoldIntoSelect, ShrinkSplat>(
      patterns.getContext());
}

} // namespace tessera::graph
