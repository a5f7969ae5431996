//===- AttentionOperands.cpp - keys and values as panels -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Copies one head's K^T and V into column panels, and f16 and bf16 operands to f32
// where the machine does not multiply them as they are.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Attention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace tessera {

void AttentionEmitter::packHead() {
  const HeadedMatrix &k = p.k.pieces.front(), &v = p.v.pieces.front();
  Value keyOffset = t.add(t.linearize(item, k.batchStrides), t.mul(keyHead, k.headStride));
  // K^T: depth runs along the columns of K.
  Value keys = t.window(k.memref, keyOffset, {p.depth, p.keys}, {k.colStride, k.rowStride});
  packPanels(keys, p.depth, p.keys, keyScratch, nr);
  Value valueOffset = t.add(t.linearize(item, v.batchStrides), t.mul(keyHead, v.headStride));
  Value values = t.window(v.memref, valueOffset, {p.keys, p.columns}, {v.rowStride, v.colStride});
  packPanels(values, p.keys, p.columns, valueScratch, nrValue);
}

void AttentionEmitter::packPanels(Value source, int64_t depth, int64_t columns, Value target,
                                  int64_t width) {
  if (depth == 0)
    return;
  Value deep = t.size(depth);
  auto emit = [&](Value panel, Value valid) {
    Value zero = t.index(0), column = t.mul(panel, width);
    if (pairs)
      return t.pack(source, {zero, column}, target, {panel, zero, zero, zero}, deep, valid, true);
    if (!widened)
      return t.pack(source, {zero, column}, target, {panel, zero, zero}, deep, valid);
    Value stage = t.window(stageScratch, zero, {depth, width}, {width, 1});
    t.pack(source, {zero, column}, stage, {zero, zero}, deep, valid);
    auto narrow = VectorType::get({width}, p.elementType),
         wide = VectorType::get({width}, p.accType);
    t.loop(t.index(0), deep, 1, [&](Value k) {
      Value row = t.load(narrow, stage, {k, zero});
      t.store(arith::ExtFOp::create(t.b, t.loc, wide, row), target, {panel, k, zero});
    });
  };
  if (t.anySizes) {
    Value all = t.size(columns), whole = t.div(all, width);
    t.loop(t.index(0), whole, 1, [&](Value panel) { emit(panel, t.index(width)); });
    t.loop(whole, t.ceilDiv(all, width), 1,
           [&](Value panel) { emit(panel, t.sub(all, t.mul(panel, width))); });
    return;
  }
  int64_t whole = columns / width;
  t.loop(0, whole, 1, [&](Value panel) { emit(panel, t.index(width)); });
  if (columns % width != 0)
    emit(t.index(whole), t.index(columns % width));
}

void AttentionEmitter::copyQueries() {
  auto narrow = VectorType::get({lanes}, p.elementType), wide = VectorType::get({lanes}, p.accType);
  t.loop(t.index(0), rows, 1, [&](Value row) {
    auto copy = [&](Value k, Value valid) {
      Value vector = t.load(narrow, queryMatrix, {row, k}, valid);
      if (widened)
        vector = arith::ExtFOp::create(t.b, t.loc, wide, vector);
      t.store(vector, queryScratch, {row, k});
    };
    int64_t whole = p.depth / lanes * lanes;
    t.loop(0, whole, lanes, [&](Value k) { copy(k, {}); });
    if (whole != p.depth)
      copy(t.index(whole), t.index(p.depth - whole));
  });
}

} // namespace tessera
