//===- Grouping.h - which ops run as one kernel ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_GROUPING_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_GROUPING_H

#include "compiler/conversions/GraphToSchedule/Layout.h"
#include "compiler/schedule/ir/ScheduleOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

#include <memory>

namespace tessera {

/// Ops that become one kernel.
struct Group {
  schedule::KernelKind kind;
  /// In program order.
  llvm::SmallVector<mlir::Operation *> ops;
  /// The iteration space: the shape every fused elementwise op must have.
  llvm::SmallVector<int64_t> domain;
  /// Rows only: the reduced dimensions of the domain, sorted.
  llvm::SmallVector<int64_t> reduced;
  /// Groups whose results this one reads, also through views and islands.
  llvm::SmallSetVector<Group *, 4> producers;
  /// Groups that compute what this one reads and did not take it in, each with the reason.
  struct Apart {
    Group *producer;
    llvm::StringRef reason;
  };
  llvm::SmallVector<Apart, 2> apart;
  /// The group that took all ops of this one.
  Group *mergedInto = nullptr;
  /// A copy of a value whose layout no view can express.
  mlir::Value copied;
  /// The group is one graph.island and takes nothing in.
  bool isIsland = false;
  int order = 0;
};

/// Assigns every computing op of a function to a group, greedily from the top: an elementwise op
/// joins the last producer whose domain it has; a reduction joins an elementwise or a rows group
/// over the same domain.
class Grouping {
public:
  explicit Grouping(mlir::func::FuncOp function);

  /// In an order in which producers come first.
  llvm::SmallVector<Group *> sorted() const;
  Group *groupOf(mlir::Operation *op) const { return byOp.lookup(op); }
  /// The group that makes the contiguous copy behind the movement op `op`, where it needs one.
  Group *copyOf(mlir::Operation *op) const { return copies.lookup(op); }
  /// Where `value` lies: the layout of its root's storage. Roots are arguments, constants,
  /// parameters, results of islands and of grouped ops, and reshapes that had to be copied.
  const Layout &layoutOf(mlir::Value value);

private:
  void visit(mlir::Operation *op);
  void visitMovement(mlir::Operation *op);
  static Layout attentionResultLayout(mlir::Value result);
  void layOutForReader(mlir::Operation *op);
  Group *create(schedule::KernelKind kind, mlir::Operation *op, llvm::ArrayRef<int64_t> domain);
  void add(Group *group, mlir::Operation *op);
  Group *findHost(mlir::Operation *op, llvm::ArrayRef<int64_t> domain,
                  llvm::ArrayRef<int64_t> reduced);
  void noteApart(Group *group, mlir::Operation *op);
  void noteMoved(mlir::Value operand, llvm::SmallVectorImpl<Group::Apart> &apart);
  bool reaches(Group *from, Group *to) const;
  bool canJoin(mlir::Operation *op, Group *host, Group *merged = nullptr);
  bool needsStored(Group *user, Group *maker);
  llvm::StringRef whyNotMerged(Group *host, Group *other);
  void mergeOthers(Group *host, mlir::Operation *op);
  /// The groups a use of `value` depends on.
  void collectProducers(mlir::Value value, llvm::SmallSetVector<Group *, 4> &producers);

  llvm::SmallVector<std::unique_ptr<Group>> groups;
  llvm::DenseMap<mlir::Operation *, Group *> byOp, copies;
  /// What the last findHost() had against the producers of its operation.
  llvm::SmallVector<Group::Apart, 2> refused;
  Group *lastIsland = nullptr;
  llvm::DenseMap<mlir::Value, Layout> layouts;
};

/// True for what is cloned into every kernel that uses it: splat constants and iota.
bool isRematerialized(mlir::Operation *op);

/// True for what a function of the runtime's library computes: nothing joins its kernel, and it
/// reads memory alone.
bool isLibraryCall(mlir::Operation *op);

/// The dimensions a row op reduces, sorted, and the domain it does so over; false for other ops.
bool rowSpace(mlir::Operation *op, llvm::SmallVector<int64_t> &domain,
              llvm::SmallVector<int64_t> &reduced);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_GROUPING_H
