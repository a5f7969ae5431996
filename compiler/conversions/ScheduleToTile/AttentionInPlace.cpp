//===- AttentionInPlace.cpp - attention of a few queries -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A few queries, one when a model decodes, use every key and value so seldom that
// packing them costs more than the products. A score is then the sum along one
// key as it lies; values are rows of a product already.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Attention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace tessera {

/// How many keys or values ahead are fetched: some hundred bytes each, so that some kilobytes are
/// on their way.
static constexpr int64_t kRowsAhead = 32;

void AttentionEmitter::placeHead() {
  Value keyOffset = t.add(t.linearize(item, p.k.batchStrides), t.mul(keyHead, p.k.headStride));
  keyMatrix = t.window(p.k.memref, keyOffset, {p.keys, p.depth}, {p.k.rowStride, 1});
  Value valueOffset = t.add(t.linearize(item, p.v.batchStrides), t.mul(keyHead, p.v.headStride));
  valueMatrix = t.window(p.v.memref, valueOffset, {p.keys, p.columns}, {p.v.rowStride, 1});
}

/// Elements [at, at + count) of a row, zero past them, as wide as sums are.
Value AttentionEmitter::loadWide(Value matrix, Value row, int64_t at, int64_t count) {
  Type element = cast<MemRefType>(matrix.getType()).getElementType();
  Value valid = count < lanes ? t.index(count) : Value();
  Value loaded = t.load(VectorType::get({lanes}, element), matrix, {row, t.index(at)}, valid);
  if (element == p.accType)
    return loaded;
  return arith::ExtFOp::create(t.b, t.loc, VectorType::get({lanes}, p.accType), loaded);
}

void AttentionEmitter::emitKeyProducts(Value c0, Value c1) {
  Value queries = widened ? queryScratch : queryMatrix;
  int64_t line = std::max<int64_t>(1, 512 / p.elementType.getIntOrFloatBitWidth());
  auto type = VectorType::get({lanes}, p.accType);
  forStrips([&](const Strip &strip) {
    auto pieces = [&](llvm::function_ref<void(int64_t, int64_t)> body) {
      for (int64_t d = 0; d < p.depth; d += lanes)
        body(d, std::min(lanes, p.depth - d));
    };
    SmallVector<SmallVector<Value>> q(strip.rows);
    for (int64_t i = 0; i < strip.rows; ++i)
      pieces([&](int64_t d, int64_t count) {
        q[i].push_back(loadWide(queries, t.add(strip.block, i), d, count));
      });
    t.loop(c0, c1, 1, [&](Value key) {
      for (int64_t d = 0; d < p.depth; d += line)
        t.prefetch(keyMatrix, {t.add(key, kRowsAhead), t.index(d)});
      SmallVector<Value> sums(strip.rows, t.zero(type));
      pieces([&](int64_t d, int64_t count) {
        Value k = loadWide(keyMatrix, key, d, count);
        for (int64_t i = 0; i < strip.rows; ++i)
          sums[i] = math::FmaOp::create(t.b, t.loc, q[i][d / lanes], k, sums[i]);
      });
      for (int64_t i = 0; i < strip.rows; ++i) {
        Value sum = vector::ReductionOp::create(t.b, t.loc, vector::CombiningKind::ADD, sums[i],
                                                arith::FastMathFlags::reassoc);
        memref::StoreOp::create(t.b, t.loc, sum, scores,
                                ValueRange{t.add(strip.block, i), t.sub(key, c0)});
      }
    });
  });
}

TileBuilder::Prefetch AttentionEmitter::nextValues(Value column, Value firstKey) {
  TileBuilder::Prefetch prefetch;
  // What is fetched is a stream without gaps.
  if (p.v.rowStride != nrValue)
    return prefetch;
  prefetch.indices = {t.add(firstKey, kRowsAhead), column};
  prefetch.step = nrValue;
  prefetch.locality = 3;
  return prefetch;
}

} // namespace tessera
