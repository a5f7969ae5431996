//===- TileKernel.h - kernels as functions, their identity and cost --------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_TILEKERNEL_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_TILEKERNEL_H

#include "compiler/schedule/ir/ScheduleOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <string>

namespace tessera {

/// What a launch needs to know of a kernel besides its code.
struct TileKernel {
  int64_t units = 1;
  int64_t grain = 1;
  int64_t scratchBytes = 0;
};

/// Everything that can change a kernel's code, as text: class, point, layouts, body with its edges
/// and literals; no locations, no placements. Equal keys are the same kernel.
std::string kernelKey(schedule::KernelOp kernel);
/// A symbol for the kernel with this key.
std::string kernelName(schedule::KernelOp kernel, llvm::StringRef key);

/// Emits the tile function of `kernel` at `module`'s insertion point.
mlir::FailureOr<mlir::func::FuncOp> emitTileKernel(schedule::KernelOp kernel,
                                                   mlir::OpBuilder &module, llvm::StringRef name,
                                                   TileKernel &record);

/// Predicted work of one launch: floating point operations, and bytes that must cross memory once.
struct KernelCost {
  double flops = 0;
  double bytes = 0;
};
KernelCost kernelCost(schedule::KernelOp kernel);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_TILEKERNEL_H
