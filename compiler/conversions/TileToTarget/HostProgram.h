//===- HostProgram.h - @main becomes the host program ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_TILETOTARGET_HOSTPROGRAM_H
#define TESSERA_CONVERSIONS_TILETOTARGET_HOSTPROGRAM_H

#include "compiler/target/ir/TargetOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tessera {

/// Writes `main` (launches, views, islands, with placements) as a target.program beside it.
mlir::FailureOr<target::ProgramOp> buildHostProgram(mlir::func::FuncOp main);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_TILETOTARGET_HOSTPROGRAM_H
