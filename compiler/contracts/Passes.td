//===- Passes.td - a verifier closing each level --------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONTRACTS_PASSES
#define TESSERA_CONTRACTS_PASSES

include "mlir/Pass/PassBase.td"

def VerifyGraph : Pass<"tessera-verify-graph", "::mlir::func::FuncOp"> {
  let summary = "the graph level: graph ops on ranked tensors of legal types, with locations";
}

def VerifySchedule : Pass<"tessera-verify-schedule", "::mlir::func::FuncOp"> {
  let summary = "the schedule level: kernels with points and placements, views, islands, sources";
}

def VerifyTile : Pass<"tessera-verify-tile", "::mlir::func::FuncOp"> {
  let summary = "the tile level: kernels on strided buffers, one- and two-dimensional vectors";
  let description = [{
    Holds for kernel functions, which end in `(…, memref<?xi8>, index, index) -> i32`; the host function beside
    them is still of the schedule level.
  }];
}

def VerifyTarget : Pass<"tessera-verify-target", "::mlir::ModuleOp"> {
  let summary = "the target level: kernels on flat buffers and the machine's vectors";
}

#endif // TESSERA_CONTRACTS_PASSES
