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

#endif // TESSERA_CONTRACTS_PASSES
