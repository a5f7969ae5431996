//===- Contraction.h - the loops of one contraction kernel -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From a ContractionProblem and its `#schedule.contraction` point to loops over
// register tiles:
//
//   for unit of (batch item, group of column panels, block of mc rows)
//     pack the group's panels of B when the group changed       (B not prepacked)
//     for kc of K
//       copy the block of A into padded scratch                 (packA, or a prologue)
//       for panel of group
//         for mr rows of block
//           tile.mma, then the epilogue row by row
//
// With more than one pass over K, partial sums wait in scratch.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTION_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTION_H

#include "compiler/conversions/ScheduleToTile/BodyEmitter.h"
#include "compiler/conversions/ScheduleToTile/ContractionBuilder.h"
#include "compiler/conversions/ScheduleToTile/ContractionProblem.h"

namespace tessera {

class ContractionEmitter {
public:
  ContractionEmitter(KernelFrame &frame, ContractionProblem problem,
                     schedule::ContractionAttr point);

  mlir::FailureOr<KernelExtent> emit();

private:
  /// Where B's panels come from.
  enum class PanelSource { Prepacked, Scratch, InPlace };
  /// A column panel inside the current group: `local` counts from the group's first.
  struct Panel {
    mlir::Value index, local;
    int64_t columns; ///< valid columns; fewer than nr in the last one
  };
  /// A register tile: the `index`th of its row block, of `rows` rows from `block` on.
  struct Strip {
    mlir::Value index, block;
    int64_t rows;
  };

  // What is known before any code.
  void plan();
  mlir::MemRefType aScratchType();
  mlir::MemRefType bScratchType();
  /// Steps of depth as they are stored: pairs count once.
  int64_t storedDepth(int64_t depth) const { return pairs ? (depth + 1) / 2 : depth; }
  KernelExtent extent() const;

  // Loops.
  void emitUnit(mlir::Value unit);
  void emitPass(mlir::Value k0, mlir::Value depth);
  void emitStrip(const Panel &panel, const Strip &strip, mlir::Value k0, mlir::Value depth);
  void forPanels(llvm::function_ref<void(const Panel &)> body);
  void forStrips(llvm::function_ref<void(const Strip &)> body);

  // Operands (ContractionOperands.cpp).
  void packPanels();
  void packRows(mlir::Value k0, mlir::Value depth);
  void copyRow(mlir::Value row, mlir::Value k0, mlir::Value k, int64_t lanes, mlir::Value valid);
  mlir::Value prologue(mlir::Value row, mlir::Value k, int64_t lanes, mlir::Value valid);
  mlir::Value panelBuffer(const Panel &panel);
  /// A as tile.mma reads it, and where a strip begins in it.
  std::pair<mlir::Value, llvm::SmallVector<mlir::Value>> stripOfA(const Strip &strip,
                                                                  mlir::Value k0);
  llvm::SmallVector<mlir::Value> panelIndices(const Panel &panel, mlir::Value k);
  /// While one product of a batch is computed from its panels, the next one's B comes closer: every
  /// register tile fetches its share.
  void prefetchNextMatrix(const Panel &panel, const Strip &strip);
  TileBuilder::Prefetch nextPanel(const Panel &panel, const Strip &strip, mlir::Value k0);

  // Epilogue (ContractionEpilogue.cpp).
  void emitEpilogue(mlir::Value acc, const Panel &panel, const Strip &strip);
  void clearPartial();
  void storePartial(mlir::Value acc, const Panel &panel, const Strip &strip);
  mlir::Value loadPartial(const Panel &panel, const Strip &strip);
  void prefetchOperands(const Panel &panel, const Strip &strip);
  /// Indices in the anchor's leading dimensions of row `i` of the strip.
  llvm::SmallVector<mlir::Value> rowIndices(const Strip &strip, int64_t i);

  KernelFrame &frame;
  ContractionProblem p;
  schedule::ContractionAttr s;
  TileBuilder t;
  BodyEmitter body;
  bool hasError = false;

  int64_t mr, nr, kc, mc;
  int64_t panels, groupPanels, groups, rowBlocks;
  PanelSource source = PanelSource::Scratch;
  bool copyA = false;
  bool transposedCopy = false; ///< A's rows are contiguous: copied as strips [depth][mr]
  bool severalPasses = false;
  bool pairs = false;    ///< two steps of depth side by side, as the machine multiplies them
  bool widens = false;   ///< f16 and bf16 without such a product: A is copied as f32
  bool overlaps = false; ///< the last strip of a block covers rows of the one before again
  /// Kernel inputs the epilogue reads one row after the other: worth fetching while the tile is
  /// computed.
  llvm::SmallVector<unsigned> rowOperands;

  mlir::Value aScratch, bScratch, partial;
  // The current unit.
  llvm::SmallVector<mlir::Value> item;
  mlir::Value itemIndex, firstPanel, lastPanel, m0, rows, aMatrix, bPanels;
  mlir::Value aPairs; ///< aMatrix as pairs
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTION_H
