//===- Isolate.h - one kernel of a program, alone ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_TUNING_ISOLATE_H
#define TESSERA_COMPILER_TUNING_ISOLATE_H

#include "compiler/schedule/ir/ScheduleOps.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>

namespace tessera {

/// A module in which `kernel`, not yet packed for, runs alone: @main takes what other kernels and
/// the caller give, in the layouts it has in the program; parameters stand for all that a program
/// prepares once, so that panels of weights are packed for the point under test.
mlir::OwningOpRef<mlir::ModuleOp> isolateKernel(schedule::KernelOp kernel);

/// What tells kernels apart for a tuner, as text: all that decides how fast a point is, but for the
/// machine. The point itself and where the kernel stands are no part of it. With `anySizes` kernels
/// whose sizes lie between the same powers of two are one, sizes of what is prepared apart: those
/// of a program for many sizes then have the same point for a range of them.
std::string tuningIdentity(schedule::KernelOp kernel, bool anySizes);

} // namespace tessera

#endif // TESSERA_COMPILER_TUNING_ISOLATE_H
