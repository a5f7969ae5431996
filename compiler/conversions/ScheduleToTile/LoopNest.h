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
  void addLoop(mlir::Location loc, int64_t items, int64_t perUnit,
               llvm::function_ref<void(mlir::Value item)> body);
  int64_t getUnits() const { return units; }

private:
  KernelFrame &frame;
  int64_t units = 0;
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_LOOPNEST_H
