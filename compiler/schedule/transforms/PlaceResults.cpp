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
#include "compiler/schedule/transforms/Passes.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

namespace tessera::schedule {
#define GEN_PASS_DEF_PLACERESULTS
#include "compiler/schedule/transforms/Passes.h.inc"
} // namespace tessera::schedule

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

namespace {

/// Rows of different buffers should not start in the same cache set: a page of distance plus one
/// line.
constexpr int64_t alignment = 64;

/// One arena tensor: alive from the op that writes it to the last op that reads it.
struct Interval {
  Value value;
  int64_t first, last, bytes, offset = 0;
};

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
  static int64_t packArena(MutableArrayRef<Interval> intervals);
};

} // namespace

/// Largest first, each at the lowest offset free during its life.
int64_t PlaceResults::packArena(MutableArrayRef<Interval> intervals) {
  SmallVector<Interval *> order;
  for (Interval &interval : intervals)
    order.push_back(&interval);
  llvm::stable_sort(order, [](Interval *x, Interval *y) { return x->bytes > y->bytes; });
  SmallVector<Interval *> placed;
  int64_t total = 0;
  for (Interval *interval : order) {
    SmallVector<Interval *> rivals;
    for (Interval *other : placed)
      if (other->first <= interval->last && interval->first <= other->last)
        rivals.push_back(other);
    llvm::sort(rivals, [](Interval *x, Interval *y) { return x->offset < y->offset; });
    int64_t offset = 0;
    for (Interval *rival : rivals) {
      if (offset + interval->bytes <= rival->offset)
        break;
      offset = std::max<int64_t>(offset, llvm::alignTo(rival->offset + rival->bytes, alignment));
    }
    interval->offset = offset;
    total = std::max(total, offset + interval->bytes);
    placed.push_back(interval);
  }
  return llvm::alignTo(total, alignment);
}

void PlaceResults::runOnOperation() {
  func::FuncOp function = getOperation();
  Builder b(function.getContext());
  DenseMap<Operation *, int64_t> position;
  for (auto [index, op] : llvm::enumerate(function.getBody().front()))
    position[&op] = index;

  SmallVector<Interval> intervals;
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
        Interval interval{result, position[kernel], position[kernel], bytesOf(result.getType())};
        for (Operation *reader : readers)
          interval.last = std::max(interval.last, position[reader]);
        intervals.push_back(interval);
      }
    }
  int64_t arena = packArena(intervals);
  for (Interval &interval : intervals)
    place(interval.value, PlacementKind::Arena, interval.offset);

  for (auto kernel : function.getOps<KernelOp>())
    kernel.setPlacementAttr(b.getArrayAttr(llvm::map_to_vector(
        kernel.getOutputs(), [&](Value v) -> Attribute { return placements[v]; })));
  function->setAttr("schedule.arena", b.getI64IntegerAttr(arena));
}
