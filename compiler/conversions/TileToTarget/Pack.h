//===- Pack.h - what the ways to pack share ---------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_TILETOTARGET_PACK_H
#define TESSERA_CONVERSIONS_TILETOTARGET_PACK_H

#include "compiler/conversions/TileToTarget/Lowering.h"
#include "compiler/tile/ir/TileOps.h"

namespace tessera {

/// Transposes `rows`, as many as each has lanes (a power of two), in registers.
llvm::SmallVector<mlir::Value> transposeSquare(mlir::OpBuilder &b, mlir::Location loc,
                                               llvm::ArrayRef<mlir::Value> rows);

/// tile.pack of pairs.
void emitPackPairs(mlir::OpBuilder &b, tile::PackOp op, tile::PackOp::Adaptor adaptor,
                   const Lowering &lowering);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_TILETOTARGET_PACK_H
