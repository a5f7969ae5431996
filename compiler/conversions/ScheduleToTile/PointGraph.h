//===- PointGraph.h - a kernel's body as a function of the point -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes the tensor ops of a kernel's body and leaves a graph of scalar
// computations at one point of an iteration space: movement ops are gone, folded
// into the linear forms of the loads. One tensor value read at two places is two
// nodes.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTGRAPH_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTGRAPH_H

#include "compiler/conversions/ScheduleToTile/IterationSpace.h"
#include "compiler/conversions/ScheduleToTile/KernelEmitter.h"

#include "llvm/ADT/DenseSet.h"

#include <map>
#include <memory>
#include <optional>

namespace tessera {

/// A scalar computation at a point.
struct PointNode {
  enum Kind {
    Load,     ///< element `form` of `buffer`
    Iota,     ///< the progression `op` at position `form`
    Random,   ///< the bits `op` gives element `form`; the operand is the key
    Constant, ///< the number `constant`
    Apply,    ///< the elementwise `op` on the operands
    Reduce,   ///< `op` over the row of the point; the operand is its input within the row
    Given,    ///< bound by the kernel's class
  };
  Kind kind;
  mlir::Value value; ///< the tensor this is an element of
  mlir::Operation *op = nullptr;
  llvm::SmallVector<PointNode *, 3> operands;
  LinearForm form;
  mlir::Value buffer;       ///< Load
  mlir::Attribute constant; ///< Constant
  uint64_t varies = 0;      ///< bit d: depends on dimension d of the space

  bool variesOver(unsigned dim) const { return varies >> dim & 1; }
};

/// `node` goes to element `form` of output `output`.
struct PointStore {
  PointNode *node;
  unsigned output;
  LinearForm form;
};

/// A number known at run time that indices depend on.
struct IndexSymbol {
  enum Kind { FloorDiv, Mod, Gathered } kind;
  LinearForm operand;         ///< FloorDiv, Mod
  int64_t divisor = 1;        ///< FloorDiv, Mod
  PointNode *index = nullptr; ///< Gathered
  int64_t extent = 0;         ///< symbol is in [0, extent)
  uint64_t varies = 0;
};

/// Builds nodes on demand over one iteration space.
class PointGraph {
public:
  PointGraph(KernelFrame &frame, IterationSpace space);

  const IterationSpace &getSpace() const { return space; }
  /// The element of `value` at `index` (one form a dimension). Null when the space must change
  /// first
  /// (`change` says how) or when the value cannot be computed at a point (diagnosed).
  PointNode *visit(mlir::Value value, llvm::ArrayRef<LinearForm> index);
  std::optional<SpaceChange> change;

  /// Visits of `value` give a node the kernel's class will bind, at the point itself only.
  void give(mlir::Value value) { given.insert(value); }
  /// The position within the row, row-major over `reducedDims` of a reduction's operand.
  void setRow(LinearForm form) { row = std::move(form); }

  /// The forms of dimensions of a tensor of `shape` whose row-major element number is `linear`.
  mlir::FailureOr<llvm::SmallVector<LinearForm>> delinearize(const LinearForm &linear,
                                                             llvm::ArrayRef<int64_t> shape);
  LinearForm constant(int64_t value) const { return LinearForm(space.rank(), value); }
  /// Least and greatest value over the space.
  std::pair<int64_t, int64_t> rangeOf(const LinearForm &form) const;
  uint64_t variesOf(const LinearForm &form) const;

  llvm::ArrayRef<std::unique_ptr<PointNode>> getNodes() const { return nodes; }
  llvm::ArrayRef<IndexSymbol> getSymbols() const { return symbols; }
  llvm::ArrayRef<PointStore> getStores() const { return stores; }
  const LinearForm &getRow() const { return row; }

  /// Visits the element of `value` at `index`, to be stored at the same index of output `output`.
  mlir::LogicalResult addStore(mlir::Value value, unsigned output,
                               llvm::ArrayRef<LinearForm> index);
  /// Joins neighbouring dimensions wherever every form allows. No visits after this.
  void mergeDims();

private:
  PointNode *build(mlir::Value value, llvm::ArrayRef<LinearForm> index);
  PointNode *buildLoad(mlir::BlockArgument value, llvm::ArrayRef<LinearForm> index);
  PointNode *buildConstant(mlir::Value value, mlir::ElementsAttr attr,
                           llvm::ArrayRef<LinearForm> index);
  PointNode *buildApply(mlir::Operation *op, llvm::ArrayRef<LinearForm> index);
  PointNode *buildRandom(mlir::Operation *op, llvm::ArrayRef<LinearForm> index);
  PointNode *buildMovement(mlir::Operation *op, llvm::ArrayRef<LinearForm> index);
  PointNode *buildConcat(mlir::Operation *op, llvm::ArrayRef<LinearForm> index);
  PointNode *buildPad(mlir::Operation *op, llvm::ArrayRef<LinearForm> index);
  PointNode *buildReduce(mlir::Operation *op, llvm::ArrayRef<LinearForm> index);
  PointNode *buildGather(mlir::Operation *op, llvm::ArrayRef<LinearForm> index);

  PointNode *create(PointNode::Kind kind, mlir::Value value, mlir::Operation *op = nullptr);
  /// Computes `varies` from operands and form.
  void finish(PointNode *node);
  void computeVaries();
  PointNode *fail(mlir::Operation *op, const llvm::Twine &reason);
  /// Asks for the space to be cut so that `form` is below `bound` in one part and not in the other.
  PointNode *requestSplit(mlir::Operation *op, const LinearForm &form, int64_t bound);
  unsigned addSymbol(IndexSymbol symbol);
  void forEachForm(llvm::function_ref<void(LinearForm &)> visit);
  /// linear = stride·quotient + rest with 0 <= rest < stride; false: the space must change first.
  bool splitByStride(const LinearForm &linear, int64_t stride, LinearForm &quotient,
                     LinearForm &rest);

  KernelFrame &frame;
  IterationSpace space;
  LinearForm row;
  llvm::SmallVector<std::unique_ptr<PointNode>> nodes;
  llvm::SmallVector<IndexSymbol> symbols;
  llvm::SmallVector<PointStore> stores;
  llvm::DenseSet<mlir::Value> given;
  std::map<std::pair<void *, std::vector<int64_t>>, PointNode *> memo;
  std::map<std::vector<int64_t>, unsigned> symbolMemo;
};

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTGRAPH_H
