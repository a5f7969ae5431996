//===- Plan.h - an instruction list made ready to run ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What can be known before the first call: where each launch finds the
// addresses it takes, which of them change from call to call, which launches
// are worth waking other threads for, and when a heap storage is born and dies.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_PLAN_H
#define TESSERA_RUNTIME_PLAN_H

#include "runtime/Program.h"
#include "runtime/Status.h"

#include <cstdint>
#include <vector>

namespace tessera::runtime {

/// A place in the table of addresses that depends on a storage.
struct SlotPatch {
  uint32_t slot = 0;
  int64_t byteOffset = 0;
};

/// Instructions that run the same way, in order.
struct Step {
  enum class Kind : uint8_t { Serial, Parallel, Island };
  Kind kind = Kind::Serial;
  uint32_t begin = 0; ///< Serial, Parallel: launches; Island: the instruction
  uint32_t end = 0;
  std::vector<int32_t> allocate; ///< heap storages first written here
  std::vector<int32_t> release;  ///< heap and island storages last used here
};

struct PlannedLaunch {
  uint32_t instruction = 0;
  uint32_t firstSlot = 0;
};

struct Plan {
  std::vector<Step> steps;
  std::vector<PlannedLaunch> launches;
  std::vector<std::vector<SlotPatch>> patches; ///< by storage
  uint32_t slots = 0;
  uint32_t phases = 0;     ///< launches of the longest parallel step
  double microseconds = 0; ///< predicted, on one thread
};

/// Whether every index of the program points at something.
Status checkProgram(const Program &program);

/// Plans one of the program's lists for `threads` threads.
Plan makePlan(const Program &program, const std::vector<Instruction> &list, int threads);

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_PLAN_H
