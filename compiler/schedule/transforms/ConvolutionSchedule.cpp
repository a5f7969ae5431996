//===- ConvolutionSchedule.cpp - default schedules of convolutions ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A register tile is a run of outputs in one row, as long as registers allow and
// as the row divides into; a block of rows stays in L2 while panels of kernels
// pass by. Winograd's products where they, and the memory they take, cost less
// than the windows' own.
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/transforms/ConvolutionSchedule.h"

#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using llvm::divideCeil;

namespace tessera::schedule {

namespace {

/// Accumulators that hide the latency of a product: two are begun a cycle, each takes four.
constexpr int64_t kAccumulators = 8;
/// More of them are not needed.
constexpr int64_t kMostAccumulators = 18;
/// Convolutions below this many operations are not worth a second thread.
constexpr double kSerialFlops = 2.0e6;
/// What an operation and a byte cost, in picoseconds: products in registers, Winograd's
/// intermediate tiles, which live in L2, and weights, which come from memory.
constexpr double kFlop = 4.2, kTransformByte = 10, kWeightByte = 27;
/// What a change of algorithm must bring: models are not better than this.
constexpr double kWinogradGain = 0.95;
/// Outputs along one side of a tile of F(2x2, 3x3), and its products.
constexpr int64_t kTile = 2, kProducts = 16;

struct RegisterTile {
  int64_t rows, vectors;
};

} // namespace

static int64_t lanesOf(const ConvolutionShape &shape, const MachineModel &machine) {
  return std::max<int64_t>(1, std::max<int64_t>(machine.vectorBits, 128) / shape.accBits);
}

/// Rows of accumulators beside `vectors` of kernels and a broadcast input. Tiles of more registers
/// bring nothing, and epilogues with constants of their own make them spill.
static int64_t mostRows(int64_t vectors, const MachineModel &machine) {
  int64_t registers = machine.vectorBits >= 512 ? 32 : 16;
  return std::min({registers - 1 - vectors, kMostAccumulators}) / vectors;
}

/// `count` rows in tiles of at most `most`, of equal height.
static int64_t equalParts(int64_t count, int64_t most) {
  return divideCeil(count, divideCeil(count, std::max<int64_t>(most, 1)));
}

/// The width that leaves the fewest lanes idle; of equals two vectors, the best balance of loads
/// and products; more where a row of outputs is too short for enough accumulators.
static RegisterTile chooseTile(const ConvolutionShape &shape, int64_t rows, int64_t rowBytes,
                               const MachineModel &machine) {
  int64_t lanes = lanesOf(shape, machine), outputs = std::max<int64_t>(shape.outputs, 1);
  auto padded = [&](int64_t vectors) { return llvm::alignTo(outputs, vectors * lanes); };
  int64_t vectors = 2;
  for (int64_t other : {3, 1})
    if (padded(other) < padded(vectors))
      vectors = other;
  if (rows * vectors < kAccumulators && padded(4) == padded(vectors))
    vectors = 4;
  int64_t most = mostRows(vectors, machine);
  // Rows a multiple of 4 KB apart share a set of the first level.
  if (rowBytes % 4096 == 0)
    most = std::min<int64_t>(most, 8);
  return {equalParts(std::max<int64_t>(rows, 1), most), vectors};
}

static int64_t rowStrideBytes(const ConvolutionShape &shape) {
  return shape.stride.back() * shape.groups * shape.channels * shape.operandBits / 8;
}

/// Bytes of the rows of the input that a row of outputs adds to a block.
static int64_t blockRowBytes(const ConvolutionShape &shape) {
  int64_t rows = shape.sizes.size() > 1 ? shape.stride[shape.stride.size() - 2] : 1;
  return rows * shape.sizes.back() * shape.channels * shape.operandBits / 8;
}

bool isWorthDirect(const ConvolutionShape &shape, const MachineModel &machine) {
  // Other halves are widened once as rows of windows are copied.
  if (!shape.isFloat || (shape.operandBits < 32 && !shape.pairs) ||
      llvm::is_contained(shape.places, 0) || shape.channels == 0)
    return false;
  if (shape.channels == 1 && shape.groups > 1) // depthwise
    return false;
  // Pixels are the rows of a product already, or need only the copy of a few of them.
  if (productOf(shape.kernel) == 1)
    return false;
  RegisterTile tile = chooseTile(shape, shape.places.back(), rowStrideBytes(shape), machine);
  // Each panel of kernels reads the window's rows again: they must be near.
  int64_t windowRows = productOf(ArrayRef(shape.kernel).drop_back());
  return tile.rows * tile.vectors >= kAccumulators &&
         windowRows * blockRowBytes(shape) <= machine.l2Bytes;
}

//===----------------------------------------------------------------------===//
// Algorithms
//===----------------------------------------------------------------------===//

static int64_t tilesAlong(int64_t places) { return divideCeil(places, kTile); }

static bool canWinograd(const ConvolutionShape &shape) {
  auto all = [](ArrayRef<int64_t> values, int64_t wanted) {
    return llvm::all_of(values, [&](int64_t value) { return value == wanted; });
  };
  return shape.kernel.size() == 2 && all(shape.kernel, 3) && all(shape.stride, 1) &&
         all(shape.dilation, 1) && shape.groups == 1 && shape.accBits == 32 &&
         (shape.operandBits == 32 || shape.pairs) && !shape.isExact;
}

/// Whether sixteen products of tiles cost less than nine of pixels, with what the transforms move
/// and with weights that are nearly twice as large, and that every call transforms where it
/// computes them.
static bool isWorthWinograd(const ConvolutionShape &shape) {
  if (!canWinograd(shape))
    return false;
  int64_t bytes = shape.operandBits / 8;
  double flop = shape.pairs ? kFlop / 2 : kFlop;
  double weights = static_cast<double>(bytes) * shape.channels * shape.outputs;
  double products = 2.0 * shape.channels * shape.outputs;
  double pixels = static_cast<double>(shape.batch) * productOf(shape.places);
  double tiles =
      static_cast<double>(shape.batch) * tilesAlong(shape.places[0]) * tilesAlong(shape.places[1]);
  double moved = 2.0 * kProducts * tiles * (bytes * shape.channels + 4 * shape.outputs);
  double direct = std::max(pixels * 9 * products * flop, 9 * weights * kWeightByte);
  double winograd =
      std::max(tiles * kProducts * products * flop, kProducts * weights * kWeightByte) +
      moved * kTransformByte;
  // Written once, and read and written as panels.
  if (shape.isComputed)
    winograd += 3 * kProducts * weights * kWeightByte;
  return winograd < kWinogradGain * direct;
}

/// How many units there should be, for all threads to end at about the same time.
static int64_t unitsWanted(const ConvolutionShape &shape, const MachineModel &machine) {
  double flops = 2.0 * shape.batch * shape.groups * productOf(shape.places) *
                 productOf(shape.kernel) * shape.channels * shape.outputs;
  return machine.threads <= 1 || flops < kSerialFlops ? 1 : 4 * machine.threads;
}

/// Panels a unit has, where units are too few for the threads; 0 for all.
static int64_t splitPanels(const ConvolutionShape &shape, int64_t panels, int64_t units,
                           const MachineModel &machine) {
  int64_t wanted = unitsWanted(shape, machine);
  if (units >= wanted)
    return 0;
  int64_t split = divideCeil(panels, divideCeil(wanted, units));
  return split == panels ? 0 : split;
}

/// The most rows of outputs in a block where panels are too few to be shared out instead.
static int64_t rowsForThreads(const ConvolutionShape &shape, int64_t rows, int64_t panels,
                              const MachineModel &machine) {
  int64_t others = shape.batch * shape.groups * panels;
  return std::max<int64_t>(1, rows / divideCeil(unitsWanted(shape, machine), others));
}

/// Of `count` rows, at most `most`: the largest block that leaves the last one least short, for all
/// of its tiles are multiplied.
static int64_t fullBlocks(int64_t count, int64_t most) {
  int64_t best = std::clamp<int64_t>(most, 1, count), first = divideCeil(best, 2);
  auto covered = [&](int64_t block) { return llvm::alignTo(count, block); };
  for (int64_t block = best; block >= first; --block)
    if (covered(block) < covered(best))
      best = block;
  return best;
}

static ConvolutionAttr chooseDirect(MLIRContext *context, const ConvolutionShape &shape,
                                    const MachineModel &machine) {
  RegisterTile tile = chooseTile(shape, shape.places.back(), rowStrideBytes(shape), machine);
  int64_t nr = tile.vectors * lanesOf(shape, machine);
  int64_t rows = productOf(ArrayRef(shape.places).drop_back());
  int64_t most =
      std::max<int64_t>(1, machine.l2Bytes / 2 / std::max<int64_t>(1, blockRowBytes(shape)));
  int64_t panels = divideCeil(shape.outputs, nr);
  most = std::min(most, rowsForThreads(shape, rows, panels, machine));
  int64_t block = equalParts(std::max<int64_t>(rows, 1), most);
  int64_t units = shape.batch * shape.groups * divideCeil(std::max<int64_t>(rows, 1), block);
  int64_t nSplit = splitPanels(shape, panels, units, machine);
  return ConvolutionAttr::get(context, ConvolutionAlgorithm::Direct, tile.rows, nr, block, nSplit,
                              /*unroll=*/2, /*prefetchB=*/1, shape.pairs);
}

static ConvolutionAttr chooseWinograd(MLIRContext *context, const ConvolutionShape &shape,
                                      const MachineModel &machine) {
  int64_t down = tilesAlong(shape.places[0]), across = tilesAlong(shape.places[1]);
  // Tiles of a block rest in L2; weights that do not are read once a block, so that fewer and
  // larger blocks are better.
  int64_t bytes = shape.operandBits / 8;
  int64_t rowBytes = kProducts * across * (bytes * shape.channels + 4 * shape.outputs);
  int64_t weights = bytes * kProducts * shape.channels * shape.outputs;
  int64_t room = 2 * weights <= machine.l2Bytes ? machine.l2Bytes / 2 : 2 * machine.l2Bytes;
  int64_t block = fullBlocks(down, room / rowBytes);
  RegisterTile tile = chooseTile(shape, block * across, bytes * shape.channels, machine);
  int64_t nr = tile.vectors * lanesOf(shape, machine);
  // Each part of the panels transforms the tiles again: no more parts than threads.
  int64_t panels = divideCeil(shape.outputs, nr), units = shape.batch * divideCeil(down, block);
  int64_t parts = std::clamp<int64_t>(divideCeil(machine.threads, units), 1, panels);
  int64_t nSplit = parts == 1 ? 0 : divideCeil(panels, parts);
  return ConvolutionAttr::get(context, ConvolutionAlgorithm::Winograd, tile.rows, nr, block, nSplit,
                              /*unroll=*/2, /*prefetchB=*/1, shape.pairs);
}

ConvolutionAttr chooseConvolution(MLIRContext *context, const ConvolutionShape &shape,
                                  const MachineModel &machine) {
  return isWorthWinograd(shape) ? chooseWinograd(context, shape, machine)
                                : chooseDirect(context, shape, machine);
}

DictionaryAttr convolutionSpace(MLIRContext *context, const ConvolutionShape &shape,
                                const MachineModel &machine) {
  Builder b(context);
  int64_t lanes = lanesOf(shape, machine);
  auto list = [&](ArrayRef<int64_t> values) { return b.getDenseI64ArrayAttr(values); };
  auto name = [&](ConvolutionAlgorithm algorithm) -> Attribute {
    return b.getStringAttr(stringifyConvolutionAlgorithm(algorithm));
  };
  SmallVector<Attribute> algorithms{name(ConvolutionAlgorithm::Direct)};
  if (canWinograd(shape))
    algorithms.push_back(name(ConvolutionAlgorithm::Winograd));
  return b.getDictionaryAttr({
      b.getNamedAttr("algorithm", b.getArrayAttr(algorithms)),
      b.getNamedAttr("mr", list(machine.vectorBits >= 512 ? ArrayRef<int64_t>{4, 5, 7, 8, 9, 12, 14}
                                                          : ArrayRef<int64_t>{3, 4, 5, 6})),
      b.getNamedAttr("nr", list({lanes, 2 * lanes, 3 * lanes, 4 * lanes})),
      b.getNamedAttr("block", list({1, 2, 4, 7, 8, 14, 16, 28})),
      b.getNamedAttr("nSplit", list({0, 1, 2, 4, 8})),
      b.getNamedAttr("unroll", list({1, 2, 4})),
      b.getNamedAttr("prefetchB", list({0, 1})),
  });
}

} // namespace tessera::schedule
