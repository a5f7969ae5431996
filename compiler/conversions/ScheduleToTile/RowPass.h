//===- RowPass.h - the loops of a row kernel -------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWPASS_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWPASS_H

#include "compiler/conversions/ScheduleToTile/PointNest.h"
#include "compiler/conversions/ScheduleToTile/RowPlan.h"
#include "compiler/conversions/ScheduleToTile/RowReduction.h"

namespace tessera {

/// The schedule of a row kernel; see schedule::RowsAttr.
struct RowSchedule {
  int64_t lanes = 64;
  bool lanesAlongReduction = true;
  int64_t grain = 0; ///< 0: rows of about 16384 elements
  bool prefetchRow = false;
  bool stream = false;
};

/// Emits the passes over one row, or over as many neighbouring rows as there are lanes.
class RowEmitter {
public:
  RowEmitter(PointEmitter &emitter, const PointGraph &graph, const RowPlan &plan);

  /// Fetches the row after this one along `dim` while passing over it.
  void setPrefetch(unsigned dim) { prefetchDim = dim; }
  void emitRow(PointScope &row);

private:
  using Values = llvm::SmallVector<mlir::Value>;

  void emitPass(const RowPass &pass, unsigned index, PointScope &row);
  /// The loops over the row's dimensions from `depth` on; takes and gives all accumulators.
  Values emitLoops(unsigned depth, PointScope &scope, Values accumulators);
  Values emitLanes(PointScope &scope, Values accumulators);
  Values emitPoint(PointScope &scope, llvm::ArrayRef<mlir::Value> accumulators);
  /// A loop of `trips` steps whose sums are taken in blocks, each from zero: their error then grows
  /// with the depth of the blocks, not with the trips.
  Values emitBlocks(int64_t trips, Values accumulators, int64_t width,
                    llvm::function_ref<Values(mlir::Value trip, Values)> body);
  Values emitFor(mlir::Value low, mlir::Value high, int64_t step, Values accumulators,
                 llvm::function_ref<Values(mlir::Value, Values)> body);
  Values identities(int64_t width);
  /// Identities for the sets of accumulators that `like` holds.
  Values fresh(mlir::ValueRange like, int64_t width);
  Values combineAll(mlir::ValueRange first, mlir::ValueRange second);
  void prefetchPoint(PointScope &scope);

  PointEmitter &emitter;
  const PointGraph &graph;
  const RowPlan &plan;
  mlir::OpBuilder &b;
  mlir::Location loc;
  llvm::SmallVector<unsigned> outerDims; ///< of the row, the lanes' excepted
  int64_t laneExtent = 1, tailWidth = 0, tailStart = 0, tailValid = 0;
  int prefetchDim = -1;
  // Of the pass being emitted.
  const RowPass *pass = nullptr;
  unsigned passIndex = 0;
  llvm::SmallVector<RowReduction, 2> reductions;
  bool hasSums = false;
};

/// Emits all rows.
void emitRowNest(KernelFrame &frame, PointGraph &graph, const RowPlan &plan,
                 const RowSchedule &schedule, UnitRange &units);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWPASS_H
