//===- Attention.cpp - the loops of one attention kernel -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: a kernel of class attention and its point. To: loops around tile.mma.
// See Attention.h for their order.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Attention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace tessera {

AttentionEmitter::AttentionEmitter(KernelFrame &frame, AttentionProblem problem,
                                   schedule::AttentionAttr point)
    : frame(frame), p(std::move(problem)), s(point), t(frame.b, p.attention.getLoc()), body(frame) {
}

FailureOr<KernelExtent> emitAttention(KernelFrame &frame) {
  FailureOr<AttentionProblem> problem = readAttention(frame);
  if (failed(problem))
    return failure();
  auto point = dyn_cast_or_null<schedule::AttentionAttr>(frame.kernel.getPointAttr());
  if (!point)
    return frame.kernel.emitOpError("[attention] needs a #schedule.attention point");
  if (point.getBr() < 1 || point.getBc() < 1 || point.getMr() < 1 || point.getNr() < 1 ||
      point.getUnroll() < 1)
    return frame.kernel.emitOpError("[attention] tile sizes must be positive, got ") << point;
  auto inRows = [](const HeadedRows &rows) {
    return llvm::all_of(rows.pieces, [](const HeadedMatrix &m) { return m.colStride == 1; });
  };
  if (point.getInPlace() && (!inRows(problem->k) || !inRows(problem->v)))
    return frame.kernel.emitOpError(
        "[attention] keys and values are read in place only where their elements lie side by "
        "side; drop inPlace");
  return AttentionEmitter(frame, *problem, point).emit();
}

FailureOr<KernelExtent> AttentionEmitter::emit() {
  plan();
  if ((p.k.join || p.v.join) && (!inPlace || p.causal || t.anySizes))
    return frame.kernel.emitOpError(
        "[attention] keys and values are put together only by queries that read all of them in "
        "place; put them together in a kernel of its own");
  KernelExtent range = extent();
  if (range.units == 0 || p.columns == 0)
    return KernelExtent{0, 1};
  allocate();
  t.loop(frame.begin, frame.end, 1, [&](Value unit) { emitUnit(unit); });
  if (hasError)
    return failure();
  return range;
}

//===----------------------------------------------------------------------===//
// What is known before any code
//===----------------------------------------------------------------------===//

/// The largest multiple of `step`, `most` at most, that divides `columns`, which `step` does.
static int64_t widestDividing(int64_t columns, int64_t most, int64_t step) {
  int64_t width = most / step * step;
  while (columns % width != 0)
    width -= step;
  return width;
}

void AttentionEmitter::plan() {
  mr = std::min(s.getMr(), std::max<int64_t>(p.queries, 1));
  nr = s.getNr();
  // A panel of values no wider than needed: half a register tile still fills a vector.
  nrValue = p.columns <= nr / 2 ? nr / 2 : nr;
  lanes = chunkLanes(nr);
  inPlace = s.getInPlace() && p.columns % lanes == 0;
  for (const HeadedRows *rows : {&p.k, &p.v})
    if (rows->joined.memref)
      body.leaveOut(rows->join);
  // Few rows need wide tiles, so that the additions' latency is hidden.
  if (inPlace)
    nrValue = widestDividing(p.columns, 2 * nr, lanes);
  br = std::min<int64_t>(llvm::alignTo(s.getBr(), mr),
                         llvm::alignTo(std::max<int64_t>(p.queries, 1), mr));
  // In code for any size the softmax takes two panels of a row at a time where rows are few.
  int64_t step = s.getAnySizes() ? 2 * nr : nr;
  bc = std::min<int64_t>(llvm::alignTo(s.getBc(), step),
                         llvm::alignTo(std::max<int64_t>(p.keys, 1), step));
  keyPanels = llvm::divideCeil(p.keys, nr);
  valuePanels = llvm::divideCeil(p.columns, nrValue);
  blocks = llvm::divideCeil(p.queries, br);
  online = p.keys > bc;
  // exp2((x - max)·scale·log2e) needs the largest x to give the largest exponent.
  scaleFirst = (p.mask && !p.maskIsBool) || !(p.scale > 0);
  pairs = s.getPairs() && !inPlace && p.elementType.isBF16();
  widened = p.elementType != p.accType && !pairs;
  copiesQuery = widened || (pairs && p.q.colStride != 1);
  // Rows of two strips would be added up twice where the output grows pass by pass.
  overlaps = s.getAnySizes() && p.queries >= mr && !online;
  t.anySizes = s.getAnySizes();
}

KernelExtent AttentionEmitter::extent() const {
  KernelExtent range;
  int64_t keyHeads = p.batchItems() * p.keyHeads;
  range.units = p.batchItems() * p.queryHeads * blocks;
  if (range.units == 0)
    return range;
  // A chunk packs the keys and values it reads: whole heads, unless there are too few to share out.
  int64_t perHead = p.group() * blocks;
  range.grain = keyHeads >= 4 ? perHead : llvm::divideCeil(range.units, 4);
  double elements = 1.0 * std::max<int64_t>(p.keys, 1) * (p.depth + p.columns);
  range.grain =
      std::max(range.grain, chunkOfUnits(range.units, 2.0 * br * elements,
                                         static_cast<double>(byteWidth(p.elementType)) * elements));
  return range;
}

void AttentionEmitter::allocate() {
  auto scratch = [&](ArrayRef<int64_t> shape, Type element) {
    return frame.allocScratch(t.loc, MemRefType::get(shape, element));
  };
  // Rows a multiple of 4 KB apart would share one set of the L1 cache.
  int64_t pad = 64 / byteWidth(p.accType);
  // Nothing to see still has a type: sizes of zero would leave its strides unknown.
  int64_t depth = std::max<int64_t>(p.depth, 1), keys = std::max<int64_t>(p.keys, 1);
  int64_t someKeyPanels = std::max<int64_t>(keyPanels, 1);
  if (pairs) {
    keyScratch = scratch({someKeyPanels, (depth + 1) / 2, nr, 2}, p.elementType);
    valueScratch = scratch({valuePanels, (keys + 1) / 2, nrValue, 2}, p.elementType);
    weights = scratch({br, bc + 2 * pad}, p.elementType);
  } else if (!inPlace) {
    keyScratch = scratch({someKeyPanels, depth, nr}, p.accType);
    valueScratch = scratch({valuePanels, keys, nrValue}, p.accType);
  }
  scores = scratch({br, bc + pad}, p.accType);
  maxima = scratch({br, lanes}, p.accType);
  rowFactor = scratch({br}, p.accType);
  if (online) {
    rowMax = scratch({br}, p.accType);
    rowSum = scratch({br}, p.accType);
    output = scratch({br, valuePanels * nrValue}, p.accType);
  }
  if (widened && !inPlace)
    stageScratch = scratch({std::max(depth, keys), nr}, p.elementType);
  if (copiesQuery)
    queryScratch = scratch({br, static_cast<int64_t>(llvm::alignTo(p.depth, lanes)) + 2 * pad},
                           widened ? p.accType : p.elementType);
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

void AttentionEmitter::emitUnit(Value unit) {
  Value blocksOfHead = t.size(blocks);
  Value block = t.rem(unit, blocksOfHead), headIndex = t.div(unit, blocksOfHead);
  head = t.rem(headIndex, p.queryHeads);
  keyHead = t.div(head, p.group());
  item = t.delinearize(t.div(headIndex, p.queryHeads), p.batch);
  q0 = t.mul(block, t.size(br));
  if (overlaps) {
    q0 = t.min(q0, t.size(p.queries - mr));
    rows = t.min(t.size(br), t.sub(t.size(p.queries), q0));
  } else {
    rows = p.queries % br == 0 ? t.index(br) : t.min(t.index(br), t.sub(t.index(p.queries), q0));
  }

  if (inPlace) {
    placeHead(unit);
  } else {
    // Keys and values stay packed while the units of their head follow each other.
    Value fresh = t.equal(t.rem(unit, t.size(p.group() * blocks)), t.index(0));
    fresh = t.b.createOrFold<arith::OrIOp>(t.loc, fresh, t.equal(unit, frame.begin));
    t.when(fresh, [&] { packHead(); });
  }

  Value offset = t.add(t.linearize(item, p.q.batchStrides), t.mul(head, p.q.headStride));
  queryMatrix = t.window(p.q.memref, t.add(offset, t.mul(q0, p.q.rowStride)), {br, p.depth},
                         {p.q.rowStride, p.q.colStride});
  if (pairs && !copiesQuery)
    queryPairs = t.window(p.q.memref, t.add(offset, t.mul(q0, p.q.rowStride)),
                          {br, (p.depth + 1) / 2, 2}, {p.q.rowStride, 2, 1});
  if (copiesQuery)
    copyQueries();

  // A causal block sees no key past its last row.
  Value visible = t.size(p.keys);
  if (p.causal)
    visible = t.min(visible, t.add(q0, rows));
  if (!online) {
    clearStatistics();
    emitScores(t.index(0), visible);
    emitSoftmax(visible);
    emitOutput(t.index(0), visible);
    return;
  }
  clearStatistics();
  t.loop(t.index(0), visible, bc, [&](Value c0) {
    Value c1 = t.min(visible, t.add(c0, bc));
    emitScores(c0, c1);
    Value depth = t.sub(c1, c0);
    emitSoftmax(depth);
    emitOutput(c0, depth);
  });
  emitFinal();
}

void AttentionEmitter::forStrips(llvm::function_ref<void(const Strip &)> body) {
  if (overlaps) {
    Value last = t.sub(rows, t.index(mr));
    t.loop(t.index(0), t.ceilDiv(rows, mr), 1,
           [&](Value index) { body({t.min(t.mul(index, mr), last), mr}); });
    return;
  }
  int64_t rest = p.queries % mr;
  Value whole = rest == 0 ? rows : t.mul(t.div(rows, mr), mr);
  t.loop(t.index(0), whole, mr, [&](Value block) { body({block, mr}); });
  if (rest != 0)
    t.when(t.less(whole, rows), [&] { body({whole, rest}); });
}

Value AttentionEmitter::asPairs(Value buffer) {
  int64_t length = cast<MemRefType>(buffer.getType()).getDimSize(1);
  return t.window(buffer, t.index(0), {br, length / 2, 2}, {length, 2, 1});
}

Value AttentionEmitter::scalarLoad(Value memref, Value i) {
  return memref::LoadOp::create(t.b, t.loc, memref, i);
}

void AttentionEmitter::scalarStore(Value value, Value memref, Value i) {
  memref::StoreOp::create(t.b, t.loc, value, memref, i);
}

} // namespace tessera
