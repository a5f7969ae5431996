//===- ContractionSchedule.cpp - default schedules of contractions ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The register tile fills the vector registers; the block of A stays in L2 while
// panels of B pass by; units are many enough to keep every core busy.
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/transforms/ContractionSchedule.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using llvm::alignTo;
using llvm::divideCeil;

namespace tessera::schedule {

namespace {

struct RegisterTile {
  int64_t rows, columns;
};

/// Products that take less than this many microseconds are not worth a second thread; about what a
/// core does, and reads of weights, in one.
constexpr double kSerialMicroseconds = 4;
constexpr double kFlopsPerMicrosecond = 2.0e5, kBytesPerMicrosecond = 4.0e4;
/// Units a thread should have to choose from, so that all end at about the same time; blocks of
/// rows are of whole strips and the last one shorter, so that there are more of them.
constexpr int64_t kUnitsPerThread = 4, kBlocksPerThread = 8;
/// Bytes of A's row beyond which one pass over K is split: partial sums cost more than a strip of A
/// that leaves the first level, so that only panels too large for L2 are worth it.
constexpr int64_t kDepthBytes = 32 << 10;
/// Bytes of A that make its rows few.
constexpr int64_t kFewRowsBytes = 64 << 10;
/// With so few strips a panel of B arrives from memory as fast as it is used: the one in use, the
/// next and the rows of A then share L2, each panel this part of it.
constexpr int64_t kStreamedStrips = 3, kPanelShare = 8;
/// Matrices below this are not worth fetching one ahead.
constexpr int64_t kMatrixBytes = 16 << 10;
/// Packed panels of B a thread may keep in scratch.
constexpr int64_t kPanelScratchBytes = 16 << 20;

} // namespace

/// Lanes of one vector of accumulators.
static int64_t accLanes(const ContractionShape &shape, const MachineModel &machine) {
  return std::max<int64_t>(1, std::max<int64_t>(machine.vectorBits, 128) / shape.accBits);
}

/// With 32 vector registers 8 rows by 2 vectors, with 16 registers 6 by 2: accumulators, the
/// vectors of B and one of A. Few rows take wider tiles, so that the additions' latency is hidden
/// by enough accumulators.
static RegisterTile chooseTile(const ContractionShape &shape, const MachineModel &machine) {
  int64_t lanes = accLanes(shape, machine);
  bool manyRegisters = machine.vectorBits >= 512;
  int64_t most = manyRegisters ? 8 : 6;
  RegisterTile tile{most, 2 * lanes};
  int64_t rows = std::max<int64_t>(shape.rows, 1);
  // Of few rows a whole strip more is much.
  int64_t equal = rows < 8 * most ? divideCeil(rows, divideCeil(rows, most)) : most;
  if (shape.anyRows) // one width for all, since panels are packed once
    tile.rows = manyRegisters && rows <= 12 ? rows : equal;
  else if (rows <= 4)
    // More than eight sums at once and the loop reads B slower than memory gives it.
    tile = {rows, (rows <= (manyRegisters ? 2 : 1) ? 4 : 2) * lanes};
  else if (manyRegisters && rows <= 12)
    tile.rows = rows;
  else // strips of equal height instead of a short last one
    tile.rows = equal;
  // Three vectors where they leave less of the last panel empty: 40 or 48 columns are one panel
  // then.
  int64_t columns = std::max<int64_t>(shape.columns, 1);
  if (manyRegisters && !shape.anyRows && shape.operandBits == 32 && rows > 12 &&
      alignTo(columns, 3 * lanes) < alignTo(columns, 2 * lanes))
    tile.columns = 3 * lanes;
  // No wider than the matrix.
  tile.columns =
      std::min<int64_t>(tile.columns, alignTo(std::max<int64_t>(shape.columns, 1), lanes));
  return tile;
}

static int64_t chooseDepth(const ContractionShape &shape, const RegisterTile &tile,
                           const MachineModel &machine) {
  int64_t bytes = shape.operandBits / 8, depth = std::max<int64_t>(shape.depth, 1);
  if (shape.rows > tile.rows && shape.rows <= kStreamedStrips * tile.rows) {
    int64_t most = std::max<int64_t>(16, machine.l2Bytes / kPanelShare / (tile.columns * bytes));
    return alignTo(divideCeil(depth, divideCeil(depth, most)), 16);
  }
  // Few rows stay in the first level: one pass, so that panels of B are read as one stream.
  if (depth * bytes <= kDepthBytes || shape.rows * depth * bytes <= kFewRowsBytes)
    return depth;
  int64_t passes = divideCeil(depth * bytes, kDepthBytes / 2);
  return alignTo(divideCeil(depth, passes), 16);
}

/// Cuts a product of few units further, into `mc` rows by `nSplit` panels, so that no thread waits
/// for the others. Every thread reads the operand that is not cut, so the larger one is.
static void splitForThreads(const ContractionShape &shape, const RegisterTile &tile, int64_t panels,
                            const MachineModel &machine, int64_t &mc, int64_t &nSplit) {
  int64_t rows = std::max<int64_t>(shape.rows, 1);
  double weights = static_cast<double>(shape.columns) * shape.depth;
  double microseconds = std::max(2.0 * shape.batch * rows * weights / kFlopsPerMicrosecond,
                                 weights * shape.operandBits / 8 / kBytesPerMicrosecond);
  int64_t wanted = kUnitsPerThread * machine.threads;
  int64_t units = shape.batch * divideCeil(rows, mc);
  if (machine.threads <= 1 || microseconds <= kSerialMicroseconds || units >= wanted)
    return;
  // Where panels are packed on the way, each block of rows would pack them anew.
  bool cutRows = shape.packedB && rows > shape.columns;
  int64_t parts = divideCeil(wanted, units);
  if (cutRows || (shape.packedB && panels < parts)) {
    int64_t others = shape.batch * (cutRows ? 1 : panels);
    int64_t blocks = divideCeil(kBlocksPerThread * machine.threads, others);
    mc = std::min<int64_t>(mc, alignTo(divideCeil(rows, blocks), tile.rows));
  }
  if (!cutRows)
    nSplit = std::max<int64_t>(1, panels / parts);
}

ContractionAttr chooseContraction(MLIRContext *context, const ContractionShape &shape,
                                  const MachineModel &machine) {
  RegisterTile tile = chooseTile(shape, machine);
  int64_t kc = chooseDepth(shape, tile, machine);
  int64_t bytes = shape.operandBits / 8, accBytes = shape.accBits / 8;
  int64_t rows = std::max<int64_t>(shape.rows, 1), depth = std::max<int64_t>(shape.depth, 1);
  int64_t panels = std::max<int64_t>(divideCeil(shape.columns, tile.columns), 1);

  // All rows in one block where they fit L2: then every panel of B is read once. Weights come from
  // memory, each block anew: where half of L2 makes few blocks, these are as high as that.
  int64_t blockRows =
      std::max<int64_t>(tile.rows, llvm::alignDown(machine.l2Bytes / (kc * bytes), tile.rows));
  int64_t half = llvm::alignDown(blockRows / 2, tile.rows);
  if (rows > blockRows || rows > 128) {
    bool fewBlocks = shape.packedB && rows <= 2 * half;
    blockRows = std::min<int64_t>(blockRows, fewBlocks ? half : 64);
    // Blocks of equal height.
    blockRows = divideCeil(rows, divideCeil(rows, blockRows));
  } else {
    blockRows = rows;
  }
  int64_t mc = static_cast<int64_t>(alignTo(blockRows, tile.rows));

  // Groups of panels: where blocks are too few for the threads, and where scratch would outgrow its
  // cache.
  int64_t nSplit = panels;
  splitForThreads(shape, tile, panels, machine, mc, nSplit);
  if (kc < depth)
    nSplit = std::min(nSplit,
                      std::max<int64_t>(1, machine.l2Bytes / 4 / (mc * tile.columns * accBytes)));
  if (!shape.packedB)
    nSplit =
        std::min(nSplit, std::max<int64_t>(1, kPanelScratchBytes / (depth * tile.columns * bytes)));

  // Rows whose distance is a multiple of 4 KB share a cache set; long rows leave the first level
  // anyway.
  bool conflicts = shape.aRowStride * bytes % 4096 == 0 && depth * bytes > 4096;
  bool packA = rows > 1 && panels > 1 && (shape.aColStride != 1 || conflicts || kc < depth);
  // One strip: the stream of B is fetched a fixed distance ahead, some kilobytes that the first
  // level holds; several: the next panel, or the next product's B, shared among them.
  bool nextMatrix = shape.batch > 1 && shape.columns * depth * bytes >= kMatrixBytes;
  int64_t prefetch = rows <= tile.rows ? 128 : shape.packedB || nextMatrix ? 256 : 0;
  return ContractionAttr::get(context, tile.rows, tile.columns, kc, mc,
                              nSplit == panels ? 0 : nSplit, packA,
                              /*unroll=*/2, prefetch, shape.anyRows, shape.pairs);
}

DictionaryAttr contractionSpace(MLIRContext *context, const ContractionShape &shape,
                                const MachineModel &machine) {
  Builder b(context);
  int64_t lanes = accLanes(shape, machine);
  auto list = [&](ArrayRef<int64_t> values) { return b.getDenseI64ArrayAttr(values); };
  SmallVector<int64_t> depths;
  for (int64_t depth : {512, 1024, 2048})
    if (depth < shape.depth)
      depths.push_back(depth);
  depths.push_back(std::max<int64_t>(shape.depth, 1));
  // Programs for many sizes share their panels, which have one width.
  SmallVector<int64_t> columns{lanes, 2 * lanes, 3 * lanes, 4 * lanes};
  if (shape.anyRows && shape.packedB)
    columns = {chooseContraction(context, shape, machine).getNr()};
  // Beyond the matrix all values are one.
  auto below = [&](ArrayRef<int64_t> values, int64_t limit) {
    return list(llvm::filter_to_vector(values, [&](int64_t value) { return value < limit; }));
  };
  int64_t panels = divideCeil(std::max<int64_t>(shape.columns, 1), lanes);
  return b.getDictionaryAttr({
      b.getNamedAttr("mr", machine.vectorBits >= 512 ? below({1, 2, 4, 6, 8, 12, 14}, shape.rows)
                                                     : below({1, 2, 4, 6}, shape.rows)),
      b.getNamedAttr("nr", list(columns)),
      b.getNamedAttr("kc", list(depths)),
      b.getNamedAttr("mc", below({32, 48, 64, 96, 128, 192, 256}, shape.rows)),
      b.getNamedAttr("nSplit", below({0, 1, 2, 4, 8, 16, 32}, panels)),
      b.getNamedAttr("packA", b.getDenseBoolArrayAttr({false, true})),
      b.getNamedAttr("unroll", list({1, 2, 4})),
      b.getNamedAttr("prefetchB", list({0, 128, 256, 512})),
  });
}

} // namespace tessera::schedule
