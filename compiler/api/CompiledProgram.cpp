//===- CompiledProgram.cpp - the text of every level -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/CompiledProgramImpl.h"

#include "compiler/conversions/TileToTarget/HostProgram.h"
#include "compiler/target/ir/TargetOps.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace tessera;

using Text = Result<std::string>;

CompiledProgram::Impl::~Impl() {
  // Modules go before the context that owns their types.
  std::lock_guard<std::mutex> lock(graph->mutex);
  simplified = nullptr;
  schedule = nullptr;
}

OwningOpRef<ModuleOp> CompiledProgram::Impl::kernelModule(func::FuncOp function) const {
  OwningOpRef<ModuleOp> module = ModuleOp::create(function.getLoc());
  (*module)->setAttr(target::MachineAttr::getModuleAttrName(),
                     machine.attribute(function.getContext()));
  auto clone = function.clone();
  clone->removeAttr("tile.key");
  module->getBody()->push_back(clone);
  return module;
}

llvm::Error CompiledProgram::Impl::toTarget(ModuleOp module, PassManager &passes) {
  if (failed(passes.run(module)))
    return llvm::createStringError("could not be lowered to Target IR");
  return llvm::Error::success();
}

llvm::Expected<std::string> CompiledProgram::Impl::toObject(ModuleOp module) const {
  PassManager pm(module.getContext());
  buildLLVMPipeline(pm);
  if (failed(pm.run(module)))
    return llvm::createStringError("could not be lowered to machine code");
  return jit::compileKernelToObject(module);
}

static std::string print(ModuleOp module, bool locations) {
  std::string text;
  llvm::raw_string_ostream os(text);
  OpPrintingFlags flags;
  if (locations)
    flags.enableDebugInfo(true, /*prettyForm=*/true);
  module.print(os, flags);
  return text;
}

/// Walks the tile level again, without the cache; runs `use` on it.
template <typename Use> static Text withTile(const CompiledProgram::Impl &impl, Use use) {
  std::lock_guard<std::mutex> lock(impl.graph->mutex);
  DiagnosticCollector diagnostics(&impl.graph->context);
  OwningOpRef<ModuleOp> schedule = const_cast<OwningOpRef<ModuleOp> &>(impl.schedule)->clone();
  PassManager pm(&impl.graph->context);
  buildTilePipeline(pm);
  if (failed(pm.run(*schedule)))
    return Text::error(diagnostics.take("the tile level could not be printed"));
  return use(*schedule, diagnostics);
}

/// The Target IR of a kernel: what its code was made from.
static OwningOpRef<ModuleOp> targetOf(const CompiledProgram::Impl &impl, func::FuncOp function) {
  auto shared = impl.shared.find(function.getName().str());
  if (shared != impl.shared.end())
    return parseSourceString<ModuleOp>(shared->second.code->target, function.getContext());
  OwningOpRef<ModuleOp> kernel = impl.kernelModule(function);
  PassManager passes(kernel->getContext());
  buildTargetPipeline(passes);
  if (llvm::Error error = CompiledProgram::Impl::toTarget(*kernel, passes)) {
    llvm::consumeError(std::move(error)); // diagnosed
    return nullptr;
  }
  return kernel;
}

/// The kernels of `module` in Target IR, one after the other.
template <typename Show>
static bool eachKernel(const CompiledProgram::Impl &impl, ModuleOp module, Show show) {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!function->hasAttr("tile.key"))
      continue;
    OwningOpRef<ModuleOp> kernel = targetOf(impl, function);
    if (!kernel || !show(*kernel, function.getName()))
      return false;
  }
  return true;
}

/// Whose code a kernel runs and with which numbers, where the code serves several sizes.
static std::string describeShared(const CompiledProgram::Impl &impl, StringRef name) {
  auto shared = impl.shared.find(name.str());
  if (shared == impl.shared.end())
    return "";
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "// " << name << ", symbols [";
  llvm::interleaveComma(shared->second.symbols, os);
  os << "]\n";
  return text;
}

Text CompiledProgram::Impl::tileText(bool locations) const {
  return withTile(*this, [&](ModuleOp module, DiagnosticCollector &) {
    for (auto function : module.getOps<func::FuncOp>())
      function->removeAttr("tile.key");
    return Text(print(module, locations));
  });
}

Text CompiledProgram::Impl::targetText(bool locations) const {
  return withTile(*this, [&](ModuleOp module, DiagnosticCollector &diagnostics) {
    std::string text;
    bool ok = eachKernel(*this, module, [&](ModuleOp kernel, StringRef name) {
      return text += describeShared(*this, name) + print(kernel, locations), true;
    });
    auto main = module.lookupSymbol<func::FuncOp>("main");
    FailureOr<target::ProgramOp> program = buildHostProgram(main);
    if (!ok || failed(program))
      return Text::error(diagnostics.take("the target level could not be printed"));
    OwningOpRef<ModuleOp> host = ModuleOp::create(main.getLoc());
    host->getBody()->push_back(program->clone());
    return Text(text + print(*host, locations));
  });
}

Text CompiledProgram::Impl::llvmText() const {
  return withTile(*this, [&](ModuleOp module, DiagnosticCollector &diagnostics) {
    std::string text, error;
    bool ok = eachKernel(*this, module, [&](ModuleOp kernel, StringRef name) {
      PassManager pm(kernel.getContext());
      buildLLVMPipeline(pm);
      if (failed(pm.run(kernel)))
        return false;
      auto printed = jit::printLLVM(kernel);
      if (!printed)
        return error = llvm::toString(printed.takeError()), false;
      return text += describeShared(*this, name) + *printed, true;
    });
    return ok ? Text(text)
              : Text::error(diagnostics.take(error.empty() ? "lowering failed" : error));
  });
}

Text CompiledProgram::Impl::asmText() const {
  std::string text;
  for (const auto &[name, object] : objects) {
    auto listing = jit::disassemble(object);
    if (!listing)
      return Text::error(llvm::toString(listing.takeError()));
    text += *listing;
  }
  return text;
}

Text CompiledProgram::ir(const std::string &level, bool withLocations) const {
  auto locked = [&](const OwningOpRef<ModuleOp> &module) {
    std::lock_guard<std::mutex> lock(impl->graph->mutex);
    return Text(print(const_cast<OwningOpRef<ModuleOp> &>(module).get(), withLocations));
  };
  if (level == "graph")
    return locked(impl->simplified);
  if (level == "schedule")
    return locked(impl->schedule);
  if (level == "tile")
    return impl->tileText(withLocations);
  if (level == "target")
    return impl->targetText(withLocations);
  if (level == "llvm")
    return impl->llvmText();
  if (level == "asm")
    return impl->asmText();
  return Text::error("[ir] level is '" + level +
                     "'; expected graph, schedule, tile, target, llvm or asm");
}
