//===- Passes.td - passes of the schedule level ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_SCHEDULE_PASSES
#define TESSERA_SCHEDULE_PASSES

include "mlir/Pass/PassBase.td"

def PadRows : Pass<"tessera-schedule-pad", "::mlir::func::FuncOp"> {
  let summary = "keep the rows products touch out of one cache set";
  let description = [{
    Results that only kernels read get a cache line more a row, where rows lie a multiple of 4 KB apart and a
    product stores or reads them; their readers see them through views.

    ```mlir
    %h = schedule.kernel contraction(%x, %w) … -> tensor<128x1024xf32> { … }
    %y = schedule.kernel contraction(%h, %v) …
    ```
    becomes
    ```mlir
    %h = schedule.kernel contraction(%x, %w) … -> tensor<128x1040xf32> { … }
    %r = schedule.view %h offset 0 strides [1040, 1] : tensor<128x1040xf32> to tensor<128x1024xf32>
    %y = schedule.kernel contraction(%r, %v) …
    ```
  }];
  let dependentDialects = ["::tessera::schedule::ScheduleDialect"];
}

def PlaceResults : Pass<"tessera-schedule-place", "::mlir::func::FuncOp"> {
  let summary = "plan the memory: a storage for every kernel result";
  let description = [{
    Results that are returned become outputs, what islands see lives on the heap, prepare kernels write
    memory that stays; the rest share an arena whose offsets are planned by lifetime. The arena's size
    is left on the function as `schedule.arena`, what no plan could do without as `schedule.live`.
  }];
}

#endif // TESSERA_SCHEDULE_PASSES
