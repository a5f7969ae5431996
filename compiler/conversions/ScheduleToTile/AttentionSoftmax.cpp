//===- AttentionSoftmax.cpp - exponentials of the score rows ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Replaces a pass's scores x by exp2((x - max)·scale·log2e) and sums them. The
// factor that turns the unnormalized output into the result, or, between passes,
// the one the output so far shrinks by, is left in `rowFactor`.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Attention.h"

#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;

namespace tessera {

static constexpr double kLog2E = 1.4426950408889634;
/// In units of epsilon. The sum of a row averages over the errors of its terms.
static constexpr double kExp2Accuracy = 2.0;
static constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

void AttentionEmitter::clearStatistics() {
  if (!online)
    return;
  auto type = VectorType::get({chunkLanes(nrValue)}, p.accType);
  Value zeros = t.zero(type), zero = t.zero(p.accType),
        lowest = t.constant(p.accType, kMinusInfinity);
  t.loop(t.index(0), rows, 1, [&](Value row) {
    scalarStore(lowest, rowMax, row);
    scalarStore(zero, rowSum, row);
    t.loop(0, valuePanels * nrValue, type.getDimSize(0),
           [&](Value c) { t.store(zeros, output, {row, c}); });
  });
}

void AttentionEmitter::emitSoftmax(Value keys) {
  int64_t step = t.anySizes ? 2 * nr : nr;
  Value width = t.mul(t.ceilDiv(keys, step), step);
  t.loop(t.index(0), rows, 1, [&](Value row) { emitSoftmaxRow(row, width); });
}

void AttentionEmitter::emitSoftmaxRow(Value row, Value width) {
  OpBuilder &b = t.b;
  Location loc = t.loc;
  // Two register tiles a step, where the width allows: enough independent polynomials to fill the
  // pipes.
  auto known = getConstantIntValue(width);
  int64_t step = t.anySizes || (known && *known % (2 * nr) == 0) ? 2 * nr : nr;
  auto type = VectorType::get({step}, p.accType);
  auto exp2 = [&](Value x) -> Value {
    return tile::Exp2Op::create(b, loc, x.getType(), x, b.getF64FloatAttr(kExp2Accuracy));
  };
  double factor = scaleFirst ? kLog2E : p.scale * kLog2E;

  auto maxType = VectorType::get({lanes}, p.accType);
  Value largest = vector::ReductionOp::create(b, loc, vector::CombiningKind::MAXNUMF,
                                              t.load(maxType, maxima, {row, t.index(0)}),
                                              arith::FastMathFlags::nnan);
  if (online)
    largest = larger(largest, scalarLoad(rowMax, row));
  // A row that sees nothing keeps its scores at minus infinity: their exponentials are zero, not
  // NaN.
  Value lowest = t.constant(p.accType, kMinusInfinity), zero = t.zero(p.accType);
  Value sees = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, largest, lowest);
  Value shift = arith::MulFOp::create(b, loc, arith::SelectOp::create(b, loc, sees, largest, zero),
                                      t.constant(p.accType, -factor));
  Value shifts = t.broadcast(shift, type), factors = t.constant(type, factor);
  SmallVector<Value> sums =
      t.loop(t.index(0), width, step, {t.zero(type)}, [&](Value c, ValueRange carried) {
        Value x = t.load(type, scores, {row, c});
        Value e = exp2(math::FmaOp::create(b, loc, x, factors, shifts));
        if (pairs)
          t.store(t.roundFactors(e), weights, {row, c});
        else
          t.store(e, scores, {row, c});
        return SmallVector<Value>{arith::AddFOp::create(b, loc, carried[0], e)};
      });
  Value sum = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, sums[0],
                                          arith::FastMathFlags::reassoc);
  if (online) {
    Value old = scalarLoad(rowMax, row);
    Value shrink = exp2(math::FmaOp::create(b, loc, old, t.constant(p.accType, factor), shift));
    scalarStore(shrink, rowFactor, row);
    scalarStore(math::FmaOp::create(b, loc, scalarLoad(rowSum, row), shrink, sum), rowSum, row);
    scalarStore(largest, rowMax, row);
    return;
  }
  Value inverse = arith::DivFOp::create(b, loc, t.constant(p.accType, 1.0), sum);
  Value empty = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, sum, zero);
  scalarStore(arith::SelectOp::create(b, loc, empty, zero, inverse), rowFactor, row);
}

} // namespace tessera
