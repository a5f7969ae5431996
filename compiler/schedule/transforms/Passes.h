//===- Passes.h - passes of the schedule level -----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_TRANSFORMS_PASSES_H
#define TESSERA_COMPILER_SCHEDULE_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tessera::schedule {

#define GEN_PASS_DECL
#include "compiler/schedule/transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/schedule/transforms/Passes.h.inc"

} // namespace tessera::schedule

#endif // TESSERA_COMPILER_SCHEDULE_TRANSFORMS_PASSES_H
