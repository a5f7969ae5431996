//===- Expand.h - graph ops that no kernel class computes as they are ------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_EXPAND_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_EXPAND_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tessera {

/// Rewrites group_norm as a normalization of rows over a reshaped operand.
llvm::LogicalResult expandForKernels(mlir::func::FuncOp function);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_EXPAND_H
