//===- ContractionOperands.cpp - panels of B, rows of A --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Brings the operands of a register tile into the form tile.mma reads fastest:
// column panels of B, and rows of A that do not fight for one cache set.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Contraction.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace tessera {

//===----------------------------------------------------------------------===//
// B
//===----------------------------------------------------------------------===//

/// Depth steps packed of one panel before the next panel's turn: rows of B are read while their
/// pages are still in the TLB.
static constexpr int64_t kPackDepth = 64;

/// Lines a register tile may fetch besides its own work: it has more of them where rows are so few
/// that the product waits for B anyway.
static constexpr int64_t kMostLines = 32;

void ContractionEmitter::packPanels() {
  if (source == PanelSource::InPlace) {
    int64_t whole = p.n / nr;
    t.pack(bPanels, {t.index(0), t.index(whole * nr)}, bScratch,
           {t.index(0), t.index(0), t.index(0)}, t.index(p.k), t.index(p.n - whole * nr));
    return;
  }
  // Transposing reads whole columns, which lie contiguous: there is nothing to gain from switching
  // panels.
  int64_t step = p.b.colStride == 1 ? std::min(kPackDepth, p.k) : p.k;
  if (p.k == 0)
    return;
  t.loop(0, p.k, step, [&](Value k0) {
    Value depth = p.k % step == 0 ? t.index(step) : t.min(t.index(step), t.sub(t.index(p.k), k0));
    forPanels([&](const Panel &panel) {
      t.pack(bPanels, {k0, t.mul(panel.index, nr)}, bScratch, panelIndices(panel, k0), depth,
             t.index(panel.columns), pairs);
    });
  });
}

Value ContractionEmitter::panelBuffer(const Panel &panel) {
  bool inPlace =
      source == PanelSource::Prepacked || (source == PanelSource::InPlace && panel.columns == nr);
  return inPlace ? bPanels : bScratch;
}

SmallVector<Value> ContractionEmitter::panelIndices(const Panel &panel, Value k) {
  if (pairs)
    return {source == PanelSource::Prepacked ? panel.index : panel.local, t.div(k, 2), t.index(0),
            t.index(0)};
  switch (source) {
  case PanelSource::Prepacked:
    return {panel.index, k, t.index(0)};
  case PanelSource::Scratch:
    return {panel.local, k, t.index(0)};
  case PanelSource::InPlace:
    if (panel.columns == nr)
      return {k, t.mul(panel.index, nr)};
    return {t.index(0), k, t.index(0)};
  }
  llvm_unreachable("covered switch");
}

void ContractionEmitter::prefetchNextMatrix(const Panel &panel, const Strip &strip) {
  bool follows = source == PanelSource::Scratch && s.getPrefetchB() > 0 && p.batchItems() > 1 &&
                 groups == 1 && !overlaps && !severalPasses && p.b.colStride == 1 &&
                 p.b.rowStride == p.n && p.b.batchStrides.back() == p.k * p.n;
  if (!follows)
    return;
  int64_t strips = llvm::divideCeil(mc, mr);
  int64_t line = 512 / cast<MemRefType>(bPanels.getType()).getElementTypeBitWidth();
  int64_t share = llvm::divideCeil(p.k * p.n, rowBlocks * panels * strips * line);
  Value tile = t.add(t.mul(t.div(m0, mc), panels), panel.index);
  Value first = t.mul(t.add(t.mul(tile, strips), strip.index), share * line);
  for (int64_t i = 0; i < share && share <= kMostLines; ++i)
    t.prefetch(bPanels, {t.index(p.k), t.add(first, i * line)}, /*locality=*/2);
}

TileBuilder::Prefetch ContractionEmitter::nextPanel(const Panel &panel, const Strip &strip,
                                                    Value k0) {
  TileBuilder::Prefetch prefetch;
  if (s.getPrefetchB() == 0 || panel.columns != nr)
    return prefetch;
  int64_t strips = llvm::divideCeil(mc, mr);
  if (strips == 1) {
    // Every panel is read once: what counts is the distance ahead in the stream.
    prefetch.indices = panelIndices(panel, t.add(k0, s.getPrefetchB()));
    prefetch.step = nr;
    prefetch.locality = 3;
    return prefetch;
  }
  // The strips of a block read one panel in turn: each fetches its share of the next one.
  if (source != PanelSource::Prepacked)
    return prefetch;
  // Shares of few kinds keep the code of different blocks alike.
  prefetch.step = overlaps ? std::max<int64_t>(1, nr / llvm::bit_floor<uint64_t>(strips))
                           : llvm::divideCeil(nr, strips);
  Panel next = panel;
  next.index = t.add(panel.index, 1);
  next.local = t.add(panel.local, 1);
  Value share = t.mul(strip.index, kc * prefetch.step / nr);
  prefetch.indices = panelIndices(next, t.add(k0, share));
  return prefetch;
}

//===----------------------------------------------------------------------===//
// A
//===----------------------------------------------------------------------===//

std::pair<Value, SmallVector<Value>> ContractionEmitter::stripOfA(const Strip &strip, Value k0) {
  Value zero = t.index(0);
  int64_t depth = storedDepth(kc);
  if (!copyA && pairs)
    return {aPairs, {strip.block, t.div(k0, 2), zero}};
  if (!copyA)
    return {aMatrix, {strip.block, k0}};
  if (transposedCopy && pairs)
    return {t.window(aScratch, zero, {mc / mr, mr, depth, 2}, {depth * mr * 2, 2, 2 * mr, 1}),
            {strip.index, zero, zero, zero}};
  if (transposedCopy)
    return {t.window(aScratch, zero, {mc / mr, mr, kc}, {kc * mr, 1, mr}),
            {strip.index, zero, zero}};
  if (!pairs)
    return {aScratch, {strip.block, zero}};
  int64_t length = cast<MemRefType>(aScratch.getType()).getDimSize(1);
  return {t.window(aScratch, zero, {mc, length / 2, 2}, {length, 2, 1}), {strip.block, zero, zero}};
}

void ContractionEmitter::packRows(Value k0, Value depth) {
  if (transposedCopy) {
    // Strips [depth][mr]: the panels of the transposed matrix.
    Value transposed =
        t.window(p.a.memref, t.add(t.linearize(item, p.a.batchStrides), t.mul(m0, p.a.rowStride)),
                 {p.k, mc}, {p.a.colStride, p.a.rowStride});
    forStrips([&](const Strip &strip) {
      SmallVector<Value> target(cast<MemRefType>(aScratch.getType()).getRank(), t.index(0));
      target.front() = strip.index;
      t.pack(transposed, {k0, strip.block}, aScratch, target, depth, t.index(strip.rows), pairs);
    });
    return;
  }
  Type element = cast<MemRefType>(aScratch.getType()).getElementType();
  int64_t lanes = 512 / element.getIntOrFloatBitWidth();
  t.loop(t.index(0), rows, 1, [&](Value row) {
    Value whole = t.mul(t.div(depth, lanes), lanes);
    t.loop(t.index(0), whole, lanes, [&](Value k) { copyRow(row, k0, k, lanes, {}); });
    t.when(t.less(whole, depth), [&] { copyRow(row, k0, whole, lanes, t.sub(depth, whole)); });
  });
}

void ContractionEmitter::copyRow(Value row, Value k0, Value k, int64_t lanes, Value valid) {
  auto type = VectorType::get({lanes}, cast<MemRefType>(aScratch.getType()).getElementType());
  auto read = [&](Value k) -> Value {
    if (!widens)
      return t.load(type, aMatrix, {row, k}, valid);
    VectorType narrow = type.clone(cast<MemRefType>(aMatrix.getType()).getElementType());
    return arith::ExtFOp::create(t.b, t.loc, type, t.load(narrow, aMatrix, {row, k}, valid));
  };
  Value from = t.add(k0, k), vector;
  if (p.hasPrologue())
    vector = prologue(row, from, lanes, valid);
  else
    vector = read(from);
  if (vector)
    t.store(vector, aScratch, {row, k}, valid);
}

Value ContractionEmitter::prologue(Value row, Value k, int64_t lanes, Value valid) {
  Value lhs = p.matmul.getLhs();
  auto type = cast<RankedTensorType>(lhs.getType());
  int64_t rank = type.getRank();
  bool transposed = p.matmul.getTransposeA();
  Value m = t.add(m0, row);
  TilePoint point;
  ArrayRef<int64_t> shape = type.getShape();
  if (p.batch.empty()) {
    // The batch may have been folded into the rows.
    SmallVector<int64_t> leading(shape.drop_back(2));
    leading.push_back(shape[transposed ? rank - 1 : rank - 2]);
    point.indices = t.delinearize(m, leading);
  } else {
    for (int64_t d = 0; d < rank - 2; ++d)
      point.indices.push_back(shape[d] == 1 ? t.index(0) : item[p.batch.size() - (rank - 2) + d]);
    point.indices.push_back(m);
  }
  point.indices.push_back(k);
  point.laneDim = rank - 1;
  if (transposed) {
    std::swap(point.indices[rank - 1], point.indices[rank - 2]);
    point.laneDim = rank - 2;
  }
  point.lanes = lanes;
  point.valid = valid;
  body.reset();
  FailureOr<Value> value = body.emit(lhs, point);
  if (failed(value)) {
    hasError = true;
    return {};
  }
  // Registers are wider than the stored type for f16 and bf16 only.
  Type element = cast<MemRefType>(aScratch.getType()).getElementType();
  if (getElementTypeOrSelf(value->getType()) == element)
    return *value;
  return arith::TruncFOp::create(t.b, t.loc, VectorType::get({lanes}, element), *value);
}

} // namespace tessera
