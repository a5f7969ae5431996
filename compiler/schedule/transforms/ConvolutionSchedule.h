//===- ConvolutionSchedule.h - default schedules of convolutions -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_TRANSFORMS_CONVOLUTIONSCHEDULE_H
#define TESSERA_COMPILER_SCHEDULE_TRANSFORMS_CONVOLUTIONSCHEDULE_H

#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/schedule/transforms/MachineModel.h"

namespace tessera::schedule {

/// What the choice depends on: a convolution of channels-last images.
struct ConvolutionShape {
  int64_t batch = 1, groups = 1;
  int64_t channels = 0, outputs = 0; ///< of a group
  /// A spatial dimension each.
  llvm::SmallVector<int64_t> sizes, places, kernel, stride, dilation, padding;
  int64_t operandBits = 32, accBits = 32;
  bool isFloat = true;
  bool isExact = false;    ///< no algorithm that sums, or rounds, otherwise
  bool isComputed = false; ///< weights are computed, and brought into order, by every call
  bool pairs = false;      ///< of channels of bf16, on a machine that multiplies them
};

/// Whether a kernel that reads windows in place is at least as good as a product of rows of
/// windows.
bool isWorthDirect(const ConvolutionShape &shape, const MachineModel &machine);

/// The point a convolution starts from, good without tuning.
ConvolutionAttr chooseConvolution(mlir::MLIRContext *context, const ConvolutionShape &shape,
                                  const MachineModel &machine);
/// What a tuner may try instead: one array a parameter of the point.
mlir::DictionaryAttr convolutionSpace(mlir::MLIRContext *context, const ConvolutionShape &shape,
                                      const MachineModel &machine);

} // namespace tessera::schedule

#endif // TESSERA_COMPILER_SCHEDULE_TRANSFORMS_CONVOLUTIONSCHEDULE_H
