//===- BodyEmitter.h - pointwise bodies, at one tile of points -------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every kernel class has a pointwise part (an elementwise nest, the epilogue of a
// product, the passes over a row). The emitter computes any value of a kernel's
// body at a vector of points on demand: leaves become loads, elementwise ops
// arithmetic, and what the class computes itself (a product's accumulators, a
// reduction's result) is bound before.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_BODYEMITTER_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_BODYEMITTER_H

#include "compiler/conversions/ScheduleToTile/PointEmitter.h"

#include "llvm/ADT/DenseMap.h"

#include <map>
#include <memory>

namespace tessera {

/// `lanes` neighbouring points of an iteration space: one index a dimension (SSA, index type); the
/// lanes advance along `laneDim`, or, with laneDim -1, there is one point. With `valid`, only the
/// first `valid` lanes exist: loads and stores are masked.
struct TilePoint {
  llvm::SmallVector<mlir::Value> indices;
  int64_t laneDim = -1;
  int64_t lanes = 1;
  mlir::Value valid;
};

class BodyEmitter {
public:
  explicit BodyEmitter(KernelFrame &frame) : frame(frame) {}

  /// Gives `value` at the current points: a vector<lanes x registerType>.
  void bind(mlir::Value value, mlir::Value vector);
  /// Forgets bound and computed values; call when the point moves.
  void reset();

  /// Emits `value` (whose shape broadcasts to the iteration space, right aligned) at `point`;
  /// returns a vector<lanes x registerType>. Diagnoses an op it cannot compute pointwise.
  mlir::FailureOr<mlir::Value> emit(mlir::Value value, const TilePoint &point);
  /// Stores `vector` (register type) as the points of output `index`, converting to its storage
  /// type.
  void store(mlir::Location loc, unsigned index, const TilePoint &point, mlir::Value vector);
  /// Computes and stores every result of the kernel at `point`, but for those left out.
  mlir::LogicalResult storeResults(mlir::Location loc, const TilePoint &point);

  /// The kernel's class stores this result itself.
  void leaveOut(mlir::Value result) { leftOut.insert(result); }

private:
  /// The graph, emitter and computed values for values of one shape.
  struct Shape {
    Shape(KernelFrame &frame, IterationSpace space)
        : graph(frame, std::move(space)), emitter(frame, graph), scope(graph.getSpace().rank()) {}
    PointGraph graph;
    PointEmitter emitter;
    PointScope scope;
  };
  Shape &shapeFor(llvm::ArrayRef<int64_t> sizes, unsigned rank);

  KernelFrame &frame;
  std::map<std::vector<int64_t>, std::unique_ptr<Shape>> shapes;
  llvm::DenseMap<mlir::Value, mlir::Value> bound;
  llvm::DenseSet<mlir::Value> leftOut;
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_BODYEMITTER_H
