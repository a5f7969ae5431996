//===- Pipeline.cpp - the road from Graph IR to machine code ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   Graph     what to compute, on tensors           buildGraphPipeline
//   Schedule  kernels, layouts, points, memory      buildSchedulePipeline
//   Tile      one function a kernel: loops, buffers buildTilePipeline
//   Target    machine vectors; the host program     buildTargetPipeline
//   LLVM      what the code generator takes         buildLLVMPipeline
//
// Each level ends in its contract, so a pass that leaves something behind is
// named by the verifier and not by a crash three levels down.
//
//===----------------------------------------------------------------------===//

#include "compiler/pipeline/Pipeline.h"

#include "compiler/contracts/Passes.h"
#include "compiler/conversions/TargetToLLVM/Passes.h"
#include "compiler/conversions/TileToTarget/Passes.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/schedule/transforms/Passes.h"

#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace tessera;

void tessera::buildGraphPipeline(OpPassManager &pm) {
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(graph::createGraphSimplify());
  function.addPass(graph::createGraphRecognize());
  function.addPass(graph::createGraphChannelsLast());
  function.addPass(graph::createGraphSinkPermutes());
  function.addPass(graph::createGraphSimplify()); // flattens the products the permutes have left
  function.addPass(graph::createGraphSinkReshapes());
  function.addPass(graph::createGraphReducePrecision());
  function.addPass(graph::createGraphSimplify()); // products below movement, casts that meet
  function.addPass(createCSEPass());
  function.addPass(createVerifyGraph());
}

void tessera::buildSchedulePipeline(OpPassManager &pm, const PipelineOptions &options) {
  buildKernelPipeline(pm, options);
  buildPlacementPipeline(pm);
}

void tessera::buildKernelPipeline(OpPassManager &pm, const PipelineOptions &options) {
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(createClaimConvolutions(
      {options.vectorBits, options.threads, options.anySizes, options.bf16Dot}));
  function.addPass(graph::createGraphExpandConvolutions());
  function.addPass(graph::createGraphSinkReshapes()); // epilogues take the products' shape
  function.addPass(createConvertGraphToSchedule());
  function.addPass(schedule::createPadRows());
  function.addPass(createChoosePointsPass(
      {options.vectorBits, options.threads, options.anySizes, options.bf16Dot}, options.recall));
}

void tessera::buildPlacementPipeline(OpPassManager &pm) {
  OpPassManager &function = pm.nest<func::FuncOp>();
  function.addPass(createPrepackWeights());
  function.addPass(createCSEPass());
  function.addPass(schedule::createPlaceResults());
  function.addPass(createVerifySchedule());
}

void tessera::buildTilePipeline(OpPassManager &pm, KnownKernels known) {
  pm.addPass(createConvertScheduleToTilePass(std::move(known)));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<func::FuncOp>(createVerifyTile());
}

void tessera::buildTargetPipeline(OpPassManager &pm) {
  pm.addPass(createTileToTarget());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createVerifyTarget());
}

void tessera::buildLLVMPipeline(OpPassManager &pm) {
  pm.addPass(createTargetToLLVM());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}
