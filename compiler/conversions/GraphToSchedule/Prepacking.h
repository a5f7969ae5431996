//===- Prepacking.h - kernels that pack weights ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PREPACKING_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PREPACKING_H

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/ScheduleOps.h"

namespace tessera {

/// `matrix` before a kernel that runs once rounded it to bf16, or itself.
mlir::Value unrounded(mlir::OpBuilder &b, mlir::Value matrix);

/// Column panels of `nr` of a matrix […, K, N]; with `pairs` of bf16, two rows side by side. Unless
/// `prepare`, packed by every call.
mlir::Value packPanels(mlir::OpBuilder &b, mlir::Location loc, mlir::Value matrix, int64_t nr,
                       bool pairs = false, bool prepare = true);

/// The panels that the convolution in `kernel` reads in place of its input `index`, its weight;
/// `prepare` as above.
mlir::Value packKernels(mlir::OpBuilder &b, schedule::KernelOp kernel, unsigned index,
                        int64_t groups, schedule::ConvolutionAttr point, bool prepare);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PREPACKING_H
