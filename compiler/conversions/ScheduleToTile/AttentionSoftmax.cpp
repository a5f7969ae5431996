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

/// Machine vectors of polynomials under way at once: enough to fill the pipes.
static constexpr int64_t kVectors = 4;

void AttentionEmitter::emitSoftmax(Value keys) {
  int64_t panel = t.anySizes ? 2 * nr : nr;
  Value width = t.mul(t.ceilDiv(keys, panel), panel);
  // Rows side by side: what their maxima and sums wait for hides in the others' work. Of a shorter
  // last block the rows that do not exist are taken along; nobody reads them.
  int64_t count = kVectors;
  while (br % count != 0)
    count /= 2;
  auto known = getConstantIntValue(width);
  int64_t step = kVectors / count * lanes;
  while ((known ? *known : panel) % step != 0)
    step /= 2;
  t.loop(t.index(0), rows, count, [&](Value row) { emitSoftmaxRows(row, count, width, step); });
}

Value AttentionEmitter::exp2(Value x) {
  return tile::Exp2Op::create(t.b, t.loc, x.getType(), x, t.b.getF64FloatAttr(kExp2Accuracy));
}

/// The largest score of `row` so far.
Value AttentionEmitter::rowMaximum(Value row) {
  auto type = VectorType::get({lanes}, p.accType);
  Value largest = vector::ReductionOp::create(t.b, t.loc, vector::CombiningKind::MAXNUMF,
                                              t.load(type, maxima, {row, t.index(0)}),
                                              arith::FastMathFlags::nnan);
  return online ? larger(largest, scalarLoad(rowMax, row)) : largest;
}

/// `count` rows from `first` on, `step` keys of each at a time.
void AttentionEmitter::emitSoftmaxRows(Value first, int64_t count, Value width, int64_t step) {
  OpBuilder &b = t.b;
  Location loc = t.loc;
  auto type = VectorType::get({step}, p.accType);
  double scale = scaleFirst ? kLog2E : p.scale * kLog2E;
  Value lowest = t.constant(p.accType, kMinusInfinity), zero = t.zero(p.accType);
  Value factor = t.constant(type, scale);
  SmallVector<Value> largest, shift, shifts;
  for (int64_t i = 0; i < count; ++i) {
    largest.push_back(rowMaximum(t.add(first, i)));
    // A row that sees nothing keeps its scores at minus infinity: their exponentials are zero, not
    // NaN.
    Value sees = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, largest[i], lowest);
    Value from = arith::SelectOp::create(b, loc, sees, largest[i], zero);
    shift.push_back(arith::MulFOp::create(b, loc, from, t.constant(p.accType, -scale)));
    shifts.push_back(t.broadcast(shift[i], type));
  }
  SmallVector<Value> zeros(count, t.zero(type));
  SmallVector<Value> sums =
      t.loop(t.index(0), width, step, zeros, [&](Value c, ValueRange carried) {
        SmallVector<Value> terms, next;
        for (int64_t i = 0; i < count; ++i) {
          Value x = t.load(type, scores, {t.add(first, i), c});
          terms.push_back(exp2(math::FmaOp::create(b, loc, x, factor, shifts[i])));
        }
        for (auto [i, term] : llvm::enumerate(terms)) {
          t.store(pairs ? t.roundFactors(term) : term, pairs ? weights : scores,
                  {t.add(first, static_cast<int64_t>(i)), c});
          next.push_back(arith::AddFOp::create(b, loc, carried[i], term));
        }
        return next;
      });
  for (int64_t i = 0; i < count; ++i)
    finishRow(t.add(first, i), sums[i], largest[i], shift[i]);
}

/// Leaves what the row's output is multiplied by; between passes also what the next one needs.
void AttentionEmitter::finishRow(Value row, Value sums, Value largest, Value shift) {
  OpBuilder &b = t.b;
  Location loc = t.loc;
  Value sum = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, sums,
                                          arith::FastMathFlags::reassoc);
  if (online) {
    double scale = scaleFirst ? kLog2E : p.scale * kLog2E;
    Value old = scalarLoad(rowMax, row);
    Value shrink = exp2(math::FmaOp::create(b, loc, old, t.constant(p.accType, scale), shift));
    scalarStore(shrink, rowFactor, row);
    scalarStore(math::FmaOp::create(b, loc, scalarLoad(rowSum, row), shrink, sum), rowSum, row);
    scalarStore(largest, rowMax, row);
    return;
  }
  Value zero = t.zero(p.accType);
  Value inverse = arith::DivFOp::create(b, loc, t.constant(p.accType, 1.0), sum);
  Value empty = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, sum, zero);
  scalarStore(arith::SelectOp::create(b, loc, empty, zero, inverse), rowFactor, row);
}

} // namespace tessera
