//===- AttentionScores.cpp - query times keys, masked ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Fills the block's score rows and keeps, a vector a row, the largest score of
// every lane: the softmax then starts without a pass of its own for the maximum.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Attention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/Support/MathExtras.h"

#include <limits>
#include <numeric>

using namespace mlir;

namespace tessera {

static constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

void AttentionEmitter::emitScores(Value c0, Value c1) {
  auto maxType = VectorType::get({lanes}, p.accType);
  Value lowest = t.constant(maxType, kMinusInfinity);
  t.loop(t.index(0), rows, 1, [&](Value row) { t.store(lowest, maxima, {row, t.index(0)}); });

  if (inPlace)
    emitKeyProducts(c0, c1);
  Value first = t.div(c0, nr), last = t.ceilDiv(c1, nr);
  // Panels every row of the block sees in full, then those that end inside the panel: at the last
  // key, or on the diagonal.
  Value whole = t.min(last, t.anySizes ? t.div(t.size(p.keys), nr) : t.index(p.keys / nr));
  if (p.causal)
    whole = t.max(first, t.min(whole, t.div(t.add(q0, 1), nr)));
  t.loop(first, whole, 1, [&](Value panel) {
    forStrips([&](const Strip &strip) { emitScoreTile(panel, strip, c0, /*limited=*/false); });
  });
  if (t.anySizes || p.causal || p.keys % nr != 0)
    t.loop(t.max(first, whole), last, 1, [&](Value panel) {
      forStrips([&](const Strip &strip) { emitScoreTile(panel, strip, c0, /*limited=*/true); });
    });
  if (t.anySizes)
    padScores(last, t.add(first, t.mul(t.ceilDiv(t.sub(last, first), 2), 2)), c0);
}

void AttentionEmitter::padScores(Value first, Value last, Value c0) {
  auto type = VectorType::get({nr}, p.accType);
  Value lowest = t.constant(type, kMinusInfinity);
  t.loop(first, last, 1, [&](Value panel) {
    t.loop(t.index(0), rows, 1,
           [&](Value row) { t.store(lowest, scores, {row, t.sub(t.mul(panel, nr), c0)}); });
  });
}

/// A tile of scores, unscaled.
Value AttentionEmitter::product(const Strip &strip, Value panel) {
  Value acc = t.zero(VectorType::get({strip.rows, nr}, p.accType));
  Value zero = t.index(0), depth = t.index(p.depth);
  if (pairs)
    return t.mma(acc, copiesQuery ? asPairs(queryScratch) : queryPairs, {strip.block, zero, zero},
                 keyScratch, {panel, zero, zero, zero}, depth, s.getUnroll(), {}, true);
  return t.mma(acc, copiesQuery ? queryScratch : queryMatrix, {strip.block, zero}, keyScratch,
               {panel, zero, zero}, depth, s.getUnroll(), {});
}

/// The same, where emitKeyProducts() has left it.
Value AttentionEmitter::keyProducts(const Strip &strip, Value column) {
  SmallVector<Value> rows;
  for (int64_t i = 0; i < strip.rows; ++i)
    rows.push_back(
        t.load(VectorType::get({nr}, p.accType), scores, {t.add(strip.block, i), column}));
  return t.tileOfRows(rows);
}

void AttentionEmitter::emitScoreTile(Value panel, const Strip &strip, Value c0, bool limited) {
  Value column = t.mul(panel, nr);
  prefetchMask(strip, column);
  Value acc = inPlace ? keyProducts(strip, t.sub(column, c0)) : product(strip, panel);
  auto type = VectorType::get({lanes}, p.accType);
  Value scale = scaleFirst ? t.constant(type, p.scale) : Value();
  for (int64_t i = 0; i < strip.rows; ++i) {
    Value row = t.add(strip.block, i), accRow = t.row(acc, i), largest;
    for (int64_t c = 0; c < nr; c += lanes) {
      Value x = t.slice(accRow, c, lanes), at = t.add(column, c);
      if (p.mask)
        x = maskScores(x, scale, row, at, limited);
      else if (scale)
        x = arith::MulFOp::create(t.b, t.loc, x, scale);
      if (limited)
        x = limitScores(x, row, at);
      t.store(x, scores, {row, t.sub(at, c0)});
      largest = largest ? larger(x, largest) : x;
    }
    Value old = t.load(type, maxima, {row, t.index(0)});
    t.store(larger(largest, old), maxima, {row, t.index(0)});
  }
}

/// The larger of two, as one machine instruction has it. A NaN may get lost here; it comes back
/// through the exponential of its own score. (A comparison and a selection would become a masked
/// store beside the row's maxima, and the next load would wait for it.)
Value AttentionEmitter::larger(Value x, Value y) {
  return arith::MaxNumFOp::create(t.b, t.loc, x, y, arith::FastMathFlags::nnan);
}

/// The scores, scaled where `scale` is given, and what the mask makes of them.
Value AttentionEmitter::maskScores(Value scores, Value scale, Value row, Value column,
                                   bool limited) {
  TilePoint point;
  point.indices = item;
  if (cast<RankedTensorType>(p.attention.getType()).getRank() >= 3)
    point.indices.push_back(head);
  point.indices.push_back(t.add(q0, row));
  point.indices.push_back(column);
  point.laneDim = point.indices.size() - 1;
  point.lanes = lanes;
  // Past the last key there is no mask to read.
  if (limited && (t.anySizes || p.keys % nr != 0))
    point.valid = t.max(t.index(0), t.min(t.index(lanes), t.sub(t.size(p.keys), column)));
  body.reset();
  FailureOr<Value> mask = body.emit(p.mask, point);
  if (failed(mask)) {
    hasError = true;
    return scores;
  }
  if (!p.maskIsBool)
    return math::FmaOp::create(t.b, t.loc, scores, scale, *mask);
  if (scale)
    scores = arith::MulFOp::create(t.b, t.loc, scores, scale);
  return arith::SelectOp::create(t.b, t.loc, *mask, scores,
                                 t.constant(scores.getType(), kMinusInfinity));
}

/// Fetches the mask's lines before the tile's product, which is time enough.
void AttentionEmitter::prefetchMask(const Strip &strip, Value column) {
  auto argument = dyn_cast_or_null<BlockArgument>(p.mask);
  if (!argument)
    return;
  Value input = frame.inputs[argument.getArgNumber()];
  auto type = cast<MemRefType>(input.getType());
  auto [strides, offset] = type.getStridesAndOffset();
  int64_t rank = type.getRank();
  if (rank < 2 || strides[rank - 1] != 1 || type.getDimSize(rank - 1) != p.keys ||
      type.getDimSize(rank - 2) == 1)
    return;
  SmallVector<Value> space = item;
  space.append({head, Value(), Value()});
  SmallVector<Value> indices(space.end() - std::min<int64_t>(rank, space.size()), space.end());
  for (int64_t d = 0; d < rank - 2; ++d)
    if (type.getDimSize(d) == 1)
      indices[d] = t.index(0);
  int64_t line = std::max<int64_t>(1, 512 / type.getElementTypeBitWidth());
  for (int64_t i = 0; i < strip.rows; ++i)
    for (int64_t c = 0; c < nr; c += line) {
      indices[rank - 2] = t.add(t.add(q0, strip.block), i);
      indices[rank - 1] = t.add(column, c);
      t.prefetch(input, indices);
    }
}

/// Minus infinity from the first key on that the row does not see.
Value AttentionEmitter::limitScores(Value scores, Value row, Value column) {
  auto type = VectorType::get({lanes}, t.b.getI32Type());
  SmallVector<int32_t> count(lanes);
  std::iota(count.begin(), count.end(), 0);
  Value lane =
      arith::ConstantOp::create(t.b, t.loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(count)));
  Value last = t.size(p.keys - 1);
  if (p.causal)
    last = t.min(last, t.add(q0, row));
  // Lanes up to `last - column` are seen.
  Value limit = arith::IndexCastOp::create(t.b, t.loc, t.b.getI32Type(), t.sub(last, column));
  Value seen =
      arith::CmpIOp::create(t.b, t.loc, arith::CmpIPredicate::sle, lane, t.broadcast(limit, type));
  return arith::SelectOp::create(t.b, t.loc, seen, scores,
                                 t.constant(scores.getType(), kMinusInfinity));
}

} // namespace tessera
