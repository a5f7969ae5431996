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

/// True when `input` is (a view of) a parameter, a constant, or what a prepare kernel made of them.
inline bool isPrepared(mlir::Value input) {
  if (auto view = input.getDefiningOp<schedule::ViewOp>())
    input = view.getSource();
  if (auto kernel = input.getDefiningOp<schedule::KernelOp>())
    return kernel.getPrepare();
  return llvm::isa_and_nonnull<graph::ParameterOp, graph::ConstantOp>(input.getDefiningOp());
}

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PREPARED_H
