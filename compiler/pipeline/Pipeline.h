//===- Pipeline.h - the road from Graph IR to machine code -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_PIPELINE_PIPELINE_H
#define TESSERA_COMPILER_PIPELINE_PIPELINE_H

#include "compiler/conversions/GraphToSchedule/Passes.h"
#include "compiler/conversions/ScheduleToTile/Passes.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"

namespace tessera {

/// What the road depends on besides the program itself.
struct PipelineOptions {
  int64_t threads = 1;
  int64_t vectorBits = 512;
  bool anySizes = false;   ///< prefer code that differs in numbers only from size to size
  bool bf16Dot = false;    ///< the machine multiplies pairs of bf16, adding up in f32
  RecallPoint recall = {}; ///< where tuned points come from; empty: nowhere
};

/// Every dialect that occurs at some level.
void registerAllDialects(mlir::DialectRegistry &registry);
/// Every pass of the project, for tessera-opt.
void registerAllPasses();

/// Level 1: simplify and recognize; ends in the graph contract.
void buildGraphPipeline(mlir::OpPassManager &pm);
/// Level 1 to 2: group, choose, prepack, place; ends in the schedule contract. Its two halves:
/// kernels with their points, in which a tuner may still change one, and what follows from those.
void buildSchedulePipeline(mlir::OpPassManager &pm, const PipelineOptions &options);
void buildKernelPipeline(mlir::OpPassManager &pm, const PipelineOptions &options);
void buildPlacementPipeline(mlir::OpPassManager &pm);
/// Level 2 to 3: kernels become tile functions, except those `known`; ends in the tile contract.
void buildTilePipeline(mlir::OpPassManager &pm, KnownKernels known = {});
/// Level 3 to 4, on a module of one kernel that carries `target.machine`; ends in the target
/// contract.
void buildTargetPipeline(mlir::OpPassManager &pm);
/// Level 4 to the LLVM dialect, on a module of one kernel.
void buildLLVMPipeline(mlir::OpPassManager &pm);

} // namespace tessera

#endif // TESSERA_COMPILER_PIPELINE_PIPELINE_H
