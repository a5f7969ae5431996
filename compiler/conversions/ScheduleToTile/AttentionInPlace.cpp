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
// They may lie in pieces, a cache and what this call adds to it. Where the longer
// cache is a result, its rows are stored as they pass by, by one unit of a head.
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
/// Values added up before they join the rest of the sum: rounding stays that of a short one.
static constexpr int64_t kSumDepth = 128;
static constexpr int64_t kLineBytes = 64;

AttentionEmitter::PlacedRows AttentionEmitter::placeRows(const HeadedRows &rows, int64_t columns) {
  auto place = [&](const HeadedMatrix &m, int64_t count) {
    Value offset = t.add(t.linearize(item, m.batchStrides), t.mul(keyHead, m.headStride));
    return t.window(m.memref, offset, {count, columns}, {m.rowStride, 1});
  };
  PlacedRows placed;
  for (auto [piece, count] : llvm::zip_equal(rows.pieces, rows.counts))
    placed.pieces.push_back(place(piece, count));
  const HeadedMatrix &joined = rows.joined;
  if (!joined.memref)
    return placed;
  placed.joined = place(joined, p.keys);
  // Results begin on a line; vectors that write whole ones need rows that do so too.
  auto isWhole = [&](int64_t elements) {
    return elements * byteWidth(p.elementType) % kLineBytes == 0;
  };
  placed.streams = s.getStream() && isWhole(joined.rowStride) && isWhole(joined.headStride) &&
                   llvm::all_of(joined.batchStrides, isWhole);
  return placed;
}

void AttentionEmitter::placeHead(Value unit) {
  placedKeys = placeRows(p.k, p.depth);
  placedValues = placeRows(p.v, p.columns);
  int64_t units = p.group() * blocks;
  keeps = units == 1 ? Value() : t.equal(t.rem(unit, units), t.index(0));
}

void AttentionEmitter::forPieces(const HeadedRows &rows, const PlacedRows &placed, Value c0,
                                 Value c1, PieceBody body) {
  int64_t start = 0;
  for (auto [matrix, count] : llvm::zip_equal(placed.pieces, rows.counts)) {
    // One piece holds whatever there is.
    bool isAll = placed.pieces.size() == 1;
    body(matrix, start, isAll ? c0 : t.max(c0, t.index(start)),
         isAll ? c1 : t.min(c1, t.index(start + count)));
    start += count;
  }
}

/// Fetches what is to come of the rows behind `row`.
void AttentionEmitter::prefetchRow(Value matrix, Value row, Value column, int64_t columns) {
  int64_t line = std::max<int64_t>(1, 8 * kLineBytes / p.elementType.getIntOrFloatBitWidth());
  for (int64_t c = 0; c < columns; c += line)
    t.prefetch(matrix, {t.add(row, kRowsAhead), t.add(column, c)});
}

/// Elements [at, at + count) of a row, zero past them.
Value AttentionEmitter::loadNarrow(Value matrix, Value row, int64_t at, int64_t count) {
  Type element = cast<MemRefType>(matrix.getType()).getElementType();
  Value valid = count < lanes ? t.index(count) : Value();
  return t.load(VectorType::get({lanes}, element), matrix, {row, t.index(at)}, valid);
}

/// A vector as wide as sums are.
Value AttentionEmitter::widen(Value vector) {
  auto type = cast<VectorType>(vector.getType());
  if (type.getElementType() == p.accType)
    return vector;
  return arith::ExtFOp::create(t.b, t.loc, type.clone(p.accType), vector);
}

/// Stores the vectors of a row, `columns` elements from `column` on, where all rows are kept.
void AttentionEmitter::keep(const PlacedRows &placed, ArrayRef<Value> vectors, Value row,
                            Value column, int64_t columns) {
  if (!placed.joined)
    return;
  auto store = [&] {
    int64_t at = 0;
    for (Value vector : vectors) {
      int64_t width = cast<VectorType>(vector.getType()).getDimSize(0);
      Value valid = columns - at < width ? t.index(columns - at) : Value();
      t.store(vector, placed.joined, {row, t.add(column, at)}, valid, placed.streams);
      at += width;
    }
  };
  if (keeps)
    t.when(keeps, store);
  else
    store();
}

void AttentionEmitter::emitKeyProducts(Value c0, Value c1) {
  Value queries = widened ? queryScratch : queryMatrix;
  auto type = VectorType::get({lanes}, p.accType);
  auto loadRow = [&](Value matrix, Value row) {
    SmallVector<Value> vectors;
    for (int64_t d = 0; d < p.depth; d += lanes)
      vectors.push_back(loadNarrow(matrix, row, d, std::min(lanes, p.depth - d)));
    return vectors;
  };
  forStrips([&](const Strip &strip) {
    SmallVector<SmallVector<Value>> q(strip.rows);
    for (int64_t i = 0; i < strip.rows; ++i)
      for (Value vector : loadRow(queries, t.add(strip.block, i)))
        q[i].push_back(widen(vector));
    auto emitKey = [&](Value matrix, int64_t start, Value key) {
      Value row = t.sub(key, t.index(start));
      prefetchRow(matrix, row, t.index(0), p.depth);
      SmallVector<Value> vectors = loadRow(matrix, row);
      keep(placedKeys, vectors, key, t.index(0), p.depth);
      SmallVector<Value> sums(strip.rows, t.zero(type));
      for (auto [d, vector] : llvm::enumerate(vectors)) {
        Value wide = widen(vector);
        for (int64_t i = 0; i < strip.rows; ++i)
          sums[i] = math::FmaOp::create(t.b, t.loc, q[i][d], wide, sums[i]);
      }
      for (int64_t i = 0; i < strip.rows; ++i) {
        Value sum = vector::ReductionOp::create(t.b, t.loc, vector::CombiningKind::ADD, sums[i],
                                                arith::FastMathFlags::reassoc);
        memref::StoreOp::create(t.b, t.loc, sum, scores,
                                ValueRange{t.add(strip.block, i), t.sub(key, c0)});
      }
    };
    forPieces(p.k, placedKeys, c0, c1, [&](Value matrix, int64_t start, Value low, Value high) {
      t.loop(low, high, 1, [&](Value key) { emitKey(matrix, start, key); });
    });
  });
}

/// `acc` and the products of a strip's weights with a panel of values [firstKey, firstKey + depth),
/// which are kept on the way.
Value AttentionEmitter::joinedProducts(Value acc, const Strip &strip, Value column, Value firstKey,
                                       Value depth) {
  auto wide = VectorType::get({nrValue}, p.accType),
       narrow = VectorType::get({nrValue}, p.elementType);
  SmallVector<Value> totals, zeros(strip.rows, t.zero(wide));
  for (int64_t i = 0; i < strip.rows; ++i)
    totals.push_back(t.row(acc, i));
  auto emitPiece = [&](Value matrix, int64_t start, Value low, Value high) {
    auto addRow = [&](Value key, ValueRange sums) {
      Value row = t.sub(key, t.index(start));
      prefetchRow(matrix, row, column, nrValue);
      Value vector = t.load(narrow, matrix, {row, column});
      keep(placedValues, vector, key, column, nrValue);
      vector = widen(vector);
      SmallVector<Value> next;
      for (int64_t i = 0; i < strip.rows; ++i) {
        Value weight = memref::LoadOp::create(
            t.b, t.loc, scores, ValueRange{t.add(strip.block, i), t.sub(key, firstKey)});
        next.push_back(math::FmaOp::create(t.b, t.loc, t.broadcast(weight, wide), vector, sums[i]));
      }
      return next;
    };
    totals = t.loop(low, high, kSumDepth, totals, [&](Value from, ValueRange sofar) {
      SmallVector<Value> sums = t.loop(from, t.min(high, t.add(from, kSumDepth)), 1, zeros, addRow);
      for (auto [sum, all] : llvm::zip_equal(sums, sofar))
        sum = arith::AddFOp::create(t.b, t.loc, sum, all);
      return sums;
    });
  };
  forPieces(p.v, placedValues, firstKey, t.add(firstKey, depth), emitPiece);
  return t.tileOfRows(totals);
}

TileBuilder::Prefetch AttentionEmitter::nextValues(Value column, Value firstKey) {
  TileBuilder::Prefetch prefetch;
  // What is fetched is a stream without gaps.
  if (p.v.pieces.front().rowStride != nrValue)
    return prefetch;
  prefetch.indices = {t.add(firstKey, kRowsAhead), column};
  prefetch.step = nrValue;
  prefetch.locality = 3;
  return prefetch;
}

} // namespace tessera
