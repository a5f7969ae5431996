//===- PlaceResults.cpp - the memory plan ----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: kernels without placements. To: every kernel result has a storage.
//
//===----------------------------------------------------------------------===//

#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/schedule/transforms/ArenaPlan.h"
#include "compiler/schedule/transforms/Passes.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"

namespace tessera::schedule {
#define GEN_PASS_DEF_PLACERESULTS
#include "compiler/schedule/transforms/Passes.h.inc"
} // namespace tessera::schedule

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

namespace {

int64_t bytesOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return std::max(byteSize(tensor), byteWidth(tensor.getElementType()));
}

struct PlaceResults : tessera::schedule::impl::PlaceResultsBase<PlaceResults> {
  void runOnOperation() override;

private:
  /// Who reads the storage of `root`, through any view.
  static void collectReaders(Value root, SmallVectorImpl<Operation *> &readers) {
    for (Operation *user : root.getUsers()) {
      if (auto view = dyn_cast<ViewOp>(user))
        collectReaders(view.getResult(), readers);
      else
        readers.push_back(user);
    }
  }
};

} // namespace

void PlaceResults::runOnOperation() {
  func::FuncOp function = getOperation();
  Builder b(function.getContext());
  DenseMap<Operation *, int64_t> position;
  for (auto [index, op] : llvm::enumerate(function.getBody().front()))
    position[&op] = index;

  SmallVector<ArenaTensor> intervals;
  SmallVector<Value> inArena; // of the intervals
  DenseMap<Value, PlacementAttr> placements;
  int64_t outputs = 0;
  auto place = [&](Value value, PlacementKind kind, int64_t offset) {
    placements[value] = PlacementAttr::get(function.getContext(), kind, offset);
  };
  for (auto kernel : function.getOps<KernelOp>())
    for (Value result : kernel.getOutputs()) {
      SmallVector<Operation *> readers;
      collectReaders(result, readers);
      bool isReturned =
          llvm::any_of(readers, [](Operation *op) { return isa<func::ReturnOp>(op); });
      bool isSeen =
          llvm::any_of(readers, [](Operation *op) { return !isa<KernelOp, func::ReturnOp>(op); });
      if (isReturned) {
        place(result, PlacementKind::Output, outputs++);
      } else if (kernel.getPrepare()) {
        place(result, PlacementKind::Prepared, 0);
      } else if (isSeen) {
        place(result, PlacementKind::Heap, 0);
      } else {
        ArenaTensor interval{position[kernel], position[kernel], bytesOf(result.getType())};
        for (Operation *reader : readers)
          interval.last = std::max(interval.last, position[reader]);
        intervals.push_back(interval);
        inArena.push_back(result);
      }
    }
  int64_t arena = planArena(intervals);
  for (auto [value, interval] : llvm::zip_equal(inArena, intervals))
    place(value, PlacementKind::Arena, interval.offset);

  for (auto kernel : function.getOps<KernelOp>())
    kernel.setPlacementAttr(b.getArrayAttr(llvm::map_to_vector(
        kernel.getOutputs(), [&](Value v) -> Attribute { return placements[v]; })));
  function->setAttr("schedule.arena", b.getI64IntegerAttr(arena));
  function->setAttr("schedule.live", b.getI64IntegerAttr(largestLiveSet(intervals)));
}
