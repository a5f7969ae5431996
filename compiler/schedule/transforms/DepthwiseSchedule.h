//===- DepthwiseSchedule.h - default schedules of depthwise kernels --------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_TRANSFORMS_DEPTHWISESCHEDULE_H
#define TESSERA_COMPILER_SCHEDULE_TRANSFORMS_DEPTHWISESCHEDULE_H

#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/schedule/transforms/MachineModel.h"

namespace tessera::schedule {

/// Results [batch, rows, columns, channels], where rows are all spatial dimensions but the last.
struct DepthwiseShape {
  int64_t batch = 1, rows = 1, columns = 1, channels = 1;
  int64_t group = 1;         ///< channels of the result that share theirs of the input
  int64_t kernelColumns = 1; ///< the last dimension of a kernel
  int64_t taps = 1;          ///< elements of a kernel
  int64_t accBits = 32;
};

/// The point a depthwise convolution starts from, good without tuning.
DepthwiseAttr chooseDepthwise(mlir::MLIRContext *context, const DepthwiseShape &shape,
                              const MachineModel &machine);
/// What a tuner may try instead: one array a parameter of the point.
mlir::DictionaryAttr depthwiseSpace(mlir::MLIRContext *context, const DepthwiseShape &shape,
                                    const MachineModel &machine);

} // namespace tessera::schedule

#endif // TESSERA_COMPILER_SCHEDULE_TRANSFORMS_DEPTHWISESCHEDULE_H
