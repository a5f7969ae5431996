//===- Contraction.cpp - the loops of one contraction kernel ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: a kernel of class contraction and its point. To: loops around tile.mma.
// See Contraction.h for their order.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/Contraction.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace tessera {

ContractionEmitter::ContractionEmitter(KernelFrame &frame, ContractionProblem problem,
                                       schedule::ContractionAttr point)
    : frame(frame), p(std::move(problem)), s(point), t(frame.b, p.matmul.getLoc()), body(frame),
      mr(s.getMr()), nr(s.getNr()), kc(s.getKc()), mc(s.getMc()) {}

FailureOr<KernelExtent> emitContraction(KernelFrame &frame) {
  FailureOr<ContractionProblem> problem = readContraction(frame);
  if (failed(problem))
    return failure();
  auto point = dyn_cast_or_null<schedule::ContractionAttr>(frame.kernel.getPointAttr());
  if (!point)
    return frame.kernel.emitOpError("[contraction] needs a #schedule.contraction point");
  if (point.getMr() < 1 || point.getNr() < 1 || point.getKc() < 1 || point.getMc() < 1 ||
      point.getNSplit() < 0 || point.getUnroll() < 1)
    return frame.kernel.emitOpError("[contraction] tile sizes must be positive, got ") << point;
  if (problem->panelWidth != 0 && problem->panelWidth != point.getNr())
    return frame.kernel.emitOpError("[contraction] panels of ")
           << problem->panelWidth << " columns do not fit a register tile of " << point.getNr();
  if (problem->panelWidth != 0 && problem->pairedPanels != point.getPairs())
    return frame.kernel.emitOpError("[contraction] panels ")
           << (problem->pairedPanels ? "of pairs do" : "do not") << " fit a point "
           << (point.getPairs() ? "with" : "without") << " `pairs`";
  return ContractionEmitter(frame, *problem, point).emit();
}

FailureOr<KernelExtent> ContractionEmitter::emit() {
  plan();
  KernelExtent range = extent();
  if (range.units == 0)
    return range;
  if (aScratchType())
    aScratch = frame.allocScratch(t.loc, aScratchType());
  if (bScratchType())
    bScratch = frame.allocScratch(t.loc, bScratchType());
  if (severalPasses)
    partial = frame.allocScratch(t.loc, MemRefType::get({mc, groupPanels * nr}, p.accType));
  t.loop(frame.begin, frame.end, 1, [&](Value unit) { emitUnit(unit); });
  if (hasError)
    return failure();
  return range;
}

//===----------------------------------------------------------------------===//
// What is known before any code
//===----------------------------------------------------------------------===//

/// A panel is read in place when so few rows use it that copying it first would cost as much as the
/// product.
static constexpr int64_t kRowsWorthPacking = 16;

void ContractionEmitter::plan() {
  panels = llvm::divideCeil(p.n, nr);
  groupPanels = s.getNSplit() > 0 ? std::min(s.getNSplit(), std::max<int64_t>(panels, 1))
                                  : std::max<int64_t>(panels, 1);
  groups = llvm::divideCeil(panels, groupPanels);
  mr = std::min(mr, std::max<int64_t>(p.m, 1));
  mc = std::min<int64_t>(llvm::alignTo(mc, mr), llvm::alignTo(std::max<int64_t>(p.m, 1), mr));
  overlaps = s.getAnyRows() && p.m >= mr;
  t.anySizes = overlaps;
  rowBlocks = llvm::divideCeil(p.m, mc);
  kc = std::min(kc, std::max<int64_t>(p.k, 1));
  severalPasses = p.k > kc;
  if (p.panelWidth)
    source = PanelSource::Prepacked;
  else if (p.b.colStride == 1 && p.m <= kRowsWorthPacking)
    source = PanelSource::InPlace;
  // In place B is as the caller left it.
  pairs = s.getPairs() && source != PanelSource::InPlace;
  if (pairs)
    kc = std::min<int64_t>(llvm::alignTo(kc, 2), std::max<int64_t>(p.k, 1));
  bool isContiguous = p.hasPrologue() || p.a.colStride == 1;
  Type element = cast<RankedTensorType>(p.matmul.getLhs().getType()).getElementType();
  widens = !pairs && isContiguous && isa<FloatType>(element) && element != p.accType;
  copyA = s.getPackA() || p.hasPrologue() || widens || (pairs && !isContiguous);
  transposedCopy = copyA && !isContiguous;

  auto anchorType = cast<RankedTensorType>(p.anchor.getType());
  Block &block = frame.kernel.getBody().front();
  for (BlockArgument argument : block.getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    int64_t rank = type.getRank();
    SmallVector<int64_t> strides = frame.kernel.getInputStrides(argument.getArgNumber());
    Value input = frame.inputs[argument.getArgNumber()];
    if (input != p.a.memref && input != p.b.memref && !p.hasPrologue() && rank >= 2 &&
        rank <= anchorType.getRank() && type.getDimSize(rank - 1) == p.n &&
        strides[rank - 1] == 1 && type.getDimSize(rank - 2) != 1 && strides[rank - 2] != 0)
      rowOperands.push_back(argument.getArgNumber());
  }
}

MemRefType ContractionEmitter::aScratchType() {
  if (!copyA)
    return {};
  Type element = cast<RankedTensorType>(p.matmul.getLhs().getType()).getElementType();
  if (widens)
    element = p.accType;
  if (transposedCopy && pairs)
    return MemRefType::get({mc / mr, storedDepth(kc), mr, 2}, element);
  if (transposedCopy)
    return MemRefType::get({mc / mr, kc, mr}, storageType(element));
  // Rows a multiple of 4 KB apart would share one set of the L1 cache.
  int64_t pad = 64 / byteWidth(element);
  return MemRefType::get({mc, static_cast<int64_t>(llvm::alignTo(kc, pad)) + pad},
                         storageType(element));
}

MemRefType ContractionEmitter::bScratchType() {
  bool tail = p.n % nr != 0;
  if (source == PanelSource::Prepacked || (source == PanelSource::InPlace && !tail))
    return {};
  Type element = cast<MemRefType>(p.b.memref.getType()).getElementType();
  if (pairs)
    return MemRefType::get({groupPanels, storedDepth(std::max<int64_t>(p.k, 1)), nr, 2}, element);
  return MemRefType::get(
      {source == PanelSource::InPlace ? 1 : groupPanels, std::max<int64_t>(p.k, 1), nr}, element);
}

KernelExtent ContractionEmitter::extent() const {
  KernelExtent range;
  int64_t products = p.batchItems() * groups;
  range.units = products * rowBlocks;
  if (range.units == 0)
    return range;
  // A chunk that packs B should use it for many rows; eight chunks still share out evenly.
  if (source != PanelSource::Prepacked)
    range.grain = products >= 4 ? rowBlocks : std::max<int64_t>(1, range.units / 8);
  double unitElements =
      static_cast<double>(std::min(p.n, groupPanels * nr)) * std::max<int64_t>(p.k, 1);
  Type element = cast<MemRefType>(p.b.memref.getType()).getElementType();
  range.grain =
      std::max(range.grain, chunkOfUnits(range.units, 2.0 * std::min(mc, p.m) * unitElements,
                                         static_cast<double>(byteWidth(element)) * unitElements));
  return range;
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

void ContractionEmitter::emitUnit(Value unit) {
  Value block = overlaps ? t.rem(unit, t.size(rowBlocks)) : t.rem(unit, rowBlocks);
  Value product = t.div(unit, t.size(rowBlocks));
  Value group = t.rem(product, groups);
  itemIndex = t.div(product, groups);
  if (p.batchItems() == 1)
    itemIndex = t.index(0);
  item = t.delinearize(itemIndex, p.batch);
  firstPanel = t.mul(group, groupPanels);
  lastPanel =
      groups == 1 ? t.index(panels) : t.min(t.add(firstPanel, groupPanels), t.index(panels));
  if (overlaps) {
    // A whole strip is left for the last block.
    m0 = t.min(t.mul(block, t.size(mc)), t.size(p.m - mr));
    rows = t.min(t.size(mc), t.sub(t.size(p.m), m0));
  } else {
    m0 = rowBlocks == 1 ? t.index(0) : t.mul(block, mc);
    rows = p.m % mc == 0 ? t.index(mc) : t.min(t.index(mc), t.sub(t.index(p.m), m0));
  }

  Value offset = t.linearize(item, p.b.batchStrides);
  int64_t depth = storedDepth(p.k);
  if (source == PanelSource::Prepacked && pairs)
    bPanels = t.window(p.b.memref, offset, {panels, depth, nr, 2}, {depth * nr * 2, nr * 2, 2, 1});
  else if (source == PanelSource::Prepacked)
    bPanels = t.window(p.b.memref, offset, {panels, p.k, nr}, {p.k * nr, nr, 1});
  else
    bPanels = t.window(p.b.memref, offset, {p.k, p.n}, {p.b.rowStride, p.b.colStride});
  if (bScratch) {
    Value first = t.equal(unit, frame.begin);
    Value fresh = t.b.createOrFold<arith::OrIOp>(t.loc, first, t.equal(block, t.index(0)));
    // One product in all: only the first unit of the call packs.
    if (p.batchItems() * groups == 1)
      fresh = first;
    t.when(fresh, [&] { packPanels(); });
  }
  if (!p.hasPrologue()) {
    Value start = t.add(t.linearize(item, p.a.batchStrides), t.mul(m0, p.a.rowStride));
    aMatrix = t.window(p.a.memref, start, {mc, p.k}, {p.a.rowStride, p.a.colStride});
    if (pairs && !copyA)
      aPairs = t.window(p.a.memref, start, {mc, depth, 2}, {p.a.rowStride, 2, 1});
  }
  if (severalPasses) {
    clearPartial();
    t.loop(0, p.k, kc, [&](Value k0) {
      Value depth = p.k % kc == 0 ? t.index(kc) : t.min(t.index(kc), t.sub(t.index(p.k), k0));
      emitPass(k0, depth);
    });
  } else {
    emitPass(t.index(0), t.index(p.k));
  }
}

void ContractionEmitter::emitPass(Value k0, Value depth) {
  if (copyA)
    packRows(k0, depth);
  forPanels([&](const Panel &panel) {
    forStrips([&](const Strip &strip) { emitStrip(panel, strip, k0, depth); });
  });
}

void ContractionEmitter::forPanels(llvm::function_ref<void(const Panel &)> body) {
  int64_t whole = p.n / nr;
  Value last = groups == 1 ? t.index(whole) : t.min(lastPanel, t.index(whole));
  t.loop(firstPanel, last, 1, [&](Value i) { body({i, t.sub(i, firstPanel), nr}); });
  if (whole == panels)
    return;
  Value tail = t.index(whole);
  t.when(t.less(tail, lastPanel), [&] { body({tail, t.sub(tail, firstPanel), p.n - whole * nr}); });
}

void ContractionEmitter::forStrips(llvm::function_ref<void(const Strip &)> body) {
  if (overlaps) {
    Value last = t.sub(rows, t.index(mr));
    Value count = t.div(t.add(rows, mr - 1), mr);
    t.loop(t.index(0), count, 1,
           [&](Value index) { body({index, t.min(t.mul(index, mr), last), mr}); });
    return;
  }
  int64_t rest = p.m % mr;
  Value whole = rest == 0 ? rows : t.mul(t.div(rows, mr), mr);
  auto at = [&](Value block, int64_t height) { body({t.div(block, mr), block, height}); };
  t.loop(t.index(0), whole, mr, [&](Value block) { at(block, mr); });
  if (rest != 0)
    t.when(t.less(whole, rows), [&] { at(whole, rest); });
}

void ContractionEmitter::emitStrip(const Panel &panel, const Strip &strip, Value k0, Value depth) {
  auto accType = VectorType::get({strip.rows, nr}, p.accType);
  prefetchOperands(panel, strip);
  prefetchNextMatrix(panel, strip);
  Value acc = severalPasses ? loadPartial(panel, strip) : t.zero(accType);
  auto [a, aIndices] = stripOfA(strip, k0);
  acc = t.mma(acc, a, aIndices, panelBuffer(panel), panelIndices(panel, k0), depth, s.getUnroll(),
              nextPanel(panel, strip, k0), pairs);
  if (!severalPasses)
    return emitEpilogue(acc, panel, strip);
  Value isLast = t.equal(t.add(k0, depth), t.index(p.k));
  t.when(isLast, [&] { emitEpilogue(acc, panel, strip); });
  t.when(t.b.createOrFold<arith::XOrIOp>(t.loc, isLast, t.constant(t.b.getI1Type(), 1)),
         [&] { storePartial(acc, panel, strip); });
}

} // namespace tessera
