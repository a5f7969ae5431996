//===- Passes.td - Schedule IR to Tile IR ---------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_PASSES
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_PASSES

include "mlir/Pass/PassBase.td"

def ConvertScheduleToTile : Pass<"tessera-schedule-to-tile", "::mlir::ModuleOp"> {
  let summary = "one tile function a distinct kernel, launches in their place";
  let description = [{
    Equal kernels (same body, layouts and point) share one function. Each `schedule.kernel` becomes a
    `schedule.launch` of its function with the parallel range, scratch and predicted cost.
  }];
  let dependentDialects = ["::tessera::schedule::ScheduleDialect", "::tessera::tile::TileDialect",
                           "::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::func::FuncDialect", "::mlir::ub::UBDialect"];
}

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_PASSES
