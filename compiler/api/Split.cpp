//===- Split.cpp - a graph with gradients in two ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/CompiledProgramImpl.h"
#include "compiler/api/GraphModuleImpl.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/support/Sizes.h"

#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MemoryBufferRef.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace tessera;

using SplitResult = Result<SplitGraph>;

/// `function` as @main of a module of its own, with a context of its own.
static std::shared_ptr<GraphModule::Impl> moduleOf(func::FuncOp function) {
  MLIRContext *context = function.getContext();
  OwningOpRef<ModuleOp> alone = ModuleOp::create(function.getLoc());
  auto main = cast<func::FuncOp>(function->clone());
  main.setSymName("main");
  for (unsigned i = 0; i < main.getNumArguments(); ++i) {
    main.removeArgAttr(i, graph::kJointArgument);
    main.removeArgAttr(i, graph::kJointSaved);
    if (!main.getArgAttr(i, "graph.name"))
      main.setArgAttr(i, "graph.name", StringAttr::get(context, "value" + std::to_string(i)));
  }
  alone->push_back(main);
  std::string bytes;
  llvm::raw_string_ostream out(bytes);
  if (failed(writeBytecodeToFile(*alone, out)))
    return nullptr;
  auto impl = std::make_shared<GraphModule::Impl>();
  Block block;
  if (failed(readBytecodeFile(llvm::MemoryBufferRef(bytes, "graph"), &block,
                              ParserConfig(&impl->context))))
    return nullptr;
  auto module = cast<ModuleOp>(block.front());
  module->remove();
  impl->module = module;
  return impl;
}

SplitResult tessera::splitJoint(const GraphModule &joint, int64_t results, int64_t tangents,
                                const std::string &rematerialize) {
  std::optional<graph::Rematerialize> mode =
      llvm::StringSwitch<std::optional<graph::Rematerialize>>(rematerialize)
          .Case("auto", graph::Rematerialize::Auto)
          .Case("none", graph::Rematerialize::None)
          .Case("full", graph::Rematerialize::Full)
          .Default(std::nullopt);
  if (!mode)
    return SplitResult::error("rematerialize must be \"auto\", \"none\" or \"full\", not \"" +
                              rematerialize + "\"");
  std::lock_guard<std::mutex> lock(joint.getImpl()->mutex);
  MLIRContext &context = joint.getImpl()->context;
  prepareContext(context);
  DiagnosticCollector diagnostics(&context);
  OwningOpRef<ModuleOp> module = joint.getImpl()->module->clone();
  module->lookupSymbol<func::FuncOp>("main")->setAttr(
      graph::kJoint, DenseI64ArrayAttr::get(&context, {results, tangents}));
  PassManager passes(&context);
  buildGraphPipeline(passes); // what ops belong together is seen best before they are taken apart
  passes.addPass(graph::createGraphSplitJoint({*mode}));
  if (failed(passes.run(*module)))
    return SplitResult::error(diagnostics.take("the graph could not be taken apart"));

  auto forward = module->lookupSymbol<func::FuncOp>("forward");
  auto backward = module->lookupSymbol<func::FuncOp>("backward");
  std::shared_ptr<GraphModule::Impl> first = moduleOf(forward), second = moduleOf(backward);
  if (!first || !second)
    return SplitResult::error(diagnostics.take("the graph could not be taken apart"));
  SplitGraph split{GraphModule(std::move(first)), GraphModule(std::move(second)), {}, 0};
  for (unsigned i = 0; i < backward.getNumArguments(); ++i) {
    auto saved = backward.getArgAttrOfType<IntegerAttr>(i, graph::kJointSaved);
    auto given = backward.getArgAttrOfType<IntegerAttr>(i, graph::kJointArgument);
    split.arguments.push_back({bool(saved), (saved ? saved : given).getInt()});
    if (saved)
      split.savedBytes += byteSize(cast<ShapedType>(backward.getArgument(i).getType()));
  }
  return split;
}
