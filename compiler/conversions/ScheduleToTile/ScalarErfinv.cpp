//===- ScalarErfinv.cpp - the inverse error function ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// In w = -log(1 - x²), as M. Giles, "Approximating the erfinv function" (2010),
// has it: erfinv(x)/x is smooth in w, and in its root where w is large. Errors
// stay below four units in the last place over all of (-1, 1).
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ScalarOps.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace tessera;
using arith::CmpFPredicate;

// Double precision, interpolated at Chebyshev points of w in [0, 6.25], and of its root in [2.5, 4]
// and [4, 6.25], which is beyond what the double next to one gives; about the middles of these.
constexpr double erfinvCentral[] = {
    -2.362369698566107e-22, -1.6787330615256773e-19, 1.1027771591500033e-18,
    1.1125794759379464e-17, -1.290702354613073e-16,  2.166994626283574e-17,
    6.581955305929239e-15,  -4.0554139746886e-14,    -8.106594456438496e-14,
    2.6335724924608484e-12, -1.2977505202014966e-11, -5.4154417754696635e-11,
    1.0512202440121784e-09, -4.112633104297614e-09,  -2.907038666019143e-08,
    4.2347877672780653e-07, -1.3654691796592068e-06, -1.3882523361276876e-05,
    0.0001867342080212427,  -0.0007407025341669402,  -0.006033670871427011,
    0.2401581824255897,     1.6536545626831027};
constexpr double erfinvMiddle[] = {
    9.284332225420571e-08,  -2.697313682066162e-07,  1.3250759477977463e-08,
    1.497191022600222e-06,  -4.008956966932278e-06,  2.9264777314239854e-06,
    1.2472740144742724e-05, -4.7319187369358214e-05, 6.828561398530996e-05,
    2.4031286377073694e-05, -0.00035503764895782253, 0.0009532893618552461,
    -0.0016882755445265592, 0.0024914420969979908,   -0.003751208508030541,
    0.005370914553573593,   1.0052589676941646,      3.0838856104922208};
constexpr double erfinvTail[] = {
    2.340286775700054e-11,   -2.271627900120875e-10,  8.349838348552366e-10,
    -1.8604750325693995e-09, 3.524541418468488e-09,   -6.8381445707138106e-09,
    1.4562970273695557e-08,  -4.1656650460922575e-08, 1.6932274733409748e-07,
    -7.961981182683631e-07,  3.747584379091117e-06,   -1.6589903771827145e-05,
    6.469075717389542e-05,   -0.00017993907179259796, -0.0002125995036837144,
    1.0102562759886418,      4.9761913900163};

/// The logarithm's argument is a product: 1 - x² would round where its digits matter.
static Value distance(ScalarBuilder &b, Value x) {
  Value one = b.real(x, 1);
  Value product = b.mulF(b.subF(one, x), b.addF(one, x));
  return arith::NegFOp::create(b, math::LogOp::create(b, product));
}

/// erfinv(x) / x in single precision; the coefficients are the paper's.
static Value quotientSingle(ScalarBuilder &b, Value w) {
  Value central =
      b.polynomial(b.subF(w, b.real(w, 2.5)),
                   {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941});
  Value tail = b.polynomial(b.subF(math::SqrtOp::create(b, w), b.real(w, 3)),
                            {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844,
                             0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682});
  return b.select(b.compare(CmpFPredicate::OLT, w, b.real(w, 5)), central, tail);
}

static Value quotientDouble(ScalarBuilder &b, Value w) {
  Value root = math::SqrtOp::create(b, w);
  Value central = b.polynomial(b.subF(w, b.real(w, 3.125)), erfinvCentral);
  Value middle = b.polynomial(b.subF(root, b.real(w, 3.25)), erfinvMiddle);
  Value tail = b.polynomial(b.subF(root, b.real(w, 5.125)), erfinvTail);
  Value beyond = b.select(b.compare(CmpFPredicate::OLT, w, b.real(w, 16)), middle, tail);
  return b.select(b.compare(CmpFPredicate::OLT, w, b.real(w, 6.25)), central, beyond);
}

Value tessera::emitErfinv(ScalarBuilder &b, Operation *, ValueRange operands) {
  Value x = operands[0], w = distance(b, x);
  bool isDouble = getElementTypeOrSelf(x.getType()).isF64();
  Value result = b.mulF(isDouble ? quotientDouble(b, w) : quotientSingle(b, w), x);
  Value one = b.real(x, 1), magnitude = math::AbsFOp::create(b, x);
  Value infinity = b.real(x, std::numeric_limits<double>::infinity());
  Value signedInfinity = math::CopySignOp::create(b, infinity, x);
  result = b.select(b.compare(CmpFPredicate::OEQ, magnitude, one), signedInfinity, result);
  Value nan = b.real(x, std::numeric_limits<double>::quiet_NaN());
  return b.select(b.compare(CmpFPredicate::UGT, magnitude, one), nan, result);
}
