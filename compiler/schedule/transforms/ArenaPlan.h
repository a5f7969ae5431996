//===- ArenaPlan.h - offsets of tensors that live at different times ------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_TRANSFORMS_ARENAPLAN_H
#define TESSERA_COMPILER_SCHEDULE_TRANSFORMS_ARENAPLAN_H

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>

namespace tessera::schedule {

/// A tensor of the arena: alive from step `first` to step `last`, both included.
struct ArenaTensor {
  int64_t first, last, bytes;
  int64_t offset = 0; ///< set by planArena
};

/// Every tensor starts on a cache line.
constexpr int64_t kArenaAlignment = 64;

/// Bytes of the largest set of tensors alive at once: no plan takes less.
int64_t largestLiveSet(llvm::ArrayRef<ArenaTensor> tensors);

/// Sets every offset; returns the bytes of the arena. The best of several orders, each tensor at
/// the lowest place that is free during its life.
int64_t planArena(llvm::MutableArrayRef<ArenaTensor> tensors);

} // namespace tessera::schedule

#endif // TESSERA_COMPILER_SCHEDULE_TRANSFORMS_ARENAPLAN_H
