//===- Codegen.cpp - one kernel module to an object file ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From the LLVM dialect to LLVM IR to machine code. Each kernel has an LLVM
// context of its own, so kernels compile on as many threads as there are.
//
//===----------------------------------------------------------------------===//

#include "compiler/jit/Jit.h"
#include "compiler/target/ir/TargetOps.h"

#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

#include <mutex>

using namespace tessera;
using namespace tessera::jit;

void tessera::jit::registerTranslations(mlir::DialectRegistry &registry) {
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
}

//===----------------------------------------------------------------------===//
// Target machines
//===----------------------------------------------------------------------===//

namespace {

/// Target machines are dear to make and serve one thread at a time: they are made once and lent
/// out.
class TargetMachines {
public:
  using Owner = std::unique_ptr<llvm::TargetMachine>;

  llvm::Expected<Owner> take(target::MachineAttr machine) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      auto &idle = pool[keyOf(machine)];
      if (!idle.empty()) {
        Owner owner = std::move(idle.back());
        idle.pop_back();
        return std::move(owner);
      }
    }
    return make(machine);
  }

  void giveBack(target::MachineAttr machine, Owner owner) {
    std::lock_guard<std::mutex> lock(mutex);
    pool[keyOf(machine)].push_back(std::move(owner));
  }

private:
  static std::string keyOf(target::MachineAttr machine) {
    return (machine.getCpu() + ";" + machine.getFeatures()).str();
  }

  static llvm::Expected<Owner> make(target::MachineAttr machine) {
    llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
    std::string error;
    const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
    if (!target)
      return llvm::createStringError("[jit] " + error);
    llvm::TargetOptions options;
    options.MCOptions.AsmVerbose = false;
    Owner owner(target->createTargetMachine(triple, machine.getCpu(), machine.getFeatures(),
                                            options, llvm::Reloc::PIC_, llvm::CodeModel::Small,
                                            llvm::CodeGenOptLevel::Default,
                                            /*JIT=*/true));
    if (!owner)
      return llvm::createStringError("[jit] no target machine for " + machine.getCpu());
    return std::move(owner);
  }

  std::mutex mutex;
  std::map<std::string, std::vector<Owner>> pool;
};

TargetMachines &targetMachines() {
  static TargetMachines *machines = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return new TargetMachines; // never destroyed: threads may still compile at exit
  }();
  return *machines;
}

/// A kernel in LLVM IR with the machine it is for.
struct Kernel {
  target::MachineAttr machine;
  std::unique_ptr<llvm::LLVMContext> context;
  std::unique_ptr<llvm::Module> module;
  TargetMachines::Owner targetMachine;

  ~Kernel() {
    if (targetMachine)
      targetMachines().giveBack(machine, std::move(targetMachine));
  }
};

//===----------------------------------------------------------------------===//
// From the LLVM dialect to optimised LLVM IR
//===----------------------------------------------------------------------===//

/// Everything is scheduled and unrolled already; what is left is to fold addresses and constants,
/// to merge what is computed twice and to move what does not change out of loops.
void optimize(Kernel &kernel) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(kernel.targetMachine.get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);

  llvm::FunctionPassManager passes;
  passes.addPass(llvm::EarlyCSEPass());
  passes.addPass(llvm::InstCombinePass());
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()),
                                                       /*UseMemorySSA=*/true));
  passes.addPass(llvm::EarlyCSEPass());
  for (llvm::Function &function : *kernel.module)
    if (!function.isDeclaration())
      passes.run(function, functions);
}

llvm::Expected<std::unique_ptr<Kernel>> translate(mlir::ModuleOp module) {
  auto kernel = std::make_unique<Kernel>();
  kernel->machine =
      module->getAttrOfType<target::MachineAttr>(target::MachineAttr::getModuleAttrName());
  if (!kernel->machine)
    return llvm::createStringError(
        "[jit] the kernel module has no target.machine; run tessera-tile-to-target");
  llvm::Expected<TargetMachines::Owner> targetMachine = targetMachines().take(kernel->machine);
  if (!targetMachine)
    return targetMachine.takeError();
  kernel->targetMachine = std::move(*targetMachine);
  kernel->context = std::make_unique<llvm::LLVMContext>();
  kernel->module = mlir::translateModuleToLLVMIR(module, *kernel->context, "kernel",
                                                 /*disableVerification=*/true);
  if (!kernel->module)
    return llvm::createStringError(
        "[jit] the kernel module is not in the LLVM dialect; run tessera-target-to-llvm");
  kernel->module->setDataLayout(kernel->targetMachine->createDataLayout());
  kernel->module->setTargetTriple(kernel->targetMachine->getTargetTriple());
  for (llvm::Function &function : *kernel->module) {
    // Some machines would rather have halves of their widest vectors; the schedule chose the width.
    function.addFnAttr("prefer-vector-width", std::to_string(kernel->machine.getVectorBits()));
    function.addFnAttr("min-legal-vector-width", std::to_string(kernel->machine.getVectorBits()));
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
#ifndef NDEBUG
  if (llvm::verifyModule(*kernel->module, &llvm::errs()))
    return llvm::createStringError("[jit] the kernel's LLVM IR does not verify");
#endif
  optimize(*kernel);
  return kernel;
}

} // namespace

//===----------------------------------------------------------------------===//
// Public functions
//===----------------------------------------------------------------------===//

llvm::Expected<std::string> tessera::jit::compileKernelToObject(mlir::ModuleOp kernelModule) {
  auto kernel = translate(kernelModule);
  if (!kernel)
    return kernel.takeError();
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager passes;
  llvm::MCContext *machineContext = nullptr;
  if ((*kernel)->targetMachine->addPassesToEmitMC(passes, machineContext, stream,
                                                  /*DisableVerify=*/true))
    return llvm::createStringError("[jit] this LLVM cannot write objects for " +
                                   (*kernel)->machine.getCpu());
  passes.run(*(*kernel)->module);
  return std::string(object.begin(), object.end());
}

llvm::Expected<std::string> tessera::jit::printLLVM(mlir::ModuleOp kernelModule) {
  auto kernel = translate(kernelModule);
  if (!kernel)
    return kernel.takeError();
  std::string text;
  llvm::raw_string_ostream stream(text);
  (*kernel)->module->print(stream, nullptr);
  return text;
}
