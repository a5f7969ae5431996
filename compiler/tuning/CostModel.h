//===- CostModel.h - how long a point should take ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_TUNING_COSTMODEL_H
#define TESSERA_COMPILER_TUNING_COSTMODEL_H

#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/schedule/transforms/MachineModel.h"

#include <optional>

namespace tessera {

/// Seconds that `kernel` would take with `point`, for putting candidates in order: of interest is
/// which of two is smaller, not the number. None for classes without a model, whose candidates
/// are tried from the default's neighbours on.
std::optional<double> predictSeconds(schedule::KernelOp kernel, mlir::Attribute point,
                                     const schedule::MachineModel &machine);

} // namespace tessera

#endif // TESSERA_COMPILER_TUNING_COSTMODEL_H
