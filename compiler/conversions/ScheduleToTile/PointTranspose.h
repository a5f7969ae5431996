//===- PointTranspose.h - tiles read across and used along -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTTRANSPOSE_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTTRANSPOSE_H

#include "compiler/conversions/ScheduleToTile/PointEmitter.h"

namespace tessera {

/// A load whose elements are neighbours along another dimension than the vectors': read as squares
/// along that dimension, transposed in registers, and kept in scratch where vectors find them.
class TransposedLoad {
public:
  /// `rows` along `rowDim`, where memory is contiguous, by up to `lanes` along `laneDim`.
  TransposedLoad(KernelFrame &frame, const PointNode *node, unsigned laneDim, unsigned rowDim,
                 int64_t rows, int64_t lanes);

  const PointNode *getNode() const { return node; }
  /// Fills the tile whose first point is `scope`'s, `width` lanes of it; `width` is a multiple of
  /// `rows`.
  void fill(PointEmitter &emitter, const PointScope &scope, int64_t width);
  /// The lanes of row `row` of the tile.
  mlir::Value load(PointEmitter &emitter, const PointScope &scope, mlir::Value row);

private:
  const PointNode *node;
  unsigned laneDim, rowDim;
  int64_t rows, lanes;
  mlir::Value tile;
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTTRANSPOSE_H
