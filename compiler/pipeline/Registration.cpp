//===- Registration.cpp - every dialect and pass, by name ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/contracts/Passes.h"
#include "compiler/conversions/GraphToSchedule/Passes.h"
#include "compiler/conversions/TargetToLLVM/Passes.h"
#include "compiler/conversions/TileToTarget/Passes.h"
#include "compiler/graph/ir/GraphDialect.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/pipeline/Pipeline.h"
#include "compiler/schedule/transforms/Passes.h"
#include "compiler/target/ir/TargetOps.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;

void tessera::registerAllDialects(DialectRegistry &registry) {
  registry.insert<graph::GraphDialect, schedule::ScheduleDialect, tile::TileDialect,
                  target::TargetDialect>();
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, LLVM::LLVMDialect,
                  math::MathDialect, memref::MemRefDialect, scf::SCFDialect, ub::UBDialect,
                  vector::VectorDialect, x86vector::X86VectorDialect>();
}

void tessera::registerAllPasses() {
  graph::registerGraphPasses();
  registerGraphToSchedulePasses();
  schedule::registerSchedulePasses();
  registerScheduleToTilePasses();
  registerTileToTargetPasses();
  registerTargetToLLVMPasses();
  registerContractsPasses();
}
