//===- AttentionOutput.cpp - exponentials times values ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Attention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace tessera {

void AttentionEmitter::forColumnPanels(llvm::function_ref<void(Value, int64_t)> body) {
  int64_t whole = p.columns / nrValue;
  t.loop(0, whole, 1, [&](Value panel) { body(panel, nrValue); });
  if (p.columns % nrValue != 0)
    body(t.index(whole), p.columns % nrValue);
}

void AttentionEmitter::emitOutput(Value firstKey, Value depth) {
  auto rowType = VectorType::get({nrValue}, p.accType);
  // A strip's scores stay in the first level while the panels of values pass by.
  forStrips([&](const Strip &strip) {
    forColumnPanels([&](Value panel, int64_t columns) {
      Value acc = t.zero(VectorType::get({strip.rows, nrValue}, p.accType));
      if (online) {
        SmallVector<Value> old;
        for (int64_t i = 0; i < strip.rows; ++i) {
          Value row = t.add(strip.block, i);
          Value shrink = t.broadcast(scalarLoad(rowFactor, row), rowType);
          Value sofar = t.load(rowType, output, {row, t.mul(panel, nrValue)});
          old.push_back(arith::MulFOp::create(t.b, t.loc, sofar, shrink));
        }
        acc = t.tileOfRows(old);
      }
      Value zero = t.index(0);
      Value column = t.mul(panel, nrValue);
      if (inPlace && p.v.join)
        acc = joinedProducts(acc, strip, column, firstKey, depth);
      else if (inPlace)
        acc = t.mma(acc, scores, {strip.block, zero}, placedValues.pieces.front(),
                    {firstKey, column}, depth, s.getUnroll(), nextValues(column, firstKey));
      else if (pairs) // a pass begins at a whole pair
        acc = t.mma(acc, asPairs(weights), {strip.block, zero, zero}, valueScratch,
                    {panel, t.div(firstKey, 2), zero, zero}, depth, s.getUnroll(), {}, true);
      else
        acc = t.mma(acc, scores, {strip.block, zero}, valueScratch, {panel, firstKey, zero}, depth,
                    s.getUnroll(), {});
      if (!online)
        return emitEpilogue(acc, strip, panel, columns);
      for (int64_t i = 0; i < strip.rows; ++i)
        t.store(t.row(acc, i), output, {t.add(strip.block, i), t.mul(panel, nrValue)});
    });
  });
}

/// After the last pass: 1/l, then every row of the output through the epilogue.
void AttentionEmitter::emitFinal() {
  Value zero = t.zero(p.accType), one = t.constant(p.accType, 1.0);
  t.loop(t.index(0), rows, 1, [&](Value row) {
    Value sum = scalarLoad(rowSum, row);
    Value empty = arith::CmpFOp::create(t.b, t.loc, arith::CmpFPredicate::OEQ, sum, zero);
    Value inverse = arith::DivFOp::create(t.b, t.loc, one, sum);
    scalarStore(arith::SelectOp::create(t.b, t.loc, empty, zero, inverse), rowFactor, row);
  });
  auto rowType = VectorType::get({nrValue}, p.accType);
  forColumnPanels([&](Value panel, int64_t columns) {
    t.loop(t.index(0), rows, 1, [&](Value row) {
      Value vector = t.load(rowType, output, {row, t.mul(panel, nrValue)});
      emitEpilogue(t.tileOfRows({vector}), {row, 1}, panel, columns);
    });
  });
}

void AttentionEmitter::emitEpilogue(Value acc, const Strip &strip, Value panel, int64_t columns) {
  int64_t width = chunkLanes(nrValue);
  auto type = VectorType::get({width}, p.accType);
  TilePoint point;
  point.indices = item;
  if (cast<RankedTensorType>(p.attention.getType()).getRank() >= 3)
    point.indices.push_back(head);
  size_t rowDim = point.indices.size();
  point.indices.append({Value(), Value()});
  point.laneDim = rowDim + 1;
  point.lanes = width;
  for (int64_t i = 0; i < strip.rows; ++i) {
    Value row = t.add(strip.block, i), accRow = t.row(acc, i);
    Value factor = t.broadcast(scalarLoad(rowFactor, row), type);
    point.indices[rowDim] = t.add(q0, row);
    for (int64_t c = 0; c < columns; c += width) {
      point.indices[rowDim + 1] = t.add(t.mul(panel, nrValue), c);
      point.valid = columns - c < width ? t.index(columns - c) : Value();
      body.reset();
      body.bind(p.attention.getResult(),
                arith::MulFOp::create(t.b, t.loc, t.slice(accRow, c, width), factor));
      if (failed(body.storeResults(t.loc, point))) {
        hasError = true;
        return;
      }
    }
  }
}

} // namespace tessera
