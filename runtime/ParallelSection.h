//===- ParallelSection.h - consecutive launches on a team of threads ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The threads of a team enter once for a whole run of launches. Each launch is
// a phase: each thread takes chunks from a part of its units, then what others
// have left of theirs, and the next phase begins when all units are done,
// however many threads came. So a thread that never gets a core delays nobody,
// and who computes a chunk changes nothing in what is computed. A part of its
// own is read as one stream, twice as fast as chunks by turns where they are
// short, and lies in its core's cache where the phase before wrote it.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_PARALLELSECTION_H
#define TESSERA_RUNTIME_PARALLELSECTION_H

#include "runtime/Backoff.h"
#include "runtime/Program.h"
#include "runtime/Team.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tessera::runtime {

/// One launch with its addresses.
struct Launch {
  const KernelSpec *kernel = nullptr;
  void *const *buffers = nullptr;
  uint32_t instruction = 0; ///< position in its list
  int64_t chunk = 1;        ///< units a thread takes at a time; see chunkUnits
};

/// About the kernel's grain (two thirds at least), so that `threads` finish together: of three
/// equal chunks one thread of two would get twice as much as the other.
int64_t chunkUnits(const KernelSpec &kernel, int threads);

/// The counters of one phase, on cache lines of their own: threads hammer them.
struct alignas(64) PhaseState {
  std::atomic<int64_t> done{0}; ///< units
};
struct alignas(64) PartState {
  std::atomic<int64_t> next{0}; ///< chunk of the part
};
/// Parts that a phase has at most.
int partsFor(int threads);

/// Which launch failed, and how.
struct LaunchFailure {
  int32_t status = 0; ///< TesseraStatus, or kInterrupted
  uint32_t instruction = 0;
};
constexpr int32_t kInterrupted = -1;

/// What a section needs beside its launches.
struct SectionResources {
  PhaseState *phases = nullptr; ///< one a launch
  PartState *parts = nullptr;   ///< partsFor(threads) a launch
  std::byte *scratch = nullptr; ///< `threads` pieces of `scratchBytes`
  int64_t scratchBytes = 0;
  int threads = 1;
  uint64_t *nanoseconds = nullptr; ///< by instruction, added to; may be null
  /// Asked by the calling thread between phases; true stops the section. May be null.
  bool (*interrupted)(void *) = nullptr;
  void *interruptedContext = nullptr;
};

/// Runs the launches in order on the calling thread alone.
LaunchFailure runSerially(std::span<const Launch> launches, const SectionResources &resources);
/// Runs the launches in order on `team`.
LaunchFailure runInParallel(std::span<const Launch> launches, const SectionResources &resources,
                            Team &team);

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_PARALLELSECTION_H
