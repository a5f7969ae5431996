//===- ContractionEpilogue.cpp - from accumulators to results --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The pointwise ops after the product run on one row of the register tile at a
// time, in vectors of the machine's size: on the whole tile they would spill.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Contraction.h"

using namespace mlir;

namespace tessera {

SmallVector<Value> ContractionEmitter::rowIndices(const Strip &strip, int64_t i) {
  Value row = t.add(m0, strip.block);
  // Where each row dimension of the anchor is one of the product's.
  if (!p.batch.empty() && p.anchor == p.matmul.getResult() &&
      p.batch.size() + 1 == p.anchorRows.size()) {
    SmallVector<Value> indices = item;
    indices.push_back(t.add(row, i));
    return indices;
  }
  // A strip that cannot straddle two items of the anchor's innermost row dimension is divided once.
  bool aligned =
      !p.anchorRows.empty() && p.anchorRows.back() % mr == 0 && (p.batch.empty() || p.m % mr == 0);
  Value flat = t.add(t.mul(itemIndex, p.m), row);
  if (!aligned)
    return t.delinearize(t.add(flat, i), p.anchorRows);
  SmallVector<Value> indices = t.delinearize(flat, p.anchorRows);
  indices.back() = t.add(indices.back(), i);
  return indices;
}

void ContractionEmitter::emitEpilogue(Value acc, const Panel &panel, const Strip &strip) {
  int64_t lanes = chunkLanes(nr);
  Value column = t.mul(panel.index, nr);
  for (int64_t i = 0; i < strip.rows; ++i) {
    Value row = t.row(acc, i);
    TilePoint point;
    point.indices = rowIndices(strip, i);
    point.laneDim = point.indices.size();
    point.indices.push_back(column);
    point.lanes = lanes;
    for (int64_t c = 0; c < panel.columns; c += lanes) {
      point.indices.back() = t.add(column, c);
      point.valid = panel.columns - c < lanes ? t.index(panel.columns - c) : Value();
      body.reset();
      body.bind(p.anchor, t.slice(row, c, lanes));
      if (failed(body.storeResults(t.loc, point))) {
        hasError = true;
        return;
      }
    }
  }
}

//===----------------------------------------------------------------------===//
// Several passes over K
//===----------------------------------------------------------------------===//

void ContractionEmitter::clearPartial() {
  auto type = VectorType::get({chunkLanes(nr)}, p.accType);
  Value zero = t.zero(type);
  // Each strip has sums of its own, also where strips overlap.
  Value sums = overlaps ? t.mul(t.div(t.add(rows, mr - 1), mr), mr) : rows;
  t.loop(t.index(0), sums, 1, [&](Value row) {
    t.loop(0, groupPanels * nr, type.getDimSize(0),
           [&](Value column) { t.store(zero, partial, {row, column}); });
  });
}

Value ContractionEmitter::loadPartial(const Panel &panel, const Strip &strip) {
  auto type = VectorType::get({nr}, p.accType);
  SmallVector<Value> rows;
  for (int64_t i = 0; i < strip.rows; ++i)
    rows.push_back(
        t.load(type, partial, {t.add(t.mul(strip.index, mr), i), t.mul(panel.local, nr)}));
  return t.tileOfRows(rows);
}

void ContractionEmitter::storePartial(Value acc, const Panel &panel, const Strip &strip) {
  for (int64_t i = 0; i < strip.rows; ++i)
    t.store(t.row(acc, i), partial, {t.add(t.mul(strip.index, mr), i), t.mul(panel.local, nr)});
}

void ContractionEmitter::prefetchOperands(const Panel &panel, const Strip &strip) {
  for (unsigned input : rowOperands) {
    auto type = cast<MemRefType>(frame.inputs[input].getType());
    int64_t rank = type.getRank();
    int64_t line = std::max<int64_t>(1, 512 / type.getElementTypeBitWidth());
    for (int64_t i = 0; i < strip.rows; ++i) {
      SmallVector<Value> row = rowIndices(strip, i);
      SmallVector<Value> indices(row.end() - (rank - 1), row.end());
      for (int64_t d = 0; d < rank - 1; ++d)
        if (type.getDimSize(d) == 1)
          indices[d] = t.index(0);
      indices.push_back({});
      for (int64_t c = 0; c < panel.columns; c += line) {
        indices.back() = t.add(t.mul(panel.index, nr), c);
        t.prefetch(frame.inputs[input], indices);
      }
    }
  }
}

} // namespace tessera
