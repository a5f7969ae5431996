//===- RowReduction.cpp - accumulators of row kernels ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Extrema are exact about NaN: it wins over every number. Of equal positions the
// first wins: points come in order within a lane, and across lanes the lowest
// position among the best is taken.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/RowReduction.h"
#include "compiler/graph/ir/GraphOps.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/Sequence.h"

#include <limits>

using namespace mlir;
using namespace tessera;
using arith::CmpFPredicate;
using arith::CmpIPredicate;
using vector::CombiningKind;

static CombiningKind extremum(bool isMax, bool isFloat, bool isUnsigned, bool ignoresNan) {
  if (isFloat && ignoresNan)
    return isMax ? CombiningKind::MAXNUMF : CombiningKind::MINNUMF;
  if (isFloat)
    return isMax ? CombiningKind::MAXIMUMF : CombiningKind::MINIMUMF;
  if (isUnsigned)
    return isMax ? CombiningKind::MAXUI : CombiningKind::MINUI;
  return isMax ? CombiningKind::MAXSI : CombiningKind::MINSI;
}

static bool isMaximum(CombiningKind kind) {
  return kind == CombiningKind::MAXNUMF || kind == CombiningKind::MAXIMUMF ||
         kind == CombiningKind::MAXUI || kind == CombiningKind::MAXSI;
}

RowReduction::RowReduction(PointEmitter &emitter, const PointGraph &graph, const PointNode *node,
                           int64_t laneStep)
    : emitter(emitter), graph(graph), node(node), laneStep(laneStep) {
  Type operandElement = elementOf(node->op->getOperand(0));
  element = registerType(operandElement);
  isFloat = isa<FloatType>(element);
  isUnsigned = isUnsignedElement(operandElement);
  ignoresNan = node->op->hasAttr(kIgnoreNanAttr);
  if (auto arg = dyn_cast<graph::ArgReduceOp>(node->op)) {
    isArg = true;
    kind = extremum(arg.getKind() == graph::ArgReduceKind::Max, isFloat, isUnsigned, false);
    return;
  }
  switch (cast<graph::ReduceOp>(node->op).getKind()) {
  case graph::ReduceKind::Sum:
    sums = isFloat;
    kind = CombiningKind::ADD;
    break;
  case graph::ReduceKind::Prod:
    kind = CombiningKind::MUL;
    break;
  case graph::ReduceKind::Max:
    kind = extremum(true, isFloat, isUnsigned, ignoresNan);
    break;
  case graph::ReduceKind::Min:
    kind = extremum(false, isFloat, isUnsigned, ignoresNan);
    break;
  case graph::ReduceKind::Any:
    kind = CombiningKind::OR;
    break;
  case graph::ReduceKind::All:
    kind = CombiningKind::AND;
    break;
  }
}

static Type lanesOf(Type element, int64_t width) {
  return width == 1 ? element : Type(VectorType::get({width}, element));
}

Value RowReduction::identityValue(Type like) {
  ScalarBuilder b = scalars();
  if (kind == CombiningKind::ADD || kind == CombiningKind::OR)
    return isFloat ? b.real(like, 0) : b.integer(like, 0);
  if (kind == CombiningKind::MUL)
    return isFloat ? b.real(like, 1) : b.integer(like, 1);
  if (kind == CombiningKind::AND)
    return b.integer(like, -1);
  double infinity = std::numeric_limits<double>::infinity();
  if (isFloat)
    return b.real(like, isMaximum(kind) ? -infinity : infinity);
  unsigned width = element.getIntOrFloatBitWidth();
  APInt limit = isUnsigned ? (isMaximum(kind) ? APInt::getZero(width) : APInt::getAllOnes(width))
                           : (isMaximum(kind) ? APInt::getSignedMinValue(width)
                                              : APInt::getSignedMaxValue(width));
  return b.integer(like, limit.getSExtValue());
}

/// 0, step, 2·step, …
static Value laneSteps(ScalarBuilder &b, int64_t width, int64_t step) {
  SmallVector<int64_t> steps;
  for (int64_t lane = 0; lane < width; ++lane)
    steps.push_back(lane * step);
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(VectorType::get({width}, b.getI64Type()), ArrayRef(steps)));
}

RowReduction::Values RowReduction::identity(int64_t width) {
  Values values{identityValue(lanesOf(element, width))};
  if (isArg) {
    // What remains where no point is better than the identity: each lane's first position.
    ScalarBuilder b = scalars();
    values.push_back(width == 1 ? b.integer(b.getI64Type(), 0) : laneSteps(b, width, laneStep));
  }
  return values;
}

Value RowReduction::combineValues(Value a, Value b) {
  ScalarBuilder s = scalars();
  switch (kind) {
  case CombiningKind::ADD:
    return isFloat ? s.addF(a, b) : Value(arith::AddIOp::create(s, a, b));
  case CombiningKind::MUL:
    return isFloat ? s.mulF(a, b) : Value(arith::MulIOp::create(s, a, b));
  case CombiningKind::OR:
    return s.either(a, b);
  case CombiningKind::AND:
    return s.both(a, b);
  // One instruction each where NaN need not survive: b is taken only if it is better.
  case CombiningKind::MAXNUMF:
    return s.select(s.compare(CmpFPredicate::OGT, b, a), b, a);
  case CombiningKind::MINNUMF:
    return s.select(s.compare(CmpFPredicate::OLT, b, a), b, a);
  // Without the order of zeros, which compare equal, a machine's own instruction does it where a is
  // a NaN, and only b, which nothing waits for, is to be asked whether it is one.
  case CombiningKind::MAXIMUMF:
    return arith::MaximumFOp::create(s, b, a, arith::FastMathFlags::nsz);
  case CombiningKind::MINIMUMF:
    return arith::MinimumFOp::create(s, b, a, arith::FastMathFlags::nsz);
  default:
    return vector::makeArithReduction(s, s.getLoc(), kind, a, b);
  }
}

Value RowReduction::isBetter(Value candidate, Value best) {
  ScalarBuilder b = scalars();
  bool isMax = isMaximum(kind);
  if (!isFloat) {
    CmpIPredicate predicate = isUnsigned ? (isMax ? CmpIPredicate::ugt : CmpIPredicate::ult)
                                         : (isMax ? CmpIPredicate::sgt : CmpIPredicate::slt);
    return b.compare(predicate, candidate, best);
  }
  // Unordered: a NaN is better than any number, and nothing is better than a NaN.
  Value wins = b.compare(isMax ? CmpFPredicate::UGT : CmpFPredicate::ULT, candidate, best);
  return b.both(wins, b.compare(CmpFPredicate::ORD, best, best));
}

/// Positions within the row of the scope's lanes.
Value RowReduction::positions(PointScope &scope, int64_t width) {
  ScalarBuilder b = scalars();
  const LinearForm &row = graph.getRow();
  Value first =
      arith::IndexCastOp::create(b, b.getI64Type(), emitter.emitIndex(b.getLoc(), row, scope));
  if (width == 1)
    return first;
  Value lanes = laneSteps(b, width, row.dims[scope.laneDim]);
  return arith::AddIOp::create(b, emitter.splat(b.getLoc(), first, width), lanes);
}

RowReduction::Values RowReduction::accumulate(PointScope &scope, ValueRange accumulators) {
  ScalarBuilder b = scalars();
  const PointNode *input = node->operands.front();
  bool isVector = isa<VectorType>(accumulators.front().getType());
  auto emit = [&](const PointNode *value) {
    return isVector ? emitter.emitVector(value, scope) : emitter.emit(value, scope);
  };
  // A sum of products keeps their exact values.
  bool isProduct = sums && input->kind == PointNode::Apply && isa<graph::MulOp>(input->op);
  if (isProduct && !scope.valid)
    return {b.fma(emit(input->operands[0]), emit(input->operands[1]), accumulators.front())};
  Value value = emit(input);
  Value mask = isVector && scope.valid ? emitter.laneMask(b.getLoc(), scope) : Value();
  if (!isArg) {
    if (mask)
      value = b.select(mask, value, identityValue(value.getType()));
    return {combineValues(accumulators.front(), value)};
  }
  Value better = isBetter(value, accumulators[0]);
  if (mask)
    better = b.both(better, mask);
  Value position = positions(scope, isVector ? scope.lanes : 1);
  return {b.select(better, value, accumulators[0]), b.select(better, position, accumulators[1])};
}

RowReduction::Values RowReduction::combine(ValueRange first, ValueRange second) {
  if (!isArg)
    return {combineValues(first.front(), second.front())};
  ScalarBuilder b = scalars();
  Value better = isBetter(second[0], first[0]);
  return {b.select(better, second[0], first[0]), b.select(better, second[1], first[1])};
}

/// The lanes of `vector` combined pairwise, halves first: log2 of the lanes steps.
Value RowReduction::combineLanes(Value vector) {
  ScalarBuilder b = scalars();
  int64_t width = cast<VectorType>(vector.getType()).getNumElements();
  for (; width > 1; width /= 2) {
    auto half = [&](int64_t start) -> Value {
      auto lanes = llvm::to_vector(llvm::seq<int64_t>(start, start + width / 2));
      return vector::ShuffleOp::create(b, vector, vector, lanes);
    };
    vector = combineValues(half(0), half(width / 2));
  }
  return vector::ExtractOp::create(b, vector, ArrayRef<int64_t>{0});
}

RowReduction::Values RowReduction::acrossLanes(ValueRange accumulators) {
  if (!isa<VectorType>(accumulators.front().getType()))
    return Values(accumulators);
  ScalarBuilder b = scalars();
  Value value = combineLanes(accumulators[0]);
  if (!isArg)
    return {value};
  auto width = cast<VectorType>(accumulators[0].getType()).getNumElements();
  Value best = emitter.splat(b.getLoc(), value, width);
  Value isBest = isFloat ? b.compare(CmpFPredicate::OEQ, accumulators[0], best)
                         : b.compare(CmpIPredicate::eq, accumulators[0], best);
  if (isFloat) // where there is a NaN, the best value is one and equals nothing
    isBest = b.either(isBest, b.compare(CmpFPredicate::UNO, accumulators[0], accumulators[0]));
  Value last = b.integer(accumulators[1], std::numeric_limits<int64_t>::max());
  Value position =
      vector::ReductionOp::create(b, CombiningKind::MINSI, b.select(isBest, accumulators[1], last));
  return {value, position};
}

Value RowReduction::result(ValueRange accumulators) {
  ScalarBuilder b = scalars();
  Type to = elementOf(node->value);
  if (isArg)
    return convertElement(b, accumulators[1], b.getI64Type(), to);
  return convertElement(b, accumulators[0], elementOf(node->op->getOperand(0)), to);
}
