//===- ScalarArithmetic.cpp - arithmetic of the elementwise ops ------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sums, products, quotients and extrema. Signs and special values are torch's;
// the entries that take both floats and integers branch on the register type.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ScalarOps.h"
#include "compiler/graph/ir/GraphOps.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tessera;
using arith::CmpFPredicate;
using arith::CmpIPredicate;

// In additions.
constexpr double divisionCost = 6;
constexpr double powerCost = 30;

static bool isFloat(Value value) { return isa<FloatType>(getElementTypeOrSelf(value.getType())); }
static bool isUnsigned(Operation *op) { return isUnsignedElement(elementOf(op->getOperand(0))); }

//===----------------------------------------------------------------------===//
// Sums, products, signs, extrema
//===----------------------------------------------------------------------===//

static Value emitAdd(ScalarBuilder &b, Operation *, ValueRange x) {
  return isFloat(x[0]) ? b.addF(x[0], x[1]) : Value(arith::AddIOp::create(b, x[0], x[1]));
}

static Value emitSub(ScalarBuilder &b, Operation *, ValueRange x) {
  return isFloat(x[0]) ? b.subF(x[0], x[1]) : Value(arith::SubIOp::create(b, x[0], x[1]));
}

static Value emitMul(ScalarBuilder &b, Operation *, ValueRange x) {
  return isFloat(x[0]) ? b.mulF(x[0], x[1]) : Value(arith::MulIOp::create(b, x[0], x[1]));
}

static Value emitDiv(ScalarBuilder &b, Operation *, ValueRange x) { return b.divF(x[0], x[1]); }

static Value emitNeg(ScalarBuilder &b, Operation *, ValueRange x) {
  if (isFloat(x[0]))
    return arith::NegFOp::create(b, x[0]);
  return arith::SubIOp::create(b, b.integer(x[0], 0), x[0]);
}

static Value emitAbs(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (isFloat(x[0]))
    return math::AbsFOp::create(b, x[0]);
  return isUnsigned(op) ? x[0] : Value(math::AbsIOp::create(b, x[0]));
}

static Value emitSign(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (!isFloat(x[0])) {
    Value zero = b.integer(x[0], 0), one = b.integer(x[0], 1);
    Value positive = b.select(b.compare(CmpIPredicate::ne, x[0], zero), one, zero);
    if (isUnsigned(op))
      return positive;
    return b.select(b.compare(CmpIPredicate::slt, x[0], zero), b.integer(x[0], -1), positive);
  }
  Value zero = b.real(x[0], 0);
  Value positive = b.select(b.compare(CmpFPredicate::OGT, x[0], zero), b.real(x[0], 1), zero);
  // As in torch, NaN has no sign: 0.
  return b.select(b.compare(CmpFPredicate::OLT, x[0], zero), b.real(x[0], -1), positive);
}

static Value emitMaximum(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (isFloat(x[0]))
    return arith::MaximumFOp::create(b, x[0], x[1]);
  if (isUnsigned(op))
    return arith::MaxUIOp::create(b, x[0], x[1]);
  return arith::MaxSIOp::create(b, x[0], x[1]);
}

static Value emitMinimum(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (isFloat(x[0]))
    return arith::MinimumFOp::create(b, x[0], x[1]);
  if (isUnsigned(op))
    return arith::MinUIOp::create(b, x[0], x[1]);
  return arith::MinSIOp::create(b, x[0], x[1]);
}

//===----------------------------------------------------------------------===//
// Quotients and remainders of floats
//===----------------------------------------------------------------------===//

/// True where the nonzero remainder's sign is not the divisor's.
static Value remainderNeedsShift(ScalarBuilder &b, Value remainder, Value divisor) {
  Value zero = b.real(remainder, 0);
  Value signsDiffer = arith::XOrIOp::create(b, b.compare(CmpFPredicate::OLT, divisor, zero),
                                            b.compare(CmpFPredicate::OLT, remainder, zero));
  return b.both(b.compare(CmpFPredicate::UNE, remainder, zero), signsDiffer);
}

static Value remainderF(ScalarBuilder &b, Value x, Value y) {
  Value rest = arith::RemFOp::create(b, x, y);
  return b.select(remainderNeedsShift(b, rest, y), b.addF(rest, y), rest);
}

/// Python's floor division as torch computes it: exact where the quotient of the rounded values is
/// not.
static Value floorDivF(ScalarBuilder &b, Value x, Value y) {
  Value zero = b.real(x, 0), one = b.real(x, 1);
  Value rest = arith::RemFOp::create(b, x, y);
  Value quotient = b.divF(b.subF(x, rest), y);
  quotient = b.select(remainderNeedsShift(b, rest, y), b.subF(quotient, one), quotient);
  Value floor = math::FloorOp::create(b, quotient);
  Value above = b.compare(CmpFPredicate::OGT, b.subF(quotient, floor), b.real(x, 0.5));
  floor = b.select(above, b.addF(floor, one), floor);
  Value ratio = b.divF(x, y);
  Value signedZero = math::CopySignOp::create(b, zero, ratio);
  floor = b.select(b.compare(CmpFPredicate::OEQ, quotient, zero), signedZero, floor);
  return b.select(b.compare(CmpFPredicate::OEQ, y, zero), ratio, floor);
}

//===----------------------------------------------------------------------===//
// Quotients and remainders of integers
//===----------------------------------------------------------------------===//

/// A divisor the machine's division accepts. Zero fails the kernel; the most negative number by -1
/// wraps, as dividing by 1 does.
static Value safeDivisor(ScalarBuilder &b, Value x, Value y, bool isUnsignedOp) {
  Value zero = b.compare(CmpIPredicate::eq, y, b.integer(y, 0));
  b.raise(zero, TESSERA_DIVISION_BY_ZERO);
  Value replace = zero;
  if (!isUnsignedOp) {
    unsigned width = getElementTypeOrSelf(x.getType()).getIntOrFloatBitWidth();
    Value lowest = b.integer(x, static_cast<int64_t>(uint64_t(1) << (width - 1)));
    Value overflow = b.both(b.compare(CmpIPredicate::eq, x, lowest),
                            b.compare(CmpIPredicate::eq, y, b.integer(y, -1)));
    replace = b.either(zero, overflow);
  }
  return b.select(replace, b.integer(y, 1), y);
}

/// True where the remainder is nonzero and its sign is not the divisor's.
static Value integerNeedsShift(ScalarBuilder &b, Value rest, Value divisor) {
  Value zero = b.integer(rest, 0);
  Value mixed = arith::XOrIOp::create(b, rest, divisor);
  return b.both(b.compare(CmpIPredicate::ne, rest, zero),
                b.compare(CmpIPredicate::slt, mixed, zero));
}

static Value emitTruncDiv(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (isFloat(x[0])) {
    // torch rounds the quotient to the operands' type first.
    Type element = elementOf(op->getOperand(0));
    return math::TruncOp::create(b, roundToElement(b, b.divF(x[0], x[1]), element));
  }
  Value divisor = safeDivisor(b, x[0], x[1], isUnsigned(op));
  if (isUnsigned(op))
    return arith::DivUIOp::create(b, x[0], divisor);
  return arith::DivSIOp::create(b, x[0], divisor);
}

static Value emitFloorDiv(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (isFloat(x[0]))
    return floorDivF(b, x[0], x[1]);
  if (isUnsigned(op))
    return emitTruncDiv(b, op, x);
  Value divisor = safeDivisor(b, x[0], x[1], false);
  Value quotient = arith::DivSIOp::create(b, x[0], divisor);
  Value rest = arith::SubIOp::create(b, x[0], arith::MulIOp::create(b, quotient, divisor));
  Value lower = arith::SubIOp::create(b, quotient, b.integer(quotient, 1));
  return b.select(integerNeedsShift(b, rest, divisor), lower, quotient);
}

static Value emitFmod(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (isFloat(x[0]))
    return arith::RemFOp::create(b, x[0], x[1]);
  Value divisor = safeDivisor(b, x[0], x[1], isUnsigned(op));
  if (isUnsigned(op))
    return arith::RemUIOp::create(b, x[0], divisor);
  return arith::RemSIOp::create(b, x[0], divisor);
}

static Value emitRemainder(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (isFloat(x[0]))
    return remainderF(b, x[0], x[1]);
  if (isUnsigned(op))
    return emitFmod(b, op, x);
  Value divisor = safeDivisor(b, x[0], x[1], false);
  Value rest = arith::RemSIOp::create(b, x[0], divisor);
  Value shifted = arith::AddIOp::create(b, rest, divisor);
  return b.select(integerNeedsShift(b, rest, divisor), shifted, rest);
}

//===----------------------------------------------------------------------===//
// Powers
//===----------------------------------------------------------------------===//

/// By squaring, one bit of the exponent a step. Negative exponents leave only ±1.
static Value powI(ScalarBuilder &b, Value x, Value y, bool isUnsignedOp) {
  unsigned width = getElementTypeOrSelf(x.getType()).getIntOrFloatBitWidth();
  Value zero = b.integer(x, 0), one = b.integer(x, 1);
  Value first = arith::ConstantIndexOp::create(b, 0), step = arith::ConstantIndexOp::create(b, 1);
  Value bits = arith::ConstantIndexOp::create(b, isUnsignedOp ? width : width - 1);
  auto loop = scf::ForOp::create(b, first, bits, step, ValueRange{one, x, y},
                                 [&](OpBuilder &inner, Location loc, Value, ValueRange state) {
                                   ScalarBuilder s(loc, inner);
                                   Value isOdd =
                                       s.compare(CmpIPredicate::ne, s.both(state[2], one), zero);
                                   Value times = arith::MulIOp::create(s, state[0], state[1]);
                                   Value next = s.select(isOdd, times, state[0]);
                                   Value square = arith::MulIOp::create(s, state[1], state[1]);
                                   Value rest = arith::ShRUIOp::create(s, state[2], one);
                                   scf::YieldOp::create(s, ValueRange{next, square, rest});
                                 });
  Value result = loop.getResult(0);
  if (isUnsignedOp)
    return result;
  Value minusOne = b.integer(x, -1);
  Value isOdd = b.compare(CmpIPredicate::ne, b.both(y, one), zero);
  Value ofMinusOne = b.select(isOdd, minusOne, one);
  Value inverse = b.select(b.compare(CmpIPredicate::eq, x, minusOne), ofMinusOne, zero);
  inverse = b.select(b.compare(CmpIPredicate::eq, x, one), one, inverse);
  return b.select(b.compare(CmpIPredicate::slt, y, zero), inverse, result);
}

/// The exponent where it is one number for all elements.
static std::optional<double> constantExponent(Operation *op) {
  DenseElementsAttr attr;
  if (!matchPattern(op->getOperand(1), m_Constant(&attr)) || !attr.isSplat())
    return std::nullopt;
  if (isa<FloatType>(attr.getElementType()))
    return attr.getSplatValue<APFloat>().convertToDouble();
  return std::nullopt;
}

static Value emitPow(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (!isFloat(x[0]))
    return powI(b, x[0], x[1], isUnsigned(op));
  // torch's shortcuts for scalar exponents, which differ from pow in the last place.
  if (std::optional<double> exponent = constantExponent(op)) {
    Value one = b.real(x[0], 1);
    Value square = b.mulF(x[0], x[0]);
    if (*exponent == 2)
      return square;
    if (*exponent == 3)
      return b.mulF(square, x[0]);
    if (*exponent == 0.5)
      return math::SqrtOp::create(b, x[0]);
    if (*exponent == -0.5)
      return b.divF(one, math::SqrtOp::create(b, x[0]));
    if (*exponent == -1)
      return b.divF(one, x[0]);
    if (*exponent == -2)
      return b.divF(one, square);
  }
  return math::PowFOp::create(b, x[0], x[1]);
}

void tessera::addArithmeticOps(ScalarTable &table) {
  table[TypeID::get<graph::AddOp>()] = emitAdd;
  table[TypeID::get<graph::SubOp>()] = emitSub;
  table[TypeID::get<graph::MulOp>()] = emitMul;
  table[TypeID::get<graph::DivOp>()] = {emitDiv, divisionCost};
  table[TypeID::get<graph::NegOp>()] = emitNeg;
  table[TypeID::get<graph::AbsOp>()] = emitAbs;
  table[TypeID::get<graph::SignOp>()] = emitSign;
  table[TypeID::get<graph::MaximumOp>()] = emitMaximum;
  table[TypeID::get<graph::MinimumOp>()] = emitMinimum;
  table[TypeID::get<graph::TruncDivOp>()] = {emitTruncDiv, divisionCost};
  table[TypeID::get<graph::FloorDivOp>()] = {emitFloorDiv, divisionCost};
  table[TypeID::get<graph::FmodOp>()] = {emitFmod, divisionCost};
  table[TypeID::get<graph::RemainderOp>()] = {emitRemainder, divisionCost};
  table[TypeID::get<graph::PowOp>()] = {emitPow, powerCost};
}
