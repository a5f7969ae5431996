//===- DepthwiseSchedule.cpp - default schedules of depthwise kernels ------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A tile holds enough sums in registers to hide the latency of an FMA, and leaves
// room for a row of the kernel: an element of the input is then read once for all
// outputs of the tile that see it.
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/transforms/DepthwiseSchedule.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace tessera::schedule {

/// Units a thread should have to choose from, so that all end at about the same time.
static constexpr int64_t unitsPerThread = 4;

static int64_t lanesFor(const DepthwiseShape &shape, const MachineModel &machine) {
  int64_t lanes = std::max<int64_t>(machine.vectorBits, 128) / shape.accBits;
  int64_t channels = std::max<int64_t>(shape.channels, 4);
  // Whole groups, on machines with short vectors as well.
  lanes = std::max(lanes, shape.group);
  return std::min(lanes, static_cast<int64_t>(llvm::PowerOf2Ceil(channels)));
}

/// The most outputs of a tile along a row.
static int64_t mostColumns(const MachineModel &machine) {
  return machine.vectorBits >= 512 ? 14 : 7;
}

/// Rows a unit, so that there are enough units.
static int64_t rowsFor(const DepthwiseShape &shape, int64_t channelsPerUnit,
                       const MachineModel &machine) {
  int64_t blocks = shape.batch * llvm::divideCeil(shape.channels, channelsPerUnit);
  int64_t wanted = unitsPerThread * std::max(machine.threads, 1);
  int64_t parts = llvm::divideCeil(wanted, std::max<int64_t>(blocks, 1));
  return std::max<int64_t>(1, llvm::divideCeil(shape.rows, parts));
}

DepthwiseAttr chooseDepthwise(MLIRContext *context, const DepthwiseShape &shape,
                              const MachineModel &machine) {
  int64_t lanes = lanesFor(shape, machine), most = mostColumns(machine);
  int64_t registers = machine.vectorBits >= 512 ? 32 : 16;
  int64_t columns = std::max<int64_t>(shape.columns, 1);
  // Tiles of about one width: a narrow last one would be latency and no work.
  int64_t tw = llvm::divideCeil(columns, llvm::divideCeil(columns, most));
  bool fits = 2 * (tw + shape.kernelColumns) + 2 <= registers;
  int64_t vectors = 2 * tw <= most && fits && shape.channels >= 2 * lanes ? 2 : 1;
  return DepthwiseAttr::get(context, lanes, vectors, tw, rowsFor(shape, lanes * vectors, machine));
}

DictionaryAttr depthwiseSpace(MLIRContext *context, const DepthwiseShape &shape,
                              const MachineModel &machine) {
  Builder b(context);
  DepthwiseAttr chosen = chooseDepthwise(context, shape, machine);
  auto list = [&](ArrayRef<int64_t> values) { return b.getDenseI64ArrayAttr(values); };
  SmallVector<int64_t> widths;
  for (int64_t tw : {4, 5, 7, 8, 10, 12, 14})
    if (tw <= std::min(shape.columns, 2 * mostColumns(machine)))
      widths.push_back(tw);
  if (!llvm::is_contained(widths, chosen.getTw()))
    widths.push_back(chosen.getTw());
  SmallVector<int64_t> rows{chosen.getRows()};
  if (rows.front() < shape.rows)
    rows.push_back(shape.rows);
  SmallVector<int64_t> vectors{1};
  if (shape.channels >= 2 * chosen.getLanes())
    vectors.push_back(2);
  return b.getDictionaryAttr({
      b.getNamedAttr("rows", list(rows)),
      b.getNamedAttr("tw", list(widths)),
      b.getNamedAttr("vectors", list(vectors)),
  });
}

} // namespace tessera::schedule
