//===- RowReduction.h - accumulators of row kernels ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWREDUCTION_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWREDUCTION_H

#include "compiler/conversions/ScheduleToTile/PointEmitter.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace tessera {

/// One reduction of a row: what its accumulators start as, how points join and how accumulators do.
/// A reduction has one accumulator, an arg reduction two: the best value and its position.
/// Accumulators are vectors of some width, or scalars for width 1.
class RowReduction {
public:
  /// `laneStep`: how far apart in the row neighbouring lanes are; 0 where lanes are rows.
  RowReduction(PointEmitter &emitter, const PointGraph &graph, const PointNode *node,
               int64_t laneStep);

  const PointNode *getNode() const { return node; }
  unsigned parts() const { return isArg ? 2 : 1; }
  /// Sums lose accuracy with their length.
  bool isSum() const { return sums; }

  using Values = llvm::SmallVector<mlir::Value, 2>;
  Values identity(int64_t width);
  /// Adds the point of `scope`.
  Values accumulate(PointScope &scope, mlir::ValueRange accumulators);
  /// Joins two accumulators, the first of earlier points.
  Values combine(mlir::ValueRange first, mlir::ValueRange second);
  /// From vectors to the one scalar of their lanes.
  Values acrossLanes(mlir::ValueRange accumulators);
  /// The reduction's value in register type.
  mlir::Value result(mlir::ValueRange accumulators);

private:
  mlir::Value combineValues(mlir::Value a, mlir::Value b);
  mlir::Value combineLanes(mlir::Value vector);
  mlir::Value isBetter(mlir::Value candidate, mlir::Value best);
  mlir::Value identityValue(mlir::Type like);
  mlir::Value positions(PointScope &scope, int64_t width);
  ScalarBuilder scalars() { return ScalarBuilder(node->op->getLoc(), emitter.getFrame().b); }

  PointEmitter &emitter;
  const PointGraph &graph;
  const PointNode *node;
  int64_t laneStep;
  bool isArg = false, isUnsigned = false, isFloat = false, ignoresNan = false, sums = false;
  mlir::vector::CombiningKind kind;
  mlir::Type element; ///< of values, in registers
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWREDUCTION_H
