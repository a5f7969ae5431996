//===- CompiledProgramImpl.h - what a CompiledProgram keeps ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Private to compiler/api.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_API_COMPILEDPROGRAMIMPL_H
#define TESSERA_COMPILER_API_COMPILEDPROGRAMIMPL_H

#include "compiler/api/Compiler.h"
#include "compiler/api/GraphModuleImpl.h"
#include "compiler/api/KernelFamily.h"
#include "compiler/jit/Jit.h"
#include "compiler/jit/ObjectCache.h"
#include "compiler/pipeline/Pipeline.h"
#include "compiler/schedule/ir/ScheduleOps.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

#include <map>

namespace tessera {

/// The levels that were walked. The upper two are kept as modules; the lower ones are walked again
/// when somebody asks for them, since most programs' kernels come from the cache.
struct CompiledProgram::Impl {
  std::shared_ptr<GraphModule::Impl>
      graph; ///< owns the context of every module here; destroyed last
  mlir::OwningOpRef<mlir::ModuleOp> simplified, schedule;
  jit::Machine machine;
  PipelineOptions pipeline;
  std::map<std::string, std::string> objects; ///< code by kernel name
  std::map<std::string, FamilyKernel> shared; ///< of a family, by kernel name

  /// The key of a kernel with its default point among tuned ones; see TunableKernel.
  std::string tuningKey(schedule::KernelOp kernel) const;
  ~Impl();

  /// A module of this kernel alone, for its machine.
  mlir::OwningOpRef<mlir::ModuleOp> kernelModule(mlir::func::FuncOp function) const;
  /// Tile to Target IR, in place, by the passes of buildTargetPipeline.
  static llvm::Error toTarget(mlir::ModuleOp module, mlir::PassManager &passes);
  /// Target IR to an object; the module is lowered in place.
  llvm::Expected<std::string> toObject(mlir::ModuleOp module) const;

  Result<std::string> tileText(bool locations) const;
  Result<std::string> targetText(bool locations) const;
  Result<std::string> llvmText() const;
  Result<std::string> asmText() const;
};

/// Loads every dialect of every level and the translations to LLVM, once a context.
void prepareContext(mlir::MLIRContext &context);
/// A kernel on its own, as TunableKernel::module has it.
Result<GraphModule> parseKernel(const std::string &text);
schedule::KernelOp kernelOf(const GraphModule &module);
/// Identifies this build of the compiler in cache keys.
llvm::StringRef buildId();

} // namespace tessera

#endif // TESSERA_COMPILER_API_COMPILEDPROGRAMIMPL_H
