//===- ContractionBuilder.h - building blocks of the matrix kernels --------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the emitters of contraction, attention and pack kernels are written in:
// index arithmetic that folds, loops that vanish when they run once, matrices
// inside strided buffers, and register tiles as rows of vectors.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTIONBUILDER_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTIONBUILDER_H

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace tessera {

class TileBuilder {
public:
  TileBuilder(mlir::OpBuilder &b, mlir::Location loc) : b(b), loc(loc) {}

  mlir::OpBuilder &b;
  mlir::Location loc;

  // Index arithmetic; every call folds what is constant.
  mlir::Value index(int64_t value);
  /// The same, but not to be folded where the code is to serve other sizes as well.
  mlir::Value size(int64_t value);
  bool anySizes = false;
  mlir::Value add(mlir::Value x, mlir::Value y);
  mlir::Value add(mlir::Value x, int64_t y) { return add(x, index(y)); }
  mlir::Value sub(mlir::Value x, mlir::Value y);
  mlir::Value mul(mlir::Value x, int64_t y);
  mlir::Value mul(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, mlir::Value y);
  mlir::Value div(mlir::Value x, int64_t y);
  mlir::Value rem(mlir::Value x, mlir::Value y);
  mlir::Value rem(mlir::Value x, int64_t y);
  mlir::Value ceilDiv(mlir::Value x, int64_t y);
  mlir::Value min(mlir::Value x, mlir::Value y);
  mlir::Value max(mlir::Value x, mlir::Value y);
  mlir::Value less(mlir::Value x, mlir::Value y);
  mlir::Value equal(mlir::Value x, mlir::Value y);
  /// The digits of `linear` in the mixed radix `sizes`, outermost first.
  llvm::SmallVector<mlir::Value> delinearize(mlir::Value linear, llvm::ArrayRef<int64_t> sizes);
  /// Σ indices[i]·strides[i].
  mlir::Value linearize(mlir::ValueRange indices, llvm::ArrayRef<int64_t> strides);

  // Control flow. A loop that provably runs once or never leaves no loop behind.
  using Body = llvm::function_ref<void(mlir::Value)>;
  void loop(mlir::Value low, mlir::Value high, int64_t step, Body body);
  void loop(int64_t low, int64_t high, int64_t step, Body body) {
    loop(index(low), index(high), step, body);
  }
  void when(mlir::Value condition, llvm::function_ref<void()> body);
  /// A loop over vectors or scalars it carries.
  using CarryBody =
      llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value, mlir::ValueRange)>;
  llvm::SmallVector<mlir::Value> loop(mlir::Value low, mlir::Value high, int64_t step,
                                      mlir::ValueRange init, CarryBody body);

  // Buffers.
  /// The sizes/strides window that begins `offset` elements into the buffer's first element.
  mlir::Value window(mlir::Value memref, mlir::Value offset, llvm::ArrayRef<int64_t> sizes,
                     llvm::ArrayRef<int64_t> strides);
  mlir::Value load(mlir::VectorType type, mlir::Value memref, mlir::ValueRange indices,
                   mlir::Value valid = {}, mlir::Value pad = {});
  void store(mlir::Value vector, mlir::Value memref, mlir::ValueRange indices,
             mlir::Value valid = {}, bool nontemporal = false);
  void prefetch(mlir::Value memref, mlir::ValueRange indices, int locality = 3);

  // Vectors.
  mlir::Value constant(mlir::Type type, double value);
  mlir::Value zero(mlir::Type type);
  mlir::Value broadcast(mlir::Value scalar, mlir::VectorType type);
  /// Lanes [offset, offset + lanes) of a vector.
  mlir::Value slice(mlir::Value vector, int64_t offset, int64_t lanes);
  /// Row `i` of a register tile.
  mlir::Value row(mlir::Value tile, int64_t i);
  /// f32 as bf16 that products of pairs will read.
  mlir::Value roundFactors(mlir::Value vector);
  mlir::Value tileOfRows(llvm::ArrayRef<mlir::Value> rows);

  // Tile ops.
  struct Prefetch {
    llvm::SmallVector<mlir::Value> indices; ///< where to begin in B; empty: nowhere
    int64_t step = 16;                      ///< elements a depth step
    int64_t locality = 2;
  };
  mlir::Value mma(mlir::Value acc, mlir::Value a, mlir::ValueRange aIndices, mlir::Value b,
                  mlir::ValueRange bIndices, mlir::Value depth, int64_t unroll,
                  const Prefetch &prefetch, bool pairs = false);
  /// One panel of columns; see tile.pack.
  void pack(mlir::Value src, mlir::ValueRange srcIndices, mlir::Value dst,
            mlir::ValueRange dstIndices, mlir::Value depth, mlir::Value valid, bool pairs = false);
};

/// Lanes the columns of a register tile are worked on at a time after the product: 16, where they
/// divide `columns`. The number does not depend on the element type, so conversions keep vectors
/// whole.
int64_t chunkLanes(int64_t columns);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_CONTRACTIONBUILDER_H
