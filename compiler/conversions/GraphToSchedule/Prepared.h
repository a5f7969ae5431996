//===- Prepared.h - what depends on parameters only ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PREPARED_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PREPARED_H

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/ScheduleOps.h"

namespace tessera {

/// On a function: nothing is made of parameters once and kept, every call reads them as they are.
constexpr llvm::StringLiteral kUnprepared = "schedule.unprepared";

/// True when `input` is (a view of) a parameter, a constant, or what a prepare kernel made of them.
inline bool isPrepared(mlir::Value input) {
  auto function = input.getParentRegion()->getParentOfType<mlir::func::FuncOp>();
  if (function && function->hasAttr(kUnprepared))
    return false;
  if (auto view = input.getDefiningOp<schedule::ViewOp>())
    input = view.getSource();
  if (auto kernel = input.getDefiningOp<schedule::KernelOp>())
    return kernel.getPrepare();
  return llvm::isa_and_nonnull<graph::ParameterOp, graph::ConstantOp>(input.getDefiningOp());
}

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PREPARED_H
