//===- ScalarOps.cpp - the table of elementwise ops ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ScalarOps.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;
using namespace tessera;

Type tessera::withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return VectorType::get(vector.getShape(), element);
  return element;
}

bool tessera::isUnsignedElement(Type elementType) {
  return elementType.isUnsignedInteger() || elementType.isInteger(1);
}

static Value splat(ScalarBuilder &b, Type like, TypedAttr element) {
  if (auto vector = dyn_cast<VectorType>(like))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, Attribute(element)));
  return arith::ConstantOp::create(b, element);
}

Value ScalarBuilder::real(Type like, double value) {
  return splat(*this, like, getFloatAttr(getElementTypeOrSelf(like), value));
}

Value ScalarBuilder::integer(Type like, int64_t value) {
  Type element = getElementTypeOrSelf(like);
  unsigned width = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
  return splat(*this, like,
               IntegerAttr::get(element, APInt(width, value, /*isSigned=*/true,
                                               /*implicitTrunc=*/true)));
}

Value ScalarBuilder::addF(Value a, Value b) { return arith::AddFOp::create(*this, a, b, fastMath); }
Value ScalarBuilder::subF(Value a, Value b) { return arith::SubFOp::create(*this, a, b, fastMath); }
Value ScalarBuilder::mulF(Value a, Value b) { return arith::MulFOp::create(*this, a, b, fastMath); }
Value ScalarBuilder::divF(Value a, Value b) { return arith::DivFOp::create(*this, a, b); }
Value ScalarBuilder::fma(Value a, Value b, Value c) { return math::FmaOp::create(*this, a, b, c); }

Value ScalarBuilder::polynomial(Value x, ArrayRef<double> highestFirst) {
  Value result = real(x, highestFirst.front());
  for (double coefficient : highestFirst.drop_front())
    result = fma(result, x, real(x, coefficient));
  return result;
}

Value ScalarBuilder::compare(arith::CmpFPredicate predicate, Value a, Value b) {
  return arith::CmpFOp::create(*this, predicate, a, b);
}
Value ScalarBuilder::compare(arith::CmpIPredicate predicate, Value a, Value b) {
  return arith::CmpIOp::create(*this, predicate, a, b);
}
Value ScalarBuilder::select(Value condition, Value a, Value b) {
  return arith::SelectOp::create(*this, condition, a, b);
}
Value ScalarBuilder::both(Value a, Value b) { return arith::AndIOp::create(*this, a, b); }
Value ScalarBuilder::either(Value a, Value b) { return arith::OrIOp::create(*this, a, b); }
Value ScalarBuilder::no(Value a) { return arith::XOrIOp::create(*this, a, integer(a, -1)); }

ScalarRule tessera::findScalarOp(Operation *op) {
  static const ScalarTable table = [] {
    ScalarTable entries;
    addArithmeticOps(entries);
    addIntegerOps(entries);
    addFunctionOps(entries);
    addLogicOps(entries);
    return entries;
  }();
  return table.lookup(op->getName().getTypeID());
}
