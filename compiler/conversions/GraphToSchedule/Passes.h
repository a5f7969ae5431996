//===- Passes.h - Graph IR to Schedule IR ----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tessera {

#define GEN_PASS_DECL
#include "compiler/conversions/GraphToSchedule/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/conversions/GraphToSchedule/Passes.h.inc"

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES_H
