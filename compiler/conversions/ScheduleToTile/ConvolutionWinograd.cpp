//===- ConvolutionWinograd.cpp - F(2x2, 3x3) -------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From a ConvolutionProblem and a `winograd` point to sixteen products of
// transformed tiles, for kernels of 3x3 taps at stride 1:
//
// Pairs of bf16 are widened, transformed and rounded again.
//
//   for unit of (image, block of rows of tiles, block of panels)
//     each 4x4 inputs of a tile to Bᵀ d B, in scratch [16, tiles, C]   (block is new)
//     for product of 16
//       for panel of block
//         for mr tiles
//           tile.mma, to scratch [16, tiles, channels]
//     each 16 sums to Aᵀ m A, 2x2 outputs, and the epilogue of each
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ConvolutionProblem.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace tessera {

namespace {

constexpr int64_t kInputs = 4, kOutputs = 2, kProducts = kInputs * kInputs;

class WinogradEmitter {
public:
  WinogradEmitter(KernelFrame &frame, const ConvolutionProblem &problem,
                  schedule::ConvolutionAttr point)
      : frame(frame), p(problem), s(point), t(frame.b, p.result.getLoc()), epilogue(frame, p, t),
        nr(s.getNr()), lanes(chunkLanes(nr)) {
    down = llvm::divideCeil(p.places[0], kOutputs);
    across = llvm::divideCeil(p.places[1], kOutputs);
    block = std::min(s.getBlock(), down);
    tiles = block * across;
    mr = std::min(s.getMr(), tiles);
    panels = llvm::divideCeil(p.outputs, nr);
    unitPanels = s.getNSplit() == 0 ? panels : std::min(s.getNSplit(), panels);
  }

  FailureOr<KernelExtent> emit();

private:
  using Quad = SmallVector<Value, kInputs>;

  void emitUnit(Value unit);
  void forTiles(llvm::function_ref<void(Value row, Value column, Value tile)> body);
  void transformInput(Value row, Value column, Value tile);
  void transformChannels(Value row, Value column, Value tile, Value channel, Value valid,
                         bool isInside);
  void multiply();
  void emitStrip(Value product, Value panel, Value tile, Value index, int64_t height);
  void transformOutput(Value row, Value column, Value tile);
  void emitOutputs(Value row, Value column, ArrayRef<Quad> outputs, Value channel, Value valid);

  Value sum(Value x, Value y) { return arith::AddFOp::create(t.b, t.loc, x, y); }
  Value difference(Value x, Value y) { return arith::SubFOp::create(t.b, t.loc, x, y); }
  Value clamped(Value at, int64_t size) { return t.min(t.max(at, t.index(0)), t.index(size - 1)); }
  Value both(Value x, Value y) { return t.b.createOrFold<arith::AndIOp>(t.loc, x, y); }

  KernelFrame &frame;
  const ConvolutionProblem &p;
  schedule::ConvolutionAttr s;
  TileBuilder t;
  ConvolutionEpilogue epilogue;
  int64_t nr, lanes, down, across, block, tiles, mr, panels, unitPanels;
  Value inputs, sums; ///< scratch
  Value inputPairs;   ///< `inputs` as pairs
  // The current unit.
  Value image, row0, rows, firstPanel, panelCount;
};

} // namespace

FailureOr<KernelExtent> WinogradEmitter::emit() {
  int64_t blocks = llvm::divideCeil(down, block), parts = llvm::divideCeil(panels, unitPanels);
  KernelExtent range;
  range.units = p.batch * blocks * parts;
  if (range.units == 0)
    return range;
  range.grain = chunkOfUnits(range.units, 2.0 * kProducts * tiles * p.channels * unitPanels * nr);
  // Tiles a multiple of 4 KB apart would share one set of the first level.
  Type factor = p.pairedPanels ? Type(t.b.getBF16Type()) : p.accType;
  int64_t bytes = factor.getIntOrFloatBitWidth() / 8;
  int64_t depth = p.channels * bytes % 4096 == 0 ? p.channels + 64 / bytes : p.channels;
  inputs = frame.allocScratch(t.loc, MemRefType::get({kProducts, tiles, depth}, factor));
  if (p.pairedPanels)
    inputPairs = t.window(inputs, t.index(0), {kProducts, tiles, depth / 2, 2},
                          {tiles * depth, depth, 2, 1});
  sums = frame.allocScratch(t.loc, MemRefType::get({kProducts, tiles, unitPanels * nr}, p.accType));
  t.loop(frame.begin, frame.end, 1, [&](Value unit) { emitUnit(unit); });
  if (epilogue.hasError)
    return failure();
  return range;
}

void WinogradEmitter::emitUnit(Value unit) {
  int64_t blocks = llvm::divideCeil(down, block), parts = llvm::divideCeil(panels, unitPanels);
  SmallVector<Value> digits = t.delinearize(unit, {p.batch, blocks, parts});
  image = digits[0];
  row0 = t.mul(digits[1], block);
  rows = down % block == 0 ? t.index(block) : t.min(t.index(block), t.sub(t.index(down), row0));
  firstPanel = t.mul(digits[2], unitPanels);
  panelCount = panels % unitPanels == 0
                   ? t.index(unitPanels)
                   : t.min(t.index(unitPanels), t.sub(t.index(panels), firstPanel));
  // The next panels of a block find its tiles transformed.
  Value isFresh = t.b.createOrFold<arith::OrIOp>(t.loc, t.equal(unit, frame.begin),
                                                 t.equal(digits[2], t.index(0)));
  t.when(isFresh, [&] {
    forTiles([&](Value row, Value column, Value tile) { transformInput(row, column, tile); });
  });
  multiply();
  forTiles([&](Value row, Value column, Value tile) { transformOutput(row, column, tile); });
}

void WinogradEmitter::forTiles(llvm::function_ref<void(Value, Value, Value)> body) {
  t.loop(t.index(0), rows, 1, [&](Value row) {
    t.loop(0, across, 1,
           [&](Value column) { body(row, column, t.add(t.mul(row, across), column)); });
  });
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

void WinogradEmitter::transformInput(Value row, Value column, Value tile) {
  Value y = t.add(t.mul(t.add(row0, row), kOutputs), -p.padding[0]);
  Value x = t.add(t.mul(column, kOutputs), -p.padding[1]);
  // A negative index is a large one.
  auto inside = [&](Value at, int64_t size) -> Value {
    if (size < kInputs)
      return t.constant(t.b.getI1Type(), 0);
    return t.b.createOrFold<arith::CmpIOp>(t.loc, arith::CmpIPredicate::ule, at,
                                           t.index(size - kInputs));
  };
  Value isInside = both(inside(y, p.sizes[0]), inside(x, p.sizes[1]));
  auto channels = [&](bool known) {
    int64_t whole = p.channels / lanes * lanes;
    t.loop(0, whole, lanes,
           [&](Value c) { transformChannels(y, x, tile, c, t.index(lanes), known); });
    if (whole != p.channels)
      transformChannels(y, x, tile, t.index(whole), t.index(p.channels - whole), known);
  };
  t.when(isInside, [&] { channels(true); });
  t.when(t.b.createOrFold<arith::XOrIOp>(t.loc, isInside, t.constant(t.b.getI1Type(), 1)),
         [&] { channels(false); });
}

/// Bᵀ d of one row or column of inputs.
template <typename Sum, typename Difference>
static void transformQuad(MutableArrayRef<Value> d, Sum sum, Difference difference) {
  Value first = difference(d[0], d[2]), second = sum(d[1], d[2]);
  Value third = difference(d[2], d[1]), fourth = difference(d[1], d[3]);
  d[0] = first, d[1] = second, d[2] = third, d[3] = fourth;
}

void WinogradEmitter::transformChannels(Value y, Value x, Value tile, Value channel, Value valid,
                                        bool isInside) {
  auto type = VectorType::get({lanes}, p.accType);
  auto stored = type.clone(cast<MemRefType>(p.input.getType()).getElementType());
  bool isWhole = getConstantIntValue(valid) == lanes;
  Value offset = t.add(t.mul(image, p.strides[0]), t.mul(channel, p.channelStride()));
  Value here = t.window(p.input, offset, {p.sizes[0], p.sizes[1], lanes},
                        {p.strideOf(0), p.strideOf(1), p.channelStride()});
  SmallVector<Quad> d(kInputs, Quad(kInputs));
  for (int64_t i = 0; i < kInputs; ++i)
    for (int64_t j = 0; j < kInputs; ++j) {
      Value yi = t.add(y, i), xj = t.add(x, j), count = isWhole ? Value() : valid;
      if (!isInside) {
        // What is outside is not touched, not even by a load without lanes: those are slow where
        // no memory is.
        Value nearY = clamped(yi, p.sizes[0]), nearX = clamped(xj, p.sizes[1]);
        Value exists = both(t.equal(nearY, yi), t.equal(nearX, xj));
        count = t.b.createOrFold<arith::SelectOp>(t.loc, exists, valid, t.index(0));
        yi = nearY, xj = nearX;
      }
      d[i][j] = t.load(stored, here, {yi, xj, t.index(0)}, count);
      if (stored != type)
        d[i][j] = arith::ExtFOp::create(t.b, t.loc, type, d[i][j]);
    }
  auto add = [&](Value a, Value b) { return sum(a, b); };
  auto subtract = [&](Value a, Value b) { return difference(a, b); };
  for (int64_t j = 0; j < kInputs; ++j) {
    Quad column{d[0][j], d[1][j], d[2][j], d[3][j]};
    transformQuad(column, add, subtract);
    for (int64_t i = 0; i < kInputs; ++i)
      d[i][j] = column[i];
  }
  for (int64_t i = 0; i < kInputs; ++i) {
    transformQuad(d[i], add, subtract);
    for (int64_t j = 0; j < kInputs; ++j)
      t.store(p.pairedPanels ? t.roundFactors(d[i][j]) : d[i][j], inputs,
              {t.index(i * kInputs + j), tile, channel}, isWhole ? Value() : valid);
  }
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void WinogradEmitter::multiply() {
  // Of a shorter last block the tiles that do not exist are multiplied as well; nobody reads them.
  int64_t whole = tiles / mr, rest = tiles % mr;
  t.loop(0, kProducts, 1, [&](Value product) {
    t.loop(t.index(0), panelCount, 1, [&](Value panel) {
      t.loop(0, whole, 1, [&](Value i) { emitStrip(product, panel, t.mul(i, mr), i, mr); });
      if (rest != 0)
        emitStrip(product, panel, t.index(whole * mr), t.index(whole), rest);
    });
  });
}

void WinogradEmitter::emitStrip(Value product, Value panel, Value tile, Value index,
                                int64_t height) {
  Value zero = t.index(0), packed = t.add(firstPanel, panel);
  TileBuilder::Prefetch prefetch;
  if (s.getPrefetchB() != 0) {
    // Each strip fetches its share of the next panel, or of the next product's first.
    prefetch.step = llvm::divideCeil(nr, llvm::divideCeil(tiles, mr));
    prefetch.indices = {product, t.add(packed, 1), zero, t.mul(index, p.channels * prefetch.step)};
    if (p.pairedPanels)
      prefetch.indices.insert(prefetch.indices.end() - 1, zero);
  }
  Value acc = t.zero(VectorType::get({height, nr}, p.accType));
  SmallVector<Value> aIndices{product, tile, zero}, bIndices{product, packed, zero, zero};
  if (p.pairedPanels) {
    aIndices.push_back(zero);
    bIndices.push_back(zero);
  }
  acc = t.mma(acc, p.pairedPanels ? inputPairs : inputs, aIndices, p.panels, bIndices,
              t.index(p.channels), s.getUnroll(), prefetch, p.pairedPanels);
  for (int64_t i = 0; i < height; ++i)
    t.store(t.row(acc, i), sums, {product, t.add(tile, i), t.mul(panel, nr)});
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

void WinogradEmitter::transformOutput(Value row, Value column, Value tile) {
  auto type = VectorType::get({lanes}, p.accType);
  Value channels = t.min(t.mul(panelCount, nr), t.sub(t.index(p.outputs), t.mul(firstPanel, nr)));
  t.loop(t.index(0), channels, lanes, [&](Value channel) {
    SmallVector<Quad> m(kInputs, Quad(kInputs));
    for (int64_t i = 0; i < kInputs; ++i)
      for (int64_t j = 0; j < kInputs; ++j)
        m[i][j] = t.load(type, sums, {t.index(i * kInputs + j), tile, channel});
    auto reduce = [&](Value a, Value b, Value c, Value d) {
      return std::pair(sum(sum(a, b), c), difference(difference(b, c), d));
    };
    for (int64_t j = 0; j < kInputs; ++j)
      std::tie(m[0][j], m[1][j]) = reduce(m[0][j], m[1][j], m[2][j], m[3][j]);
    for (int64_t i = 0; i < kOutputs; ++i)
      std::tie(m[i][0], m[i][1]) = reduce(m[i][0], m[i][1], m[i][2], m[i][3]);
    Value valid;
    if (p.outputs % lanes != 0)
      valid = t.min(t.index(lanes), t.sub(channels, channel));
    emitOutputs(row, column, m, t.add(t.mul(firstPanel, nr), channel), valid);
  });
}

void WinogradEmitter::emitOutputs(Value row, Value column, ArrayRef<Quad> outputs, Value channel,
                                  Value valid) {
  Value y = t.mul(t.add(row0, row), kOutputs), x = t.mul(column, kOutputs);
  auto onlyIf = [&](bool isKnown, Value at, int64_t size, llvm::function_ref<void()> body) {
    if (isKnown)
      return body();
    t.when(t.less(at, t.index(size)), body);
  };
  for (int64_t i = 0; i < kOutputs; ++i)
    for (int64_t j = 0; j < kOutputs; ++j) {
      Value yi = t.add(y, i), xj = t.add(x, j);
      onlyIf(i == 0 || p.places[0] % kOutputs == 0, yi, p.places[0], [&] {
        onlyIf(j == 0 || p.places[1] % kOutputs == 0, xj, p.places[1],
               [&] { epilogue.emit(outputs[i][j], {image, yi, xj}, channel, valid); });
      });
    }
}

FailureOr<KernelExtent> emitWinograd(KernelFrame &frame, const ConvolutionProblem &problem,
                                     schedule::ConvolutionAttr point) {
  bool isThree = llvm::all_of(problem.kernel, [](int64_t size) { return size == 3; });
  bool isPlain = llvm::all_of(problem.stride, [](int64_t step) { return step == 1; }) &&
                 llvm::all_of(problem.dilation, [](int64_t step) { return step == 1; });
  auto element = cast<RankedTensorType>(problem.result.getType()).getElementType();
  if (problem.dims() != 2 || !isThree || !isPlain || problem.groups != 1 ||
      !(element.isF32() || problem.pairedPanels))
    return frame.kernel.emitOpError("[convolution] winograd needs f32 or pairs of bf16, kernels of "
                                    "3x3, stride and dilation 1 and one group; choose direct");
  return WinogradEmitter(frame, problem, point).emit();
}

} // namespace tessera
