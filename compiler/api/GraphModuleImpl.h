//===- GraphModuleImpl.h - what a GraphModule holds -------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Private to compiler/api.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_API_GRAPHMODULEIMPL_H
#define TESSERA_COMPILER_API_GRAPHMODULEIMPL_H

#include "compiler/api/Compiler.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <mutex>

namespace tessera {

/// A context and a module in it. The context belongs to the module alone: types and attributes,
/// constants' bytes among them, are freed with it, where a context shared by the process would
/// keep those of every model ever converted. It has no threads of its own, which would not
/// survive a fork; whoever compiles holds `mutex`, works on a clone, and may enable threads for
/// that time.
struct GraphModule::Impl {
  Impl();

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::mutex mutex;
};

/// Makes the dialects of Graph IR known; further levels add theirs.
void registerGraphDialects(mlir::DialectRegistry &registry);

/// Collects what is reported while it lives, as text for the user.
class DiagnosticCollector {
public:
  explicit DiagnosticCollector(mlir::MLIRContext *context);
  /// All errors with their notes, a line each; `otherwise` when none was reported.
  std::string take(llvm::StringRef otherwise);

private:
  std::string text;
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace tessera

#endif // TESSERA_COMPILER_API_GRAPHMODULEIMPL_H
