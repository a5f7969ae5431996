//===- PointEmitter.h - nodes of a point graph as tile code ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Computes nodes at the point a loop body stands for. What does not vary over the
// lanes is a scalar until it meets a vector.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTEMITTER_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTEMITTER_H

#include "compiler/conversions/ScheduleToTile/PointGraph.h"
#include "compiler/conversions/ScheduleToTile/ScalarOps.h"

namespace tessera {

constexpr int64_t cacheLineBytes = 64;

/// A loop body: the indices known in it and what has been computed. An inner scope sees its
/// parents' values.
struct PointScope {
  explicit PointScope(unsigned rank) : indices(rank) {}
  explicit PointScope(const PointScope *parent)
      : parent(parent), indices(parent->indices), laneDim(parent->laneDim), lanes(parent->lanes),
        valid(parent->valid) {}

  const PointScope *parent = nullptr;
  llvm::SmallVector<mlir::Value> indices; ///< null where no enclosing loop walks the dimension
  int laneDim = -1;                       ///< -1: a single point
  int64_t lanes = 1;
  mlir::Value valid; ///< null: all lanes exist
  llvm::DenseMap<const PointNode *, mlir::Value> values;
  llvm::DenseMap<unsigned, mlir::Value> symbols;
  /// Where set: a node's value from where it was kept, or null when it must be computed.
  std::function<mlir::Value(const PointNode *)> reload;

  mlir::Value lookup(const PointNode *node) const;
  mlir::Value lookupSymbol(unsigned symbol) const;
  bool isVector(const PointNode *node) const { return laneDim >= 0 && node->variesOver(laneDim); }
};

class PointEmitter {
public:
  PointEmitter(KernelFrame &frame, PointGraph &graph) : frame(frame), graph(graph) {}

  /// The node's value in register type: a vector where it varies over the lanes, else a scalar.
  mlir::Value emit(const PointNode *node, PointScope &scope);
  /// The same, always as a vector of the scope's lanes.
  mlir::Value emitVector(const PointNode *node, PointScope &scope);
  /// Computes, in this scope, the parts of `roots` that stay the same over `innerDims`.
  void hoist(llvm::ArrayRef<const PointNode *> roots, uint64_t innerDims, PointScope &scope);
  /// With `stream` past the caches, where whole lines are written.
  void store(const PointStore &store, PointScope &scope, bool stream = false);
  /// Copies `count` neighbouring elements from the point on.
  void copyRun(const PointStore &store, int64_t count, PointScope &scope);

  /// The value of a form whose lanes, where it varies over them, start here.
  mlir::Value emitIndex(mlir::Location loc, const LinearForm &form, PointScope &scope);
  /// Elements `offset`, `offset + step`, … of a buffer, of storage type `element` in registers.
  mlir::Value loadAt(mlir::Location loc, mlir::Value buffer, mlir::Type element, mlir::Value offset,
                     int64_t step, const PointScope &scope);
  void storeAt(mlir::Location loc, mlir::Value value, mlir::Value buffer, mlir::Type element,
               mlir::Value offset, int64_t step, const PointScope &scope, bool stream = false);
  /// Fetches the line of element `offset`, to be read or, with `isWrite`, written.
  void prefetch(mlir::Location loc, mlir::Value buffer, mlir::Value offset, bool isWrite);

  /// vector<lanes x i1>: which lanes exist. Only for scopes with `valid`.
  mlir::Value laneMask(mlir::Location loc, const PointScope &scope);
  /// Makes the kernel return `status` where `condition` holds.
  void raise(mlir::Location loc, mlir::Value condition, TesseraStatus status,
             const PointScope &scope);
  mlir::Value splat(mlir::Location loc, mlir::Value scalar, int64_t lanes);
  mlir::Value index(mlir::Location loc, int64_t value);
  ScalarBuilder scalars(mlir::Location loc, const PointScope &scope);
  KernelFrame &getFrame() { return frame; }

private:
  mlir::Value emitConstant(const PointNode *node);
  mlir::Value emitIota(const PointNode *node, PointScope &scope);
  mlir::Value emitRandom(const PointNode *node, PointScope &scope);
  /// The node's form as i64, a lane each where it varies over them.
  mlir::Value emitPosition(ScalarBuilder &b, const PointNode *node, PointScope &scope);
  mlir::Value emitApply(const PointNode *node, PointScope &scope);
  mlir::Value emitLoad(const PointNode *node, PointScope &scope);
  mlir::Value emitSymbol(mlir::Location loc, unsigned symbol, PointScope &scope);
  mlir::Value computeSymbol(mlir::Location loc, const IndexSymbol &symbol, PointScope &scope);
  bool variesOverLanes(unsigned symbol, const PointScope &scope) const;
  /// The load of a node whose lanes lie where tensors say: an element at a time.
  mlir::Value emitGather(const PointNode *node, PointScope &scope);
  mlir::Value flatView(mlir::Value buffer, int64_t step);
  mlir::Value statusFlag();

  KernelFrame &frame;
  PointGraph &graph;
  llvm::DenseMap<std::pair<mlir::Value, int64_t>, mlir::Value> views;
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTEMITTER_H
