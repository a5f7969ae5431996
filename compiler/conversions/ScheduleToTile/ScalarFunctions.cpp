//===- ScalarFunctions.cpp - functions of one float ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// exp, exp2, erf, tanh and GELU go to the tile dialect, which states their accuracy;
// the rest to the math dialect; the activations are written over these so that
// they saturate as torch's do: no NaN for any finite argument.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ScalarOps.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace tessera;
using arith::CmpFPredicate;

// In additions: a polynomial of a dozen terms, a quotient or root.
constexpr double functionCost = 16;
constexpr double divisionCost = 6;
// A call of the runtime for each lane.
constexpr double specialCost = 120;

template <typename MathOp> static Value emitMath(ScalarBuilder &b, Operation *, ValueRange x) {
  return MathOp::create(b, x[0]);
}

template <typename MathOp> static Value emitMath2(ScalarBuilder &b, Operation *, ValueRange x) {
  return MathOp::create(b, x[0], x[1]);
}

static Value exp(ScalarBuilder &b, Value x) { return tile::ExpOp::create(b, x); }
static Value erf(ScalarBuilder &b, Value x) { return tile::ErfOp::create(b, x); }
static Value tanh(ScalarBuilder &b, Value x) { return tile::TanhOp::create(b, x); }

static Value emitExp(ScalarBuilder &b, Operation *, ValueRange x) { return exp(b, x[0]); }
static Value emitErf(ScalarBuilder &b, Operation *, ValueRange x) { return erf(b, x[0]); }
static Value emitTanh(ScalarBuilder &b, Operation *, ValueRange x) { return tanh(b, x[0]); }
static Value emitExp2(ScalarBuilder &b, Operation *, ValueRange x) {
  return tile::Exp2Op::create(b, x[0]);
}

/// MLIR folds the angle of zeros to NaN; it is zero or π, with the sign of y.
static Value emitAtan2(ScalarBuilder &b, Operation *, ValueRange operands) {
  Value y = operands[0], x = operands[1], zero = b.real(x, 0);
  Value signOfX = math::CopySignOp::create(b, b.real(x, 1), x);
  Value flat =
      b.select(b.compare(CmpFPredicate::OLT, signOfX, zero), b.real(x, llvm::numbers::pi), zero);
  Value angle = math::Atan2Op::create(b, y, x);
  Value onAxis =
      b.select(b.compare(CmpFPredicate::OEQ, x, zero), math::CopySignOp::create(b, flat, y), angle);
  return b.select(b.compare(CmpFPredicate::OEQ, y, zero), onAxis, angle);
}

static Value emitReciprocal(ScalarBuilder &b, Operation *, ValueRange x) {
  return b.divF(b.real(x[0], 1), x[0]);
}

static Value emitRsqrt(ScalarBuilder &b, Operation *, ValueRange x) {
  return b.divF(b.real(x[0], 1), math::SqrtOp::create(b, x[0]));
}

static Value emitSpecial(ScalarBuilder &b, Operation *op, ValueRange operands) {
  return tile::SpecialOp::create(b, operands[0].getType(), cast<graph::SpecialOp>(op).getFunction(),
                                 operands);
}

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

/// 1 + exp(-x): infinite for very negative x, which both users turn into 0. As a power of two in
/// f32: it takes a third fewer instructions, and what the product rounds off, |x| · 4e-8 of the
/// power, only shows where the power is large and the results are next to nothing.
static Value onePlusExpMinus(ScalarBuilder &b, Value x) {
  Value power;
  if (getElementTypeOrSelf(x.getType()).isF64())
    power = exp(b, arith::NegFOp::create(b, x));
  else
    power = tile::Exp2Op::create(b, b.mulF(x, b.real(x, -llvm::numbers::log2e)));
  return b.addF(b.real(x, 1), power);
}

static Value emitSigmoid(ScalarBuilder &b, Operation *, ValueRange x) {
  return b.divF(b.real(x[0], 1), onePlusExpMinus(b, x[0]));
}

static Value emitSilu(ScalarBuilder &b, Operation *, ValueRange x) {
  return b.divF(x[0], onePlusExpMinus(b, x[0]));
}

static Value emitGelu(ScalarBuilder &b, Operation *op, ValueRange x) {
  if (cast<graph::GeluOp>(op).getApproximate() == graph::GeluApproximation::Tanh)
    return tile::GeluTanhOp::create(b, x[0]);
  return tile::GeluOp::create(b, x[0]);
}

void tessera::addFunctionOps(ScalarTable &table) {
  table[TypeID::get<graph::ExpOp>()] = {emitExp, functionCost};
  table[TypeID::get<graph::Exp2Op>()] = {emitExp2, functionCost};
  table[TypeID::get<graph::ErfOp>()] = {emitErf, functionCost};
  table[TypeID::get<graph::TanhOp>()] = {emitTanh, functionCost};
  table[TypeID::get<graph::Expm1Op>()] = {emitMath<math::ExpM1Op>, functionCost};
  table[TypeID::get<graph::LogOp>()] = {emitMath<math::LogOp>, functionCost};
  table[TypeID::get<graph::Log2Op>()] = {emitMath<math::Log2Op>, functionCost};
  table[TypeID::get<graph::Log10Op>()] = {emitMath<math::Log10Op>, functionCost};
  table[TypeID::get<graph::Log1pOp>()] = {emitMath<math::Log1pOp>, functionCost};
  table[TypeID::get<graph::SqrtOp>()] = {emitMath<math::SqrtOp>, divisionCost};
  table[TypeID::get<graph::RsqrtOp>()] = {emitRsqrt, divisionCost};
  table[TypeID::get<graph::ReciprocalOp>()] = {emitReciprocal, divisionCost};
  table[TypeID::get<graph::SinOp>()] = {emitMath<math::SinOp>, functionCost};
  table[TypeID::get<graph::CosOp>()] = {emitMath<math::CosOp>, functionCost};
  table[TypeID::get<graph::TanOp>()] = {emitMath<math::TanOp>, functionCost};
  table[TypeID::get<graph::AsinOp>()] = {emitMath<math::AsinOp>, functionCost};
  table[TypeID::get<graph::AcosOp>()] = {emitMath<math::AcosOp>, functionCost};
  table[TypeID::get<graph::AtanOp>()] = {emitMath<math::AtanOp>, functionCost};
  table[TypeID::get<graph::SinhOp>()] = {emitMath<math::SinhOp>, functionCost};
  table[TypeID::get<graph::CoshOp>()] = {emitMath<math::CoshOp>, functionCost};
  table[TypeID::get<graph::AsinhOp>()] = {emitMath<math::AsinhOp>, functionCost};
  table[TypeID::get<graph::AcoshOp>()] = {emitMath<math::AcoshOp>, functionCost};
  table[TypeID::get<graph::AtanhOp>()] = {emitMath<math::AtanhOp>, functionCost};
  table[TypeID::get<graph::ErfcOp>()] = {emitMath<math::ErfcOp>, functionCost};
  table[TypeID::get<graph::CeilOp>()] = emitMath<math::CeilOp>;
  table[TypeID::get<graph::FloorOp>()] = emitMath<math::FloorOp>;
  table[TypeID::get<graph::TruncOp>()] = emitMath<math::TruncOp>;
  table[TypeID::get<graph::RoundOp>()] = emitMath<math::RoundEvenOp>;
  table[TypeID::get<graph::Atan2Op>()] = {emitAtan2, functionCost};
  table[TypeID::get<graph::CopysignOp>()] = emitMath2<math::CopySignOp>;
  table[TypeID::get<graph::SigmoidOp>()] = {emitSigmoid, functionCost};
  table[TypeID::get<graph::SiluOp>()] = {emitSilu, functionCost};
  table[TypeID::get<graph::GeluOp>()] = {emitGelu, functionCost};
  table[TypeID::get<graph::ErfinvOp>()] = {emitErfinv, functionCost};
  table[TypeID::get<graph::SpecialOp>()] = {emitSpecial, specialCost};
}
