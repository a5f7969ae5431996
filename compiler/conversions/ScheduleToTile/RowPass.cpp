//===- RowPass.cpp - the loops of a row kernel -----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A pass carries the accumulators of its reductions through the loops over the
// row. With lanes along the row there are two sets: full vectors, and those of the
// narrower tail; they meet when the pass is over.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/RowPass.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace tessera;

/// Trips whose sum is taken in one go.
constexpr int64_t tripsPerBlock = 64;
/// The arithmetic of a point, in additions, behind which the lines of the result can be fetched as
/// well.
constexpr double hidesWrites = 12;
/// Rows shorter than this follow each other closely enough for the hardware.
constexpr int64_t minRowForWrites = 1024;

RowEmitter::RowEmitter(PointEmitter &emitter, const PointGraph &graph, const RowPlan &plan)
    : emitter(emitter), graph(graph), plan(plan), b(emitter.getFrame().b),
      loc(emitter.getFrame().kernel.getLoc()) {
  const IterationSpace &space = graph.getSpace();
  for (unsigned d = 0; d < space.rank(); ++d)
    if (space.reduced[d] && static_cast<int>(d) != plan.laneDim)
      outerDims.push_back(d);
  if (plan.laneDim < 0 || plan.acrossRows)
    return;
  laneExtent = space.sizes[plan.laneDim];
  tailStart = laneExtent / plan.lanes * plan.lanes;
  tailValid = laneExtent - tailStart;
  tailWidth = tailValid == 0 ? 0 : powerOfTwoCeil(tailValid);
}

//===----------------------------------------------------------------------===//
// Accumulators
//===----------------------------------------------------------------------===//

RowEmitter::Values RowEmitter::identities(int64_t width) {
  Values values;
  for (RowReduction &reduction : reductions)
    llvm::append_range(values, reduction.identity(width));
  return values;
}

RowEmitter::Values RowEmitter::fresh(ValueRange like, int64_t width) {
  Values start = identities(width);
  if (like.size() > start.size()) // the tail's set as well
    llvm::append_range(start, identities(tailWidth));
  return start;
}

RowEmitter::Values RowEmitter::combineAll(ValueRange first, ValueRange second) {
  Values values;
  unsigned at = 0;
  // One set of accumulators, or that of full vectors and that of the tail.
  while (at < first.size())
    for (RowReduction &reduction : reductions) {
      llvm::append_range(values, reduction.combine(first.slice(at, reduction.parts()),
                                                   second.slice(at, reduction.parts())));
      at += reduction.parts();
    }
  return values;
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

RowEmitter::Values RowEmitter::emitFor(Value low, Value high, int64_t step, Values accumulators,
                                       llvm::function_ref<Values(Value, Values)> body) {
  auto loop = scf::ForOp::create(b, loc, low, high, emitter.index(loc, step), accumulators);
  OpBuilder::InsertionGuard guard(b);
  if (accumulators.empty()) {
    b.setInsertionPoint(loop.getBody()->getTerminator());
    body(loop.getInductionVar(), {});
    return {};
  }
  b.setInsertionPointToEnd(loop.getBody());
  Values carried(loop.getRegionIterArgs().begin(), loop.getRegionIterArgs().end());
  Values next = body(loop.getInductionVar(), carried);
  scf::YieldOp::create(b, loc, next);
  return Values(loop.getResults().begin(), loop.getResults().end());
}

RowEmitter::Values RowEmitter::emitBlocks(int64_t trips, Values accumulators, int64_t width,
                                          llvm::function_ref<Values(Value, Values)> body) {
  // Short loops stay loops: written out, their loads lose the hardware's prefetcher (2.3x slower
  // rows).
  if (trips == 0)
    return accumulators;
  if (trips == 1)
    return body(emitter.index(loc, 0), accumulators);
  int64_t top = 1;
  if (hasSums)
    while (llvm::divideCeil(trips, top * tripsPerBlock) > 1)
      top *= tripsPerBlock;
  auto emitLevel = [&](auto &&self, int64_t step, Value low, Value high, Values carried) -> Values {
    if (step == 1)
      return emitFor(low, high, 1, carried, body);
    return emitFor(low, high, step, carried, [&](Value start, Values sums) {
      Value end = arith::AddIOp::create(b, loc, start, emitter.index(loc, step));
      end = arith::MinSIOp::create(b, loc, end, high);
      Values block = self(self, step / tripsPerBlock, start, end, fresh(sums, width));
      return combineAll(sums, block);
    });
  };
  return emitLevel(emitLevel, top, emitter.index(loc, 0), emitter.index(loc, trips), accumulators);
}

RowEmitter::Values RowEmitter::emitLoops(unsigned depth, PointScope &scope, Values accumulators) {
  if (depth == outerDims.size())
    return emitLanes(scope, std::move(accumulators));
  unsigned dim = outerDims[depth];
  int64_t width = plan.acrossRows || plan.laneDim < 0 ? scope.lanes : plan.lanes;
  return emitBlocks(graph.getSpace().sizes[dim], std::move(accumulators), width,
                    [&](Value index, Values carried) {
                      PointScope inner(&scope);
                      inner.indices[dim] = index;
                      bool isInnermost = depth + 1 == outerDims.size() && tailStart <= plan.lanes;
                      if (!hasSums || isInnermost)
                        return emitLoops(depth + 1, inner, std::move(carried));
                      Values part = emitLoops(depth + 1, inner, fresh(carried, width));
                      return combineAll(carried, part);
                    });
}

RowEmitter::Values RowEmitter::emitLanes(PointScope &scope, Values accumulators) {
  if (plan.laneDim < 0 || plan.acrossRows) {
    PointScope point(&scope);
    return emitPoint(point, accumulators);
  }
  auto emitVector = [&](Value index, int64_t width, Value valid, ArrayRef<Value> carried) {
    PointScope point(&scope);
    point.indices[plan.laneDim] = index;
    point.laneDim = width == 1 ? -1 : plan.laneDim;
    point.lanes = width;
    point.valid = valid;
    return emitPoint(point, carried);
  };
  unsigned parts = tailWidth ? accumulators.size() / 2 : accumulators.size();
  Values full(ArrayRef<Value>(accumulators).take_front(parts));
  full = emitBlocks(tailStart / plan.lanes, full, plan.lanes, [&](Value trip, Values carried) {
    Value index = b.createOrFold<arith::MulIOp>(loc, trip, emitter.index(loc, plan.lanes));
    return emitVector(index, plan.lanes, Value(), carried);
  });
  if (tailWidth) {
    Value valid = tailWidth == tailValid ? Value() : emitter.index(loc, tailValid);
    llvm::append_range(full, emitVector(emitter.index(loc, tailStart), tailWidth, valid,
                                        ArrayRef<Value>(accumulators).drop_front(parts)));
  }
  return full;
}

//===----------------------------------------------------------------------===//
// Points
//===----------------------------------------------------------------------===//

/// Fetches what the loads of this point read one step of `prefetchDim` later and, where arithmetic
/// hides it, what this row will write.
void RowEmitter::prefetchPoint(PointScope &scope) {
  auto fetch = [&](const LinearForm &form, Value buffer, int64_t ahead, bool isWrite) {
    if (scope.laneDim < 0 || form.dims[scope.laneDim] != 1)
      return;
    Value offset = emitter.emitIndex(loc, form, scope);
    Type element = cast<MemRefType>(buffer.getType()).getElementType();
    int64_t lanesPerLine = cacheLineBytes * 8 / element.getIntOrFloatBitWidth();
    for (int64_t lane = 0; lane < scope.lanes; lane += lanesPerLine) {
      Value line = arith::AddIOp::create(b, loc, offset, emitter.index(loc, ahead + lane));
      emitter.prefetch(loc, buffer, line, isWrite);
    }
  };
  for (const auto &node : graph.getNodes())
    if (node->kind == PointNode::Load && node->form.dims[prefetchDim] != 0)
      fetch(node->form, node->buffer, node->form.dims[prefetchDim], /*isWrite=*/false);
  if (plan.stream || pass->cost < hidesWrites || laneExtent < minRowForWrites)
    return;
  for (const PointStore &store : graph.getStores())
    fetch(store.form, emitter.getFrame().outputs[store.output], 0, /*isWrite=*/true);
}

RowEmitter::Values RowEmitter::emitPoint(PointScope &scope, ArrayRef<Value> accumulators) {
  if (prefetchDim >= 0 && plan.getPrefetchPass() == passIndex)
    prefetchPoint(scope);
  // What earlier passes kept is read where it is needed.
  scope.reload = [&](const PointNode *node) -> Value {
    const RowCache *cache = plan.getCache(node);
    if (!cache || llvm::is_contained(pass->keeps, node) ||
        (cache->isOutput && llvm::any_of(pass->stores, [&](auto *s) { return s->node == node; })))
      return nullptr;
    Value offset = emitter.emitIndex(loc, cache->form, scope);
    int64_t step = scope.laneDim < 0 ? 0 : cache->isOutput ? cache->form.dims[scope.laneDim] : 1;
    return emitter.loadAt(loc, cache->buffer, cache->element, offset, step, scope);
  };
  Values next;
  unsigned at = 0;
  for (RowReduction &reduction : reductions) {
    llvm::append_range(next,
                       reduction.accumulate(scope, accumulators.slice(at, reduction.parts())));
    at += reduction.parts();
  }
  for (const PointNode *node : pass->keeps) {
    const RowCache *cache = plan.getCache(node);
    Value value = scope.laneDim < 0 ? emitter.emit(node, scope) : emitter.emitVector(node, scope);
    emitter.storeAt(loc, value, cache->buffer, cache->element,
                    emitter.emitIndex(loc, cache->form, scope), 1, scope);
  }
  for (const PointStore *store : pass->stores)
    // What a later pass reads again stays near.
    emitter.store(*store, scope, plan.stream && !plan.getCache(store->node));
  return next;
}

void RowEmitter::emitPass(const RowPass &current, unsigned index, PointScope &row) {
  pass = &current;
  passIndex = index;
  reductions.clear();
  hasSums = false;
  bool alongRow = plan.laneDim >= 0 && !plan.acrossRows;
  int64_t laneStep = alongRow ? graph.getRow().dims[plan.laneDim] : 0;
  for (const PointNode *node : current.reductions) {
    reductions.emplace_back(emitter, graph, node, laneStep);
    hasSums |= reductions.back().isSum();
  }
  emitter.hoist(current.roots(), plan.getReducedMask(), row);
  Values accumulators = identities(alongRow ? plan.lanes : row.lanes);
  if (tailWidth)
    llvm::append_range(accumulators, identities(tailWidth));
  accumulators = emitLoops(0, row, std::move(accumulators));
  unsigned at = 0, tail = accumulators.size() / 2;
  for (RowReduction &reduction : reductions) {
    unsigned parts = reduction.parts();
    auto value = RowReduction::Values(ArrayRef<Value>(accumulators).slice(at, parts));
    if (alongRow)
      value = reduction.acrossLanes(value);
    if (tailWidth)
      value = reduction.combine(value, reduction.acrossLanes(ValueRange(
                                           ArrayRef<Value>(accumulators).slice(tail + at, parts))));
    row.values[reduction.getNode()] = reduction.result(value);
    at += parts;
  }
}

void RowEmitter::emitRow(PointScope &row) {
  for (auto [index, current] : llvm::enumerate(plan.getPasses()))
    emitPass(current, index, row);
  for (const PointStore *store : plan.getRowStores())
    emitter.store(*store, row);
}

//===----------------------------------------------------------------------===//
// All rows
//===----------------------------------------------------------------------===//

/// One row at a time, vectors along it.
static void emitSingleRows(PointEmitter &emitter, RowEmitter &rows, const IterationSpace &space,
                           const RowSchedule &schedule, UnitRange &units) {
  KernelFrame &frame = emitter.getFrame();
  SmallVector<unsigned> dims;
  SmallVector<int64_t> sizes;
  for (unsigned d = 0; d < space.rank(); ++d)
    if (!space.reduced[d]) {
      dims.push_back(d);
      sizes.push_back(space.sizes[d]);
    }
  if (schedule.prefetchRow && !dims.empty())
    rows.setPrefetch(dims.back());
  Location loc = frame.kernel.getLoc();
  units.addLoop(loc, productOf(sizes), std::max<int64_t>(schedule.grain, 1), [&](Value item) {
    PointScope row(space.rank());
    for (auto [d, index] : llvm::zip_equal(dims, emitDelinearize(frame.b, loc, item, sizes)))
      row.indices[d] = index;
    rows.emitRow(row);
  });
}

/// As many neighbouring rows at a time as there are lanes.
static void emitRowVectors(PointEmitter &emitter, RowEmitter &rows, const IterationSpace &space,
                           const RowPlan &plan, const RowSchedule &schedule, UnitRange &units) {
  KernelFrame &frame = emitter.getFrame();
  Location loc = frame.kernel.getLoc();
  SmallVector<unsigned> dims;
  SmallVector<int64_t> sizes;
  for (unsigned d = 0; d < space.rank(); ++d)
    if (!space.reduced[d] && static_cast<int>(d) != plan.laneDim) {
      dims.push_back(d);
      sizes.push_back(space.sizes[d]);
    }
  int64_t extent = space.sizes[plan.laneDim], full = extent / plan.lanes, outer = productOf(sizes);
  auto emitItems = [&](int64_t vectors, int64_t start, int64_t width, int64_t valid) {
    int64_t perUnit = std::max<int64_t>(1, schedule.grain / width);
    units.addLoop(loc, outer * vectors, perUnit, [&](Value item) {
      SmallVector<int64_t> all(sizes);
      all.push_back(vectors);
      SmallVector<Value> index = emitDelinearize(frame.b, loc, item, all);
      PointScope row(space.rank());
      for (auto [d, value] : llvm::zip_first(dims, index))
        row.indices[d] = value;
      Value first =
          frame.b.createOrFold<arith::MulIOp>(loc, index.back(), emitter.index(loc, plan.lanes));
      row.indices[plan.laneDim] =
          frame.b.createOrFold<arith::AddIOp>(loc, first, emitter.index(loc, start));
      row.laneDim = width == 1 ? -1 : plan.laneDim;
      row.lanes = width;
      row.valid = valid == width ? Value() : emitter.index(loc, valid);
      rows.emitRow(row);
    });
  };
  emitItems(full, 0, plan.lanes, plan.lanes);
  if (int64_t rest = extent - full * plan.lanes)
    emitItems(1, full * plan.lanes, powerOfTwoCeil(rest), rest);
}

void tessera::emitRowNest(KernelFrame &frame, PointGraph &graph, const RowPlan &plan,
                          const RowSchedule &schedule, UnitRange &units) {
  PointEmitter emitter(frame, graph);
  RowEmitter rows(emitter, graph, plan);
  RowSchedule fitted = schedule;
  if (fitted.grain <= 0)
    fitted.grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, graph.getSpace().rowLength()));
  if (plan.acrossRows)
    return emitRowVectors(emitter, rows, graph.getSpace(), plan, fitted, units);
  emitSingleRows(emitter, rows, graph.getSpace(), fitted, units);
}
