//===- Points.h - points of a search space, as text ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A tuner, a store and a person write points as Schedule IR does:
// `#schedule.contraction<mr = 8, nr = 32, …>`. Nothing here knows the classes of
// kernels: whatever prints its parameters as `name = value`, and has a space that
// names them, can be tuned.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_TUNING_POINTS_H
#define TESSERA_COMPILER_TUNING_POINTS_H

#include "compiler/schedule/ir/ScheduleOps.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tessera {

/// The point that `text` spells in full; null, with the reason in `why`, for anything else.
mlir::Attribute parsePoint(mlir::MLIRContext *context, llvm::StringRef text, std::string &why);

/// The parameters of a point as they are printed; those at their defaults may be missing.
std::vector<std::pair<std::string, std::string>> parametersOf(mlir::Attribute point);

/// What a tuner may choose from, a list of printed values a parameter. `kernel` has its default
/// point, whose values are among them.
std::vector<std::pair<std::string, std::vector<std::string>>> spaceOf(schedule::KernelOp kernel);

/// Why `point` must not be the schedule of `kernel`, which has its default one and a space; none
/// where it may. Each parameter is in the space's list, or as the default has it.
std::optional<std::string> whyIllegal(schedule::KernelOp kernel, mlir::Attribute point);

/// `point`, found for a kernel of nearly the same sizes, with the default's values for those
/// parameters that are not legal here; null where nothing of it is.
mlir::Attribute adaptPoint(schedule::KernelOp kernel, mlir::Attribute point);

} // namespace tessera

#endif // TESSERA_COMPILER_TUNING_POINTS_H
