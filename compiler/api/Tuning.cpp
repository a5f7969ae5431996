//===- Tuning.cpp - what a tuner sees of a program --------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels are given out as text, each in a module of its own: they then share no
// context, so that several are compiled at once, or kept for later.
//
//===----------------------------------------------------------------------===//

#include "compiler/api/CompiledProgramImpl.h"
#include "compiler/api/DTypes.h"
#include "compiler/api/ProgramLoader.h"
#include "compiler/conversions/GraphToSchedule/Prepared.h"
#include "compiler/conversions/ScheduleToTile/TileKernel.h"
#include "compiler/schedule/ir/KernelNotes.h"
#include "compiler/tuning/CostModel.h"
#include "compiler/tuning/Isolate.h"
#include "compiler/tuning/Points.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace tessera;
using schedule::KernelOp;

template <typename T> static std::string print(T value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

std::string CompiledProgram::Impl::tuningKey(KernelOp kernel) const {
  std::string threads = std::to_string(pipeline.threads);
  return jit::ObjectCache::key({"tuning", machine.key(), buildId(), threads,
                                pipeline.anySizes ? "any sizes" : "",
                                tuningIdentity(kernel, pipeline.anySizes)});
}

/// What the kernel reads as it reads it, without the gaps that rows in memory may have: the first
/// tensor that calls give, the first weights, and what they are made of.
static std::string shapeOf(KernelOp kernel) {
  RankedTensorType given, weights;
  for (Value input : kernel.getInputs()) {
    auto type = cast<RankedTensorType>(input.getType());
    if (!isPrepared(input))
      given = given ? given : type;
    else if (type.getRank() > 1)
      weights = weights ? weights : type;
  }
  std::string text;
  llvm::raw_string_ostream os(text);
  for (RankedTensorType type : {given, weights}) {
    if (!type)
      continue;
    os << (text.empty() ? "" : " · ");
    llvm::interleave(type.getShape(), os, "x");
    os << (type.getRank() == 0 ? "scalar" : "");
  }
  if (RankedTensorType first = given ? given : weights)
    os << ' ' << runtime::nameOf(*dtypeOf(first.getElementType()));
  return text;
}

/// The kernel as it is before its tuned point takes its place.
static TunableKernel describe(const CompiledProgram::Impl &impl, KernelOp kernel) {
  TunableKernel result;
  result.present = print(kernel.getPointAttr());
  Attribute standard = kernel->getDiscardableAttr(schedule::kDefaultPointNote);
  if (!standard)
    standard = kernel.getPointAttr();
  kernel.setPointAttr(standard);
  result.standard = print(standard);
  result.key = impl.tuningKey(kernel);
  result.kind = stringifyKernelKind(kernel.getKind()).str();
  result.shape = shapeOf(kernel);
  result.space = spaceOf(kernel);
  result.parameters = parametersOf(standard);
  result.origins = sourcesOf(kernel.getLoc());
  OwningOpRef<ModuleOp> alone = isolateKernel(kernel);
  result.module = print(*alone);
  KernelCost cost = kernelCost(kernel);
  result.flops = cost.flops;
  result.bytes = cost.bytes;
  return result;
}

Result<std::vector<TunableKernel>> tessera::tunableKernels(const CompiledProgram &program) {
  using Kernels = std::vector<TunableKernel>;
  const CompiledProgram::Impl &impl = *program.impl;
  std::lock_guard<std::mutex> lock(impl.graph->mutex);
  MLIRContext *context = &impl.graph->context;
  DiagnosticCollector diagnostics(context);
  OwningOpRef<ModuleOp> module =
      const_cast<OwningOpRef<ModuleOp> &>(program.impl->simplified)->clone();
  PassManager passes(context);
  buildKernelPipeline(passes, impl.pipeline);
  if (failed(passes.run(*module)))
    return Result<Kernels>::error(diagnostics.take("the graph could not be scheduled"));
  Kernels result;
  std::map<std::string, size_t> position;
  for (auto kernel : module->lookupSymbol<func::FuncOp>("main").getOps<KernelOp>()) {
    if (kernel.getPrepare() || !kernel.getSpaceAttr())
      continue;
    TunableKernel described = describe(impl, kernel);
    auto [it, isNew] = position.try_emplace(described.key, result.size());
    if (isNew)
      result.push_back(std::move(described));
    else
      for (SourceLocation &origin : described.origins)
        result[it->second].origins.push_back(std::move(origin));
    ++result[it->second].launches;
  }
  return result;
}

Result<GraphModule> tessera::parseKernel(const std::string &text) {
  auto impl = std::make_shared<GraphModule::Impl>();
  prepareContext(impl->context);
  DiagnosticCollector diagnostics(&impl->context);
  impl->module = parseSourceString<ModuleOp>(text, ParserConfig(&impl->context), "kernel");
  if (!impl->module)
    return Result<GraphModule>::error(diagnostics.take("the text is no kernel"));
  GraphModule module(impl);
  if (!kernelOf(module))
    return Result<GraphModule>::error("the text has no function @main of one kernel with a point");
  return module;
}

KernelOp tessera::kernelOf(const GraphModule &module) {
  auto main = module.getImpl()->module->lookupSymbol<func::FuncOp>("main");
  if (!main || main.isExternal())
    return {};
  auto kernels = llvm::to_vector(main.getOps<KernelOp>());
  return kernels.size() == 1 && kernels.front().getPointAttr() ? kernels.front() : KernelOp();
}

Result<std::vector<double>> tessera::predictPoints(const std::string &module,
                                                   const std::vector<std::string> &points,
                                                   int threads) {
  using Seconds = std::vector<double>;
  auto machine = jit::machineFor();
  if (!machine)
    return Result<Seconds>::error(llvm::toString(machine.takeError()));
  Result<GraphModule> parsed = parseKernel(module);
  if (!parsed)
    return Result<Seconds>::error(parsed.message());
  KernelOp kernel = kernelOf(*parsed);
  schedule::MachineModel model;
  model.threads = std::max(1, threads);
  model.vectorBits = machine->vectorBits;
  Seconds seconds;
  for (const std::string &text : points) {
    std::string why;
    Attribute point = parsePoint(kernel.getContext(), text, why);
    bool legal = point && !whyIllegal(kernel, point);
    seconds.push_back(legal ? predictSeconds(kernel, point, model).value_or(0.0) : -1.0);
  }
  return seconds;
}

Result<bool> tessera::checkPoint(const std::string &text) {
  GraphModule::Impl impl;
  prepareContext(impl.context);
  std::string why;
  return parsePoint(&impl.context, text, why) ? Result<bool>(true) : Result<bool>::error(why);
}
