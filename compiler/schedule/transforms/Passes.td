//===- Passes.td - passes of the schedule level ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_SCHEDULE_PASSES
#define TESSERA_SCHEDULE_PASSES

include "mlir/Pass/PassBase.td"

def PlaceResults : Pass<"tessera-schedule-place", "::mlir::func::FuncOp"> {
  let summary = "plan the memory: a storage for every kernel result";
  let description = [{
    Results that are returned become outputs, what islands see lives on the heap, prepare kernels write
    memory that stays; the rest share an arena whose offsets are planned by lifetime. The arena's size
    is left on the function as `schedule.arena`, what no plan could do without as `schedule.live`.
  }];
}

#endif // TESSERA_SCHEDULE_PASSES
