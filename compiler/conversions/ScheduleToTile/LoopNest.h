//===- LoopNest.h - loops of pointwise and row kernels ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The loops the elementwise, indexing and rows emitters share: the parallel range,
// and vectors along one dimension with a tail known when compiling.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_LOOPNEST_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_LOOPNEST_H

#include "compiler/conversions/ScheduleToTile/KernelEmitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace tessera {

/// for index in [low, high) by `step`. A static range of one step has no loop, of none no body.
void emitLoop(mlir::OpBuilder &b, mlir::Location loc, int64_t low, int64_t high, int64_t step,
              llvm::function_ref<void(mlir::Value)> body);

/// Vectors of `lanes` over [0, extent), then one for the rest: as narrow as holds it, masked by
/// `valid` unless it is full.
void emitLaneLoop(
    mlir::OpBuilder &b, mlir::Location loc, int64_t extent, int64_t lanes,
    llvm::function_ref<void(mlir::Value index, int64_t lanes, mlir::Value valid)> body);

/// The index in each of `sizes` of element `item` in row-major order.
llvm::SmallVector<mlir::Value> emitDelinearize(mlir::OpBuilder &b, mlir::Location loc,
                                               mlir::Value item, llvm::ArrayRef<int64_t> sizes);

/// The units of a kernel: one loop's after the other's.
class UnitRange {
public:
  explicit UnitRange(KernelFrame &frame) : frame(frame) {}

  /// Emits a loop over those of `items` steps, `perUnit` to a unit, that the kernel is called for.
  mlir::scf::ForOp addLoop(mlir::Location loc, int64_t items, int64_t perUnit,
                           llvm::function_ref<void(mlir::Value item)> body);
  /// The same for items of `work` elements each, about `grain` to a unit. Loops behind one another
  /// over as many items become one: parts of the same rows are then touched together.
  void addRows(mlir::Location loc, int64_t items, int64_t work, int64_t grain,
               llvm::function_ref<void(mlir::Value item)> body);
  int64_t getUnits() const { return units; }

private:
  /// The first item, at or behind unit `first`, of a unit of the kernel.
  mlir::Value itemOf(mlir::Location loc, mlir::Value unit, int64_t items, int64_t perUnit) const;

  KernelFrame &frame;
  int64_t units = 0;
  /// Of the last loop: its first unit, and, where it is one of rows, the loop and its work.
  int64_t first = 0, rowItems = 0, rowWork = 0;
  mlir::scf::ForOp rows;
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_LOOPNEST_H
