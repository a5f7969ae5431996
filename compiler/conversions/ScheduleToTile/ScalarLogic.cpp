//===- ScalarLogic.cpp - comparisons, selection, conversions ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Conversions give what torch gives on x86: out-of-range floats become the
// machine's "indefinite" integer, and the narrow integers its low bits.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/KernelEmitter.h"
#include "compiler/conversions/ScheduleToTile/ScalarOps.h"
#include "compiler/graph/ir/GraphOps.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace tessera;
using arith::CmpFPredicate;
using arith::CmpIPredicate;
using graph::ComparePredicate;

//===----------------------------------------------------------------------===//
// Comparison, selection
//===----------------------------------------------------------------------===//

static CmpFPredicate floatPredicate(ComparePredicate predicate) {
  switch (predicate) {
  case ComparePredicate::Eq:
    return CmpFPredicate::OEQ;
  case ComparePredicate::Ne:
    return CmpFPredicate::UNE;
  case ComparePredicate::Lt:
    return CmpFPredicate::OLT;
  case ComparePredicate::Le:
    return CmpFPredicate::OLE;
  case ComparePredicate::Gt:
    return CmpFPredicate::OGT;
  case ComparePredicate::Ge:
    return CmpFPredicate::OGE;
  }
  llvm_unreachable("unknown predicate");
}

static CmpIPredicate integerPredicate(ComparePredicate predicate, bool isUnsigned) {
  switch (predicate) {
  case ComparePredicate::Eq:
    return CmpIPredicate::eq;
  case ComparePredicate::Ne:
    return CmpIPredicate::ne;
  case ComparePredicate::Lt:
    return isUnsigned ? CmpIPredicate::ult : CmpIPredicate::slt;
  case ComparePredicate::Le:
    return isUnsigned ? CmpIPredicate::ule : CmpIPredicate::sle;
  case ComparePredicate::Gt:
    return isUnsigned ? CmpIPredicate::ugt : CmpIPredicate::sgt;
  case ComparePredicate::Ge:
    return isUnsigned ? CmpIPredicate::uge : CmpIPredicate::sge;
  }
  llvm_unreachable("unknown predicate");
}

static Value emitCompare(ScalarBuilder &b, Operation *op, ValueRange x) {
  ComparePredicate predicate = cast<graph::CompareOp>(op).getPredicate();
  Type element = elementOf(op->getOperand(0));
  if (isa<FloatType>(element))
    return b.compare(floatPredicate(predicate), x[0], x[1]);
  return b.compare(integerPredicate(predicate, isUnsignedElement(element)), x[0], x[1]);
}

static Value emitSelect(ScalarBuilder &b, Operation *, ValueRange x) {
  return b.select(x[0], x[1], x[2]);
}

static Value emitIsnan(ScalarBuilder &b, Operation *, ValueRange x) {
  return b.compare(CmpFPredicate::UNO, x[0], x[0]);
}

static Value emitIsinf(ScalarBuilder &b, Operation *, ValueRange x) {
  Value magnitude = math::AbsFOp::create(b, x[0]);
  return b.compare(CmpFPredicate::OEQ, magnitude,
                   b.real(x[0], std::numeric_limits<double>::infinity()));
}

//===----------------------------------------------------------------------===//
// Conversion
//===----------------------------------------------------------------------===//

Value tessera::roundToElement(ScalarBuilder &b, Value value, Type element) {
  Type storage = withElement(value.getType(), element);
  if (storage == value.getType())
    return value;
  Value rounded = arith::TruncFOp::create(b, storage, value);
  return arith::ExtFOp::create(b, value.getType(), rounded);
}

static Value floatToFloat(ScalarBuilder &b, Value value, Type to) {
  Type result = withElement(value.getType(), registerType(to));
  unsigned from = getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth();
  unsigned width = registerType(to).getIntOrFloatBitWidth();
  if (width > from)
    value = arith::ExtFOp::create(b, result, value);
  else if (width < from)
    value = arith::TruncFOp::create(b, result, value);
  return roundToElement(b, value, to);
}

static Value floatToInteger(ScalarBuilder &b, Value value, Type to) {
  if (to.isInteger(1))
    return b.compare(CmpFPredicate::UNE, value, b.real(value, 0));
  unsigned width = to.getIntOrFloatBitWidth();
  // Narrow integers are the low bits of the 32-bit result, never its saturation.
  Type wide = withElement(value.getType(), b.getIntegerType(width == 64 ? 64 : 32));
  Value result = arith::FPToSIOp::create(b, wide, value);
  // What has no place in the type gives the smallest number, as the machine has it. LLVM has no
  // value for that, and makes whatever suits it of a constant.
  Value magnitude = math::AbsFOp::create(b, value);
  Value fits =
      b.compare(CmpFPredicate::OLT, magnitude, b.real(value, width == 64 ? 0x1p63 : 0x1p31));
  int64_t lowest =
      width == 64 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int32_t>::min();
  result = b.select(fits, result, b.integer(result, lowest));
  if (width < 32)
    result = arith::TruncIOp::create(b, withElement(wide, registerType(to)), result);
  return result;
}

static Value integerToFloat(ScalarBuilder &b, Value value, Type from, Type to) {
  Type result = withElement(value.getType(), registerType(to));
  if (isUnsignedElement(from))
    return roundToElement(b, arith::UIToFPOp::create(b, result, value), to);
  return roundToElement(b, arith::SIToFPOp::create(b, result, value), to);
}

static Value integerToInteger(ScalarBuilder &b, Value value, Type from, Type to) {
  if (to.isInteger(1))
    return b.compare(CmpIPredicate::ne, value, b.integer(value, 0));
  Type result = withElement(value.getType(), registerType(to));
  unsigned width = getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth();
  unsigned target = registerType(to).getIntOrFloatBitWidth();
  if (target < width)
    return arith::TruncIOp::create(b, result, value);
  if (target == width)
    return value;
  if (isUnsignedElement(from))
    return arith::ExtUIOp::create(b, result, value);
  return arith::ExtSIOp::create(b, result, value);
}

Value tessera::convertElement(ScalarBuilder &b, Value value, Type from, Type to) {
  if (from == to)
    return value;
  bool fromFloat = isa<FloatType>(from), toFloat = isa<FloatType>(to);
  if (fromFloat)
    return toFloat ? floatToFloat(b, value, to) : floatToInteger(b, value, to);
  return toFloat ? integerToFloat(b, value, from, to) : integerToInteger(b, value, from, to);
}

static Value emitCast(ScalarBuilder &b, Operation *op, ValueRange x) {
  return convertElement(b, x[0], elementOf(op->getOperand(0)), elementOf(op->getResult(0)));
}

static Value emitBitcast(ScalarBuilder &b, Operation *op, ValueRange x) {
  Type type = withElement(x[0].getType(), elementOf(op->getResult(0)));
  return type == x[0].getType() ? x[0] : arith::BitcastOp::create(b, type, x[0]).getResult();
}

static TesseraStatus statusOf(graph::Requirement requirement) {
  switch (requirement) {
  case graph::Requirement::Probability:
    return TESSERA_PROBABILITY_OUT_OF_RANGE;
  case graph::Requirement::Deviation:
    return TESSERA_NEGATIVE_DEVIATION;
  case graph::Requirement::Weights:
    return TESSERA_INVALID_WEIGHTS;
  }
  llvm_unreachable("unknown requirement");
}

static Value emitRequire(ScalarBuilder &b, Operation *op, ValueRange x) {
  b.raise(b.no(x[0]), statusOf(cast<graph::RequireOp>(op).getWhat()));
  return x[1];
}

void tessera::addLogicOps(ScalarTable &table) {
  table[TypeID::get<graph::CompareOp>()] = emitCompare;
  table[TypeID::get<graph::SelectOp>()] = emitSelect;
  table[TypeID::get<graph::IsnanOp>()] = emitIsnan;
  table[TypeID::get<graph::IsinfOp>()] = emitIsinf;
  table[TypeID::get<graph::CastOp>()] = emitCast;
  table[TypeID::get<graph::BitcastOp>()] = emitBitcast;
  table[TypeID::get<graph::RequireOp>()] = emitRequire;
}
