//===- Context.cpp - the dialects a compilation needs ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/CompiledProgramImpl.h"

using namespace mlir;

void tessera::prepareContext(MLIRContext &context) {
  if (context.getLoadedDialect("target"))
    return;
  DialectRegistry registry;
  registerAllDialects(registry);
  jit::registerTranslations(registry);
  context.appendDialectRegistry(registry);
  // All at once: kernels are lowered on several threads, which must not load dialects.
  context.loadAllAvailableDialects();
}
