//===- LoopNest.cpp - loops of pointwise and row kernels -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/LoopNest.h"
#include "compiler/conversions/ScheduleToTile/IterationSpace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace tessera;

static Value constantIndex(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

static scf::ForOp emitFor(OpBuilder &b, Location loc, Value low, Value high, Value step,
                          llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, loc, low, high, step);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop.getBody()->getTerminator());
  body(loop.getInductionVar());
  return loop;
}

void tessera::emitLoop(OpBuilder &b, Location loc, int64_t low, int64_t high, int64_t step,
                       llvm::function_ref<void(Value)> body) {
  if (low >= high)
    return;
  if (low + step >= high)
    return body(constantIndex(b, loc, low));
  emitFor(b, loc, constantIndex(b, loc, low), constantIndex(b, loc, high),
          constantIndex(b, loc, step), body);
}

void tessera::emitLaneLoop(OpBuilder &b, Location loc, int64_t extent, int64_t lanes,
                           llvm::function_ref<void(Value, int64_t, Value)> body) {
  int64_t full = extent / lanes * lanes, rest = extent - full;
  emitLoop(b, loc, 0, full, lanes, [&](Value index) { body(index, lanes, Value()); });
  if (rest == 0)
    return;
  int64_t width = powerOfTwoCeil(rest);
  Value valid = width == rest ? Value() : constantIndex(b, loc, rest);
  body(constantIndex(b, loc, full), width, valid);
}

SmallVector<Value> tessera::emitDelinearize(OpBuilder &b, Location loc, Value item,
                                            ArrayRef<int64_t> sizes) {
  SmallVector<Value> index(sizes.size());
  for (int64_t d = static_cast<int64_t>(sizes.size()) - 1; d > 0; --d) {
    Value size = constantIndex(b, loc, sizes[d]);
    index[d] = b.createOrFold<arith::RemUIOp>(loc, item, size);
    item = b.createOrFold<arith::DivUIOp>(loc, item, size);
  }
  if (!sizes.empty())
    index[0] = item;
  return index;
}

Value UnitRange::itemOf(Location loc, Value unit, int64_t items, int64_t perUnit) const {
  OpBuilder &b = frame.b;
  // The kernel's units less the first, clamped to what there is.
  Value local = b.createOrFold<arith::SubIOp>(loc, unit, constantIndex(b, loc, first));
  local = first == 0 ? local : b.createOrFold<arith::MaxSIOp>(loc, local, constantIndex(b, loc, 0));
  Value item = b.createOrFold<arith::MulIOp>(loc, local, constantIndex(b, loc, perUnit));
  return b.createOrFold<arith::MinSIOp>(loc, item, constantIndex(b, loc, items));
}

scf::ForOp UnitRange::addLoop(Location loc, int64_t items, int64_t perUnit,
                              llvm::function_ref<void(Value)> body) {
  if (items <= 0)
    return {};
  first = units;
  units += llvm::divideCeil(items, perUnit);
  rows = {};
  return emitFor(frame.b, loc, itemOf(loc, frame.begin, items, perUnit),
                 itemOf(loc, frame.end, items, perUnit), constantIndex(frame.b, loc, 1), body);
}

void UnitRange::addRows(Location loc, int64_t items, int64_t work, int64_t grain,
                        llvm::function_ref<void(Value)> body) {
  OpBuilder &b = frame.b;
  auto perUnit = [&] { return std::max<int64_t>(1, grain / std::max<int64_t>(rowWork, 1)); };
  if (!rows || rowItems != items) {
    rowItems = items;
    rowWork = work;
    rows = addLoop(loc, items, perUnit(), body);
    return;
  }
  rowWork += work;
  units = first + llvm::divideCeil(items, perUnit());
  // Behind what has been emitted for this body since.
  rows->moveBefore(b.getInsertionBlock(), b.getInsertionPoint());
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(rows);
  rows.setLowerBound(itemOf(loc, frame.begin, items, perUnit()));
  rows.setUpperBound(itemOf(loc, frame.end, items, perUnit()));
  b.setInsertionPoint(rows.getBody()->getTerminator());
  body(rows.getInductionVar());
}
