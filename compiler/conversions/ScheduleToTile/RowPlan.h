//===- RowPlan.h - which pass over a row computes what ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWPLAN_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWPLAN_H

#include "compiler/conversions/ScheduleToTile/PointGraph.h"

#include "llvm/ADT/DenseMap.h"

namespace tessera {

/// A value kept for later passes: in a buffer of the row, or in an output that holds it anyway.
struct RowCache {
  mlir::Value buffer;
  mlir::Type element; ///< graph element type of the buffer
  LinearForm form;
  bool isOutput = false; ///< the buffer is an output: storing is the output's business
};

/// One walk over the row.
struct RowPass {
  llvm::SmallVector<const PointNode *> reductions; ///< finished at the end of the pass
  llvm::SmallVector<const PointStore *> stores;
  llvm::SmallVector<const PointNode *> keeps; ///< values to cache in this pass
  double cost = 0;                            ///< of a point, in additions
  /// What the pass computes from.
  llvm::SmallVector<const PointNode *> roots() const;
};

/// Splits the nodes of a graph over rows into passes: a reduction's value is there one pass after
/// its operand. Values worth keeping between passes are cached.
class RowPlan {
public:
  RowPlan(KernelFrame &frame, const PointGraph &graph);

  /// Vectors run along `dim`: of the row, or, with `acrossRows`, of the kept dimensions.
  void setLanes(int dim, int64_t lanes, bool acrossRows);
  /// Decides what is cached. After setLanes.
  void planCaches();

  uint64_t getReducedMask() const { return reducedMask; }
  llvm::ArrayRef<RowPass> getPasses() const { return passes; }
  /// Stores of values a row has one of.
  llvm::ArrayRef<const PointStore *> getRowStores() const { return rowStores; }
  const RowCache *getCache(const PointNode *node) const;
  /// The pass behind which memory hides best: with the most arithmetic of those that neither read
  /// the row first nor write it; the last one where results are streamed. Nothing where there is no
  /// such pass.
  std::optional<unsigned> getPrefetchPass() const;

  int laneDim = -1;
  int64_t lanes = 1;
  bool acrossRows = false;
  bool stream = false; ///< results go past the caches

private:
  bool isInRow(const PointNode *node) const { return (node->varies & reducedMask) != 0; }
  double ownCost(const PointNode *node) const;
  double costOf(const PointNode *node);
  bool isWorthKeeping(const PointNode *node);
  void keep(const PointNode *node);
  LinearForm cacheForm() const;

  KernelFrame &frame;
  const PointGraph &graph;
  uint64_t reducedMask = 0;
  llvm::DenseMap<const PointNode *, unsigned> levels, firstPass;
  llvm::DenseMap<const PointNode *, double> costs;
  llvm::DenseMap<const PointNode *, RowCache> caches;
  llvm::SmallVector<RowPass> passes;
  llvm::SmallVector<const PointStore *> rowStores;
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWPLAN_H
