//===- PointTranspose.cpp - tiles read across and used along ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointTranspose.h"
#include "compiler/conversions/ScheduleToTile/LoopNest.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

/// Transposes a square of vectors in place: in log2 steps, vectors `step` apart exchange the lanes
/// whose number has that bit.
static void transposeSquare(OpBuilder &b, Location loc, SmallVectorImpl<Value> &square) {
  int64_t size = square.size();
  for (int64_t step = 1; step < size; step *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < size; ++lane) {
      bool isFirst = (lane & step) == 0;
      low.push_back(isFirst ? lane : size + lane - step);
      high.push_back(isFirst ? lane + step : size + lane);
    }
    for (int64_t i = 0; i < size; ++i) {
      if (i & step)
        continue;
      Value first = square[i], second = square[i + step];
      square[i] = vector::ShuffleOp::create(b, loc, first, second, low);
      square[i + step] = vector::ShuffleOp::create(b, loc, first, second, high);
    }
  }
}

TransposedLoad::TransposedLoad(KernelFrame &frame, const PointNode *node, unsigned laneDim,
                               unsigned rowDim, int64_t rows, int64_t lanes)
    : node(node), laneDim(laneDim), rowDim(rowDim), rows(rows), lanes(lanes) {
  Type kept = registerType(elementOf(node->value));
  tile = frame.allocScratch(node->value.getLoc(), MemRefType::get({rows * lanes}, kept));
}

void TransposedLoad::fill(PointEmitter &emitter, const PointScope &scope, int64_t width) {
  OpBuilder &b = emitter.getFrame().b;
  Location loc = node->value.getLoc();
  Type kept = registerType(elementOf(node->value));
  emitLoop(b, loc, 0, width, rows, [&](Value start) {
    PointScope across(&scope);
    across.laneDim = rowDim;
    across.lanes = rows;
    across.valid = Value();
    Value first = b.createOrFold<arith::AddIOp>(loc, scope.indices[laneDim], start);
    SmallVector<Value> square;
    for (int64_t i = 0; i < rows; ++i) {
      across.indices[laneDim] = b.createOrFold<arith::AddIOp>(loc, first, emitter.index(loc, i));
      Value offset = emitter.emitIndex(loc, node->form, across);
      square.push_back(
          emitter.loadAt(loc, node->buffer, elementOf(node->value), offset, 1, across));
    }
    transposeSquare(b, loc, square);
    for (auto [row, vector] : llvm::enumerate(square)) {
      Value offset = b.createOrFold<arith::AddIOp>(loc, start, emitter.index(loc, row * lanes));
      emitter.storeAt(loc, vector, tile, kept, offset, 1, across);
    }
  });
}

Value TransposedLoad::load(PointEmitter &emitter, const PointScope &scope, Value row) {
  OpBuilder &b = emitter.getFrame().b;
  Location loc = node->value.getLoc();
  Value offset = b.createOrFold<arith::MulIOp>(loc, row, emitter.index(loc, lanes));
  return emitter.loadAt(loc, tile, registerType(elementOf(node->value)), offset, 1, scope);
}
