//===- Attention.h - the loops of one attention kernel ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Flash attention: the scores of `br` query rows live in scratch, never in memory.
//
//   for unit of (batch item, query head, block of br rows)
//     pack the panels of K^T and V when the key head changed
//     for bc of the keys the block may see                     (once, where a row of scores fits
//     L2)
//       scores = Q·K^T, mask, running maximum                  (AttentionScores.cpp)
//       exp2 of the scores, their sums                         (AttentionSoftmax.cpp)
//       output += scores·V                                     (AttentionOutput.cpp)
//     output / sum, epilogue
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_ATTENTION_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_ATTENTION_H

#include "compiler/conversions/ScheduleToTile/AttentionProblem.h"
#include "compiler/conversions/ScheduleToTile/BodyEmitter.h"
#include "compiler/conversions/ScheduleToTile/ContractionBuilder.h"

namespace tessera {

class AttentionEmitter {
public:
  AttentionEmitter(KernelFrame &frame, AttentionProblem problem, schedule::AttentionAttr point);

  mlir::FailureOr<KernelExtent> emit();

private:
  /// A register tile: `block` is its first row inside the query block, `rows` are its rows.
  struct Strip {
    mlir::Value block;
    int64_t rows;
  };

  void plan();
  KernelExtent extent() const;
  void allocate();

  void emitUnit(mlir::Value unit);
  void forStrips(llvm::function_ref<void(const Strip &)> body);

  // Keys and values as panels (AttentionOperands.cpp).
  void packHead();
  void packPanels(mlir::Value source, int64_t depth, int64_t columns, mlir::Value target,
                  int64_t width);
  void copyQueries();
  /// Rows of `buffer` as pairs.
  mlir::Value asPairs(mlir::Value buffer);

  // Keys and values read where they lie (AttentionInPlace.cpp).
  /// The head's rows: [rows, columns] a piece, and where all of them are kept, or null.
  struct PlacedRows {
    llvm::SmallVector<mlir::Value, 2> pieces;
    mlir::Value joined;
    bool streams = false; ///< what is kept goes past the caches
  };
  void placeHead(mlir::Value unit);
  PlacedRows placeRows(const HeadedRows &rows, int64_t columns);
  /// Calls `body(matrix, first key of the matrix, low, high)` for the parts of the pieces that hold
  /// keys [low, high) of [c0, c1).
  using PieceBody = llvm::function_ref<void(mlir::Value, int64_t, mlir::Value, mlir::Value)>;
  void forPieces(const HeadedRows &rows, const PlacedRows &placed, mlir::Value c0, mlir::Value c1,
                 PieceBody body);
  void keep(const PlacedRows &placed, llvm::ArrayRef<mlir::Value> vectors, mlir::Value row,
            mlir::Value column, int64_t columns);
  void prefetchRow(mlir::Value matrix, mlir::Value row, mlir::Value column, int64_t columns);
  /// Products of every query with keys [c0, c1), into the scores.
  void emitKeyProducts(mlir::Value c0, mlir::Value c1);
  mlir::Value joinedProducts(mlir::Value acc, const Strip &strip, mlir::Value column,
                             mlir::Value firstKey, mlir::Value depth);
  mlir::Value loadNarrow(mlir::Value matrix, mlir::Value row, int64_t at, int64_t count);
  mlir::Value widen(mlir::Value vector);
  TileBuilder::Prefetch nextValues(mlir::Value column, mlir::Value firstKey);

  // Scores of one pass over keys [c0, c1) (AttentionScores.cpp).
  void emitScores(mlir::Value c0, mlir::Value c1);
  /// Fills the scores up to what the softmax takes at a time.
  void padScores(mlir::Value first, mlir::Value last, mlir::Value c0);
  mlir::Value product(const Strip &strip, mlir::Value panel);
  mlir::Value keyProducts(const Strip &strip, mlir::Value column);
  void emitScoreTile(mlir::Value panel, const Strip &strip, mlir::Value c0, bool limited);
  mlir::Value maskScores(mlir::Value scores, mlir::Value scale, mlir::Value row, mlir::Value column,
                         bool limited);
  void prefetchMask(const Strip &strip, mlir::Value column);
  mlir::Value limitScores(mlir::Value scores, mlir::Value row, mlir::Value column);
  mlir::Value larger(mlir::Value x, mlir::Value y);

  // Softmax of one pass (AttentionSoftmax.cpp).
  void clearStatistics();
  void emitSoftmax(mlir::Value keys);
  void emitSoftmaxRows(mlir::Value first, int64_t count, mlir::Value width, int64_t step);
  mlir::Value exp2(mlir::Value x);
  mlir::Value rowMaximum(mlir::Value row);
  void finishRow(mlir::Value row, mlir::Value sums, mlir::Value largest, mlir::Value shift);

  // Output (AttentionOutput.cpp).
  void emitOutput(mlir::Value firstKey, mlir::Value depth);
  void emitFinal();
  void forColumnPanels(llvm::function_ref<void(mlir::Value, int64_t)> body);
  void emitEpilogue(mlir::Value acc, const Strip &strip, mlir::Value panel, int64_t columns);

  mlir::Value scalarLoad(mlir::Value memref, mlir::Value i);
  void scalarStore(mlir::Value value, mlir::Value memref, mlir::Value i);

  KernelFrame &frame;
  AttentionProblem p;
  schedule::AttentionAttr s;
  TileBuilder t;
  BodyEmitter body;
  bool hasError = false;

  int64_t mr, nr, nrValue, br, bc;
  int64_t keyPanels, valuePanels, blocks;
  int64_t lanes;    ///< of one machine-sized vector of scores
  bool online;      ///< keys in several passes
  bool scaleFirst;  ///< scores are scaled as they are made, not inside exp2
  bool pairs;       ///< operands are bf16, and multiplied as pairs of neighbours in depth
  bool copiesQuery; ///< queries are not read in place
  bool widened;     ///< operands are f16 or bf16: copied to f32
  bool overlaps;    ///< the last strip of a block covers rows of the one before again
  bool inPlace;     ///< keys and values are not packed

  // Scratch.
  mlir::Value keyScratch, valueScratch, stageScratch, queryScratch;
  mlir::Value scores, maxima; ///< [br, bc + pad], [br, lanes]
  mlir::Value weights;        ///< [br, bc + pad]: the exponentials as bf16, for pairs only
  mlir::Value rowMax, rowSum,
      rowFactor;      ///< [br]: m, l; then 1/l, or what the old output shrinks by
  mlir::Value output; ///< [br, valuePanels·nrValue], online only

  // The current unit.
  llvm::SmallVector<mlir::Value> item; ///< batch indices
  mlir::Value head, keyHead, q0, rows, queryMatrix, queryPairs;
  PlacedRows placedKeys, placedValues; ///< in place only
  mlir::Value
      keeps; ///< whether this unit is the one of its head that keeps keys and values; null: it is
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_ATTENTION_H
