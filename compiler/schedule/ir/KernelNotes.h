//===- KernelNotes.h - what is said about a kernel, and is no part of it ---===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Discardable attributes of schedule.kernel, for explain() and the tuner. They
// never change code, so they are left out of a kernel's identity.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_IR_KERNELNOTES_H
#define TESSERA_COMPILER_SCHEDULE_IR_KERNELNOTES_H

#include "llvm/ADT/StringRef.h"

namespace tessera::schedule {

/// The point the rules chose, where a tuned one took its place.
inline constexpr llvm::StringLiteral kDefaultPointNote = "schedule.default";
/// A string: the key its point was found under; see TunableKernel.
inline constexpr llvm::StringLiteral kTuningKeyNote = "schedule.tuned";
/// Strings: the ops of the body, in order. Of launches, whose body is code.
inline constexpr llvm::StringLiteral kFusedNote = "schedule.fused";
/// Strings: why ops that read what an earlier kernel computes are not part of that kernel.
inline constexpr llvm::StringLiteral kApartNote = "schedule.apart";

} // namespace tessera::schedule

#endif // TESSERA_COMPILER_SCHEDULE_IR_KERNELNOTES_H
