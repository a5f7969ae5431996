//===- ConvolutionDirect.cpp - windows multiplied where they lie -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From a ConvolutionProblem and a `direct` point to loops over register tiles of
// neighbouring outputs in a row:
//
//   for unit of (image, group, block of rows, block of panels)
//     for panel of block
//       for row of block
//         for tile of the row
//           for taps of the outer dimensions that meet the image
//             tile.mma over the taps and channels of the last one
//           the epilogue, pixel by pixel
//
// Taps that meet the border are left out: of outer dimensions by the bounds of
// loops, of the last one by products of part of the tile, in tiles at either end
// of a row, which have code of their own.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ConvolutionProblem.h"
#include "compiler/support/Sizes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace tessera {

namespace {

/// About how many products one accumulator sums up before it is added to the total; tile.mma cuts
/// longer sums itself.
constexpr int64_t kSumDepth = 256;

/// Windows of more products have several sums: in one, 216 err three times as much as PyTorch's.
constexpr int64_t kLongSum = 160;

/// Sums of fewer products are not worth an addition of their own: those of a row of taps are.
constexpr int64_t kLeastSum = 64;

/// So few channels of a tap need no loop.
constexpr int64_t kFewChannels = 8;

/// Tiles of a row that share code: `count` of `width` outputs from `first` on. With `border`, some
/// of their windows leave the image.
struct Run {
  int64_t first, count, width;
  bool border;
};

/// Taps [from, from + count) of the last dimension, which the outputs [begin, end) of a tile have.
struct Segment {
  int64_t from, count, begin, end;
};

/// The register tile at hand.
struct Strip {
  Value first;  ///< output in the row
  Value index;  ///< among those of the unit that use the panel
  Value offset; ///< of the first tap of its first window, in the image
  int64_t width;
  SmallVector<Segment> segments;
};

class DirectEmitter {
public:
  DirectEmitter(KernelFrame &frame, const ConvolutionProblem &problem,
                schedule::ConvolutionAttr point)
      : frame(frame), p(problem), s(point), t(frame.b, p.result.getLoc()), epilogue(frame, p, t),
        last(p.dims() - 1), mr(std::min(s.getMr(), p.places.back())), nr(s.getNr()) {
    taps = p.kernel.back();
    rows = productOf(ArrayRef(p.places).drop_back());
    panels = llvm::divideCeil(p.outputs, nr);
    unitPanels = s.getNSplit() == 0 ? panels : std::min(s.getNSplit(), panels);
    block = std::min(s.getBlock(), rows);
    // What bf16 has lost, short sums do not bring back.
    longSums = p.panelDepth > kLongSum && !p.pairedPanels;
    joined = p.dilation[last] * p.strideOf(last) == p.channels * p.channelStride();
    runs = splitRow();
    for (const Run &run : runs)
      tilesInRow += run.count;
  }

  FailureOr<KernelExtent> emit();

private:
  SmallVector<Run> splitRow() const;
  SmallVector<Segment> segmentsOf(const Run &run) const;
  bool isOnBorder(int64_t place) const;
  int64_t depthOf(const Segment &segment) const;
  bool sumsRowApart(const Strip &strip) const;

  void emitUnit(Value unit);
  void emitRow(Value row);
  void emitTile(Strip strip);
  Value outerTaps(Value acc, unsigned dim, Value offset, Value tap, const Strip &strip);
  Value lastTaps(Value acc, Value offset, Value tap, const Strip &strip);
  Value summed(Value acc, bool apart, llvm::function_ref<Value(Value)> sum);
  Value product(Value acc, const Segment &segment, Value offset, Value tap, int64_t depth,
                const Strip &strip);
  TileBuilder::Prefetch nextPanel(const Strip &strip, Value depthIndex);

  KernelFrame &frame;
  const ConvolutionProblem &p;
  schedule::ConvolutionAttr s;
  TileBuilder t;
  ConvolutionEpilogue epilogue;
  unsigned last;
  int64_t mr, nr, taps, rows, panels, unitPanels, block, tilesInRow = 0;
  SmallVector<Run> runs;
  bool longSums; ///< which short ones add up to
  bool joined;   ///< channels of one tap end where those of the next begin

  // The current unit, panel and row.
  Value image, group, row0, panel, rowInBlock, rowOffset;
  SmallVector<Value> outer;           ///< the row's index in each outer dimension
  SmallVector<Value> lowTap, highTap; ///< of outer dimensions; null where all taps meet the image
};

} // namespace

//===----------------------------------------------------------------------===//
// What is known before any code
//===----------------------------------------------------------------------===//

/// Whether some tap of the window at `place` of the last dimension is outside.
bool DirectEmitter::isOnBorder(int64_t place) const {
  int64_t first = place * p.stride[last] - p.padding[last];
  return first < 0 || first + (taps - 1) * p.dilation[last] >= p.sizes[last];
}

SmallVector<Run> DirectEmitter::splitRow() const {
  SmallVector<Run> result;
  for (int64_t first = 0; first < p.places[last]; first += mr) {
    int64_t width = std::min(mr, p.places[last] - first);
    // Windows are in order: those between two inside are inside.
    bool border = isOnBorder(first) || isOnBorder(first + width - 1);
    if (!result.empty() && !border && !result.back().border && result.back().width == width)
      ++result.back().count;
    else
      result.push_back({first, 1, width, border});
  }
  return result;
}

/// Taps next to each other that the same outputs have are one product.
SmallVector<Segment> DirectEmitter::segmentsOf(const Run &run) const {
  if (!run.border)
    return {{0, taps, 0, run.width}};
  SmallVector<Segment> result;
  for (int64_t tap = 0; tap < taps; ++tap) {
    auto isInside = [&](int64_t i) {
      int64_t at = (run.first + i) * p.stride[last] - p.padding[last] + tap * p.dilation[last];
      return at >= 0 && at < p.sizes[last];
    };
    int64_t begin = 0, end = run.width;
    while (begin < end && !isInside(begin))
      ++begin;
    while (begin < end && !isInside(end - 1))
      --end;
    if (begin == end)
      continue;
    if (!result.empty() && result.back().begin == begin && result.back().end == end &&
        result.back().from + result.back().count == tap)
      ++result.back().count;
    else
      result.push_back({tap, 1, begin, end});
  }
  return result;
}

/// How many products of a segment are one tile.mma.
int64_t DirectEmitter::depthOf(const Segment &segment) const {
  return (joined ? segment.count : 1) * p.channels;
}

/// Whether the taps of a row have a sum of their own: less rounding than in one long sum. Where a
/// row itself is long, each of its products has one instead.
bool DirectEmitter::sumsRowApart(const Strip &strip) const {
  bool isShort = llvm::any_of(strip.segments,
                              [&](const Segment &segment) { return depthOf(segment) < kLeastSum; });
  return longSums && (taps * p.channels <= kSumDepth || isShort);
}

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

FailureOr<KernelExtent> DirectEmitter::emit() {
  int64_t blocks = llvm::divideCeil(rows, block), parts = llvm::divideCeil(panels, unitPanels);
  KernelExtent range;
  range.units = p.batch * p.groups * blocks * parts;
  if (range.units == 0)
    return range;
  double unitFlops = 2.0 * block * p.places[last] * unitPanels * nr * p.panelDepth;
  range.grain = chunkOfUnits(range.units, unitFlops);
  t.loop(frame.begin, frame.end, 1, [&](Value unit) { emitUnit(unit); });
  if (epilogue.hasError)
    return failure();
  return range;
}

void DirectEmitter::emitUnit(Value unit) {
  int64_t blocks = llvm::divideCeil(rows, block), parts = llvm::divideCeil(panels, unitPanels);
  SmallVector<Value> digits = t.delinearize(unit, {p.batch, p.groups, blocks, parts});
  image = digits[0];
  group = digits[1];
  row0 = t.mul(digits[2], block);
  Value rowEnd = rows % block == 0 ? t.add(row0, block) : t.min(t.add(row0, block), t.index(rows));
  Value firstPanel = t.mul(digits[3], unitPanels);
  Value panelEnd = panels % unitPanels == 0 ? t.add(firstPanel, unitPanels)
                                            : t.min(t.add(firstPanel, unitPanels), t.index(panels));
  t.loop(firstPanel, panelEnd, 1, [&](Value index) {
    panel = index;
    t.loop(row0, rowEnd, 1, [&](Value row) { emitRow(row); });
  });
}

/// max(x, 0) / step, rounded up; `x` may be negative.
static Value stepsTo(TileBuilder &t, Value x, int64_t step) {
  return t.ceilDiv(t.max(x, t.index(0)), step);
}

void DirectEmitter::emitRow(Value row) {
  outer = t.delinearize(row, ArrayRef(p.places).drop_back());
  rowInBlock = t.sub(row, row0);
  rowOffset = t.add(t.mul(image, p.strides.front()), t.mul(group, p.channels * p.channelStride()));
  lowTap.assign(last, Value());
  highTap.assign(last, Value());
  for (unsigned d = 0; d < last; ++d) {
    Value first = t.add(t.mul(outer[d], p.stride[d]), -p.padding[d]);
    rowOffset = t.add(rowOffset, t.mul(first, p.strideOf(d)));
    int64_t end = (p.places[d] - 1) * p.stride[d] - p.padding[d];
    end += (p.kernel[d] - 1) * p.dilation[d];
    if (p.padding[d] <= 0 && end < p.sizes[d])
      continue;
    lowTap[d] = stepsTo(t, t.sub(t.index(0), first), p.dilation[d]);
    highTap[d] =
        t.min(stepsTo(t, t.sub(t.index(p.sizes[d]), first), p.dilation[d]), t.index(p.kernel[d]));
  }
  int64_t before = 0;
  for (const Run &run : runs) {
    t.loop(0, run.count, 1, [&](Value i) {
      Strip strip;
      strip.width = run.width;
      strip.first = t.add(t.mul(i, run.width), run.first);
      strip.index = t.add(t.mul(rowInBlock, tilesInRow), t.add(i, before));
      strip.segments = segmentsOf(run);
      Value place = t.add(t.mul(strip.first, p.stride[last]), -p.padding[last]);
      strip.offset = t.add(rowOffset, t.mul(place, p.strideOf(last)));
      emitTile(strip);
    });
    before += run.count;
  }
}

void DirectEmitter::emitTile(Strip strip) {
  int64_t lanes = chunkLanes(nr);
  Value column = t.mul(panel, nr), channel = t.add(t.mul(group, p.outputs), column);
  SmallVector<Value> pixel{image};
  pixel.append(outer);
  pixel.push_back({});
  auto pixelAt = [&](int64_t i) {
    pixel.back() = t.add(strip.first, i);
    return ValueRange(pixel);
  };
  for (int64_t i = 0; i < strip.width; ++i)
    epilogue.prefetch(pixelAt(i), channel, nr);
  Value acc = t.zero(VectorType::get({strip.width, nr}, p.accType));
  acc = outerTaps(acc, 0, strip.offset, t.index(0), strip);
  for (int64_t i = 0; i < strip.width; ++i) {
    Value row = t.row(acc, i);
    for (int64_t c = 0; c < nr; c += lanes) {
      Value valid;
      if (p.outputs % nr != 0) {
        Value rest = t.max(t.sub(t.index(p.outputs - c), column), t.index(0));
        valid = t.min(rest, t.index(lanes));
      }
      epilogue.emit(t.slice(row, c, lanes), pixelAt(i), t.add(channel, c), valid);
    }
  }
}

//===----------------------------------------------------------------------===//
// Taps
//===----------------------------------------------------------------------===//

/// `tap` counts those of the dimensions before `dim`.
Value DirectEmitter::outerTaps(Value acc, unsigned dim, Value offset, Value tap,
                               const Strip &strip) {
  if (dim == last)
    return summed(acc, sumsRowApart(strip),
                  [&](Value sums) { return lastTaps(sums, offset, tap, strip); });
  if (p.kernel[dim] == 1 && !lowTap[dim])
    return outerTaps(acc, dim + 1, offset, tap, strip);
  Value low = lowTap[dim] ? lowTap[dim] : t.index(0);
  Value high = highTap[dim] ? highTap[dim] : t.index(p.kernel[dim]);
  int64_t step = p.dilation[dim] * p.strideOf(dim);
  return t.loop(low, high, 1, acc, [&](Value k, ValueRange carried) -> SmallVector<Value> {
    return {outerTaps(carried.front(), dim + 1, t.add(offset, t.mul(k, step)),
                      t.add(t.mul(tap, p.kernel[dim]), k), strip)};
  })[0];
}

/// acc + what `sum` adds: to `acc` itself, or to a sum of its own first.
Value DirectEmitter::summed(Value acc, bool apart, llvm::function_ref<Value(Value)> sum) {
  if (!apart)
    return sum(acc);
  return arith::AddFOp::create(t.b, t.loc, acc, sum(t.zero(acc.getType())));
}

Value DirectEmitter::lastTaps(Value acc, Value offset, Value tap, const Strip &strip) {
  int64_t step = p.dilation[last] * p.strideOf(last);
  tap = t.mul(tap, taps);
  for (const Segment &segment : strip.segments) {
    Value from = t.add(offset, segment.from * step), first = t.add(tap, segment.from);
    if (joined || segment.count == 1) {
      acc = product(acc, segment, from, first, depthOf(segment), strip);
      continue;
    }
    acc = t.loop(t.index(0), t.index(segment.count), 1, acc,
                 [&](Value k, ValueRange carried) -> SmallVector<Value> {
                   return {product(carried.front(), segment, t.add(from, t.mul(k, step)),
                                   t.add(first, k), p.channels, strip)};
                 })[0];
  }
  return acc;
}

/// Adds the products of outputs [begin, end) of the tile with `depth` rows of kernels from `tap`.
Value DirectEmitter::product(Value acc, const Segment &segment, Value offset, Value tap,
                             int64_t depth, const Strip &strip) {
  int64_t width = segment.end - segment.begin, rowStride = p.stride[last] * p.strideOf(last);
  Value start = t.add(offset, segment.begin * rowStride), zero = t.index(0);
  Value k = t.mul(tap, p.channels);
  Value windows = p.pairedPanels
                      ? t.window(p.input, start, {width, depth / 2, 2}, {rowStride, 2, 1})
                      : t.window(p.input, start, {width, depth}, {rowStride, p.channelStride()});
  SmallVector<Value> aIndices(p.pairedPanels ? 3 : 2, zero), bIndices{group, panel, k, zero};
  if (p.pairedPanels)
    bIndices = {group, panel, t.div(k, 2), zero, zero};
  SmallVector<Value> all;
  Value part = acc;
  if (width != strip.width) {
    for (int64_t i = 0; i < strip.width; ++i)
      all.push_back(t.row(acc, i));
    part = t.tileOfRows(ArrayRef(all).slice(segment.begin, width));
  }
  // The loop over few channels would cost as much as their products.
  int64_t unroll = depth <= kFewChannels ? depth : s.getUnroll();
  part = summed(part, longSums && depth <= kSumDepth && !sumsRowApart(strip), [&](Value sums) {
    return t.mma(sums, windows, aIndices, p.panels, bIndices, t.index(depth), unroll,
                 nextPanel(strip, k), p.pairedPanels);
  });
  if (width == strip.width)
    return part;
  for (int64_t i = 0; i < width; ++i)
    all[segment.begin + i] = t.row(part, i);
  return t.tileOfRows(all);
}

/// Each tile that uses a panel fetches its share of the next one.
TileBuilder::Prefetch DirectEmitter::nextPanel(const Strip &strip, Value depthIndex) {
  TileBuilder::Prefetch prefetch;
  if (s.getPrefetchB() == 0)
    return prefetch;
  int64_t tiles = block * tilesInRow;
  prefetch.step = llvm::divideCeil(nr, tiles);
  Value share =
      t.add(t.mul(strip.index, p.panelDepth * prefetch.step), t.mul(depthIndex, prefetch.step));
  prefetch.indices = {group, t.add(panel, 1), t.index(0), share};
  if (p.pairedPanels)
    prefetch.indices.insert(prefetch.indices.end() - 1, t.index(0));
  return prefetch;
}

FailureOr<KernelExtent> emitDirect(KernelFrame &frame, const ConvolutionProblem &problem,
                                   schedule::ConvolutionAttr point) {
  return DirectEmitter(frame, problem, point).emit();
}

} // namespace tessera
