//===- Passes.h - Graph IR to Schedule IR ----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES_H

#include "compiler/schedule/ir/ScheduleOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

#include <functional>

namespace tessera {

#define GEN_PASS_DECL
#include "compiler/conversions/GraphToSchedule/Passes.h.inc"

/// The tuned point of a kernel that has its default one and a space, or null.
using RecallPoint = std::function<mlir::Attribute(schedule::KernelOp)>;
std::unique_ptr<mlir::Pass> createChoosePointsPass(const ChoosePointsOptions &options,
                                                   RecallPoint recall);

#define GEN_PASS_REGISTRATION
#include "compiler/conversions/GraphToSchedule/Passes.h.inc"

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES_H
