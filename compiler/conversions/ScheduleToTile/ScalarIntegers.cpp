//===- ScalarIntegers.cpp - bits and shifts --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The bitwise ops. On i1 they are the logical ones, with the same machine ops.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ScalarOps.h"
#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera;
using arith::CmpIPredicate;

static Value emitNot(ScalarBuilder &b, Operation *, ValueRange x) { return b.no(x[0]); }
static Value emitAnd(ScalarBuilder &b, Operation *, ValueRange x) { return b.both(x[0], x[1]); }
static Value emitOr(ScalarBuilder &b, Operation *, ValueRange x) { return b.either(x[0], x[1]); }
static Value emitXor(ScalarBuilder &b, Operation *, ValueRange x) {
  return arith::XOrIOp::create(b, x[0], x[1]);
}

static int64_t widthOf(Value value) {
  return getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth();
}

/// True where the amount is negative or not below `limit`; as unsigned numbers that is one
/// comparison.
static Value isOutside(ScalarBuilder &b, Value amount, int64_t limit) {
  return b.compare(CmpIPredicate::uge, amount, b.integer(amount, limit));
}

static Value emitShiftLeft(ScalarBuilder &b, Operation *, ValueRange x) {
  Value outside = isOutside(b, x[1], widthOf(x[0]));
  Value zero = b.integer(x[0], 0);
  Value shifted = arith::ShLIOp::create(b, x[0], b.select(outside, zero, x[1]));
  return b.select(outside, zero, shifted);
}

static Value emitShiftRight(ScalarBuilder &b, Operation *op, ValueRange x) {
  Value outside = isOutside(b, x[1], widthOf(x[0]));
  if (isUnsignedElement(elementOf(op->getOperand(0)))) {
    Value zero = b.integer(x[0], 0);
    Value shifted = arith::ShRUIOp::create(b, x[0], b.select(outside, zero, x[1]));
    return b.select(outside, zero, shifted);
  }
  // Beyond the width only copies of the sign remain.
  Value amount = b.select(outside, b.integer(x[1], widthOf(x[0]) - 1), x[1]);
  return arith::ShRSIOp::create(b, x[0], amount);
}

void tessera::addIntegerOps(ScalarTable &table) {
  table[TypeID::get<graph::BitwiseNotOp>()] = emitNot;
  table[TypeID::get<graph::BitwiseAndOp>()] = emitAnd;
  table[TypeID::get<graph::BitwiseOrOp>()] = emitOr;
  table[TypeID::get<graph::BitwiseXorOp>()] = emitXor;
  table[TypeID::get<graph::ShiftLeftOp>()] = emitShiftLeft;
  table[TypeID::get<graph::ShiftRightOp>()] = emitShiftRight;
}
