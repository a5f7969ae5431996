//===- TileHarness.cpp - run a kernel written in Tile IR ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TileHarness.h"

#include "compiler/conversions/TargetToLLVM/Passes.h"
#include "compiler/conversions/TileToTarget/Passes.h"
#include "compiler/target/ir/TargetOps.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <gtest/gtest.h>

#include <chrono>

using namespace mlir;
using namespace tessera;
using namespace tessera::test;

static double since(std::chrono::steady_clock::time_point &start) {
  auto now = std::chrono::steady_clock::now();
  double ms = std::chrono::duration<double, std::milli>(now - start).count();
  start = now;
  return ms;
}

static std::unique_ptr<MLIRContext> makeContext() {
  DialectRegistry registry;
  registry
      .insert<arith::ArithDialect, func::FuncDialect, math::MathDialect, memref::MemRefDialect,
              scf::SCFDialect, vector::VectorDialect, tile::TileDialect, target::TargetDialect>();
  jit::registerTranslations(registry);
  return std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
}

template <typename T> static bool good(llvm::Expected<T> &value) {
  if (value)
    return true;
  ADD_FAILURE() << llvm::toString(value.takeError());
  return false;
}

TileKernel tessera::test::compileTile(const std::string &text, const std::string &cpu) {
  TileKernel kernel;
  auto context = makeContext();
  auto machine = jit::machineFor(cpu);
  if (!good(machine))
    return kernel;
  auto module = parseSourceString<ModuleOp>(text, ParserConfig(context.get()));
  if (!module) {
    ADD_FAILURE() << "the kernel does not parse";
    return kernel;
  }
  module.get()->setAttr(target::MachineAttr::getModuleAttrName(),
                        machine->attribute(context.get()));
  auto start = std::chrono::steady_clock::now();
  PassManager passes(context.get());
  passes.addPass(createTileToTarget());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  passes.addPass(createTargetToLLVM());
  if (failed(passes.run(*module))) {
    ADD_FAILURE() << "the kernel does not lower";
    return kernel;
  }
  kernel.lowerMs = since(start);
  auto object = jit::compileKernelToObject(*module);
  if (!good(object))
    return kernel;
  kernel.object = std::move(*object);
  kernel.codegenMs = since(start);
  auto image = jit::CodeImage::create();
  if (!good(image))
    return kernel;
  since(start);
  auto entry = (*image)->add(kernel.object, "k");
  if (!good(entry))
    return kernel;
  kernel.loadMs = since(start);
  kernel.image = std::move(*image);
  kernel.entry = *entry;
  return kernel;
}

std::string TileKernel::assembly() const {
  auto text = jit::disassemble(object);
  return good(text) ? *text : "";
}

std::vector<std::string> tessera::test::runnableCpus() {
  std::vector<std::string> result;
  for (std::string cpu : {"avx512", "avx2"}) {
    auto machine = jit::machineFor(cpu);
    if (machine)
      result.push_back(cpu);
    else
      llvm::consumeError(machine.takeError());
  }
  return result;
}

std::string tessera::test::kernelText(const std::string &arguments, const std::string &body) {
  return "func.func @k(" + arguments +
         ", %scratch: memref<?xi8>, %begin: index, %end: index) -> i32 {\n" +
         "  %c0 = arith.constant 0 : index\n  %c1 = arith.constant 1 : index\n" + body +
         "\n  %ok = arith.constant 0 : i32\n  return %ok : i32\n}\n";
}
