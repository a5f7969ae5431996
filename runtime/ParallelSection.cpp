//===- ParallelSection.cpp - consecutive launches on a team of threads -------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/ParallelSection.h"

#include <algorithm>
#include <chrono>

using namespace tessera::runtime;

namespace {

/// About as long as a short phase: beyond, the core may be needed by whom we wait for.
constexpr int kSpins = 1 << 11;
constexpr int kYields = 64;

uint64_t now() {
  return uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(
                      std::chrono::steady_clock::now().time_since_epoch())
                      .count());
}

class Section {
public:
  Section(std::span<const Launch> launches, const SectionResources &resources)
      : launches(launches), resources(resources), caller(std::this_thread::get_id()) {
    for (size_t i = 0; i < launches.size(); ++i) {
      resources.phases[i].next.store(0, std::memory_order_relaxed);
      resources.phases[i].done.store(0, std::memory_order_relaxed);
    }
  }

  static void enter(void *section) { static_cast<Section *>(section)->work(); }
  LaunchFailure failure() const {
    uint64_t packed = failed.load(std::memory_order_acquire);
    return {int32_t(uint32_t(packed)), uint32_t(packed >> 32)};
  }

private:
  void work();
  void runPhase(const Launch &launch, PhaseState &phase, void *scratch);
  void fail(int32_t status, uint32_t instruction) {
    uint64_t none = 0;
    failed.compare_exchange_strong(none, uint64_t(instruction) << 32 | uint32_t(status),
                                   std::memory_order_acq_rel);
  }

  std::span<const Launch> launches;
  const SectionResources &resources;
  std::thread::id caller;
  std::atomic<int> tickets{0};
  std::atomic<uint64_t> failed{0};
  Sleepers waiting;
};

} // namespace

void Section::work() {
  int ticket = tickets.fetch_add(1, std::memory_order_relaxed);
  // The scratch of a thread more than was asked for does not exist.
  if (ticket >= resources.threads)
    return;
  void *scratch = resources.scratch + ticket * resources.scratchBytes;
  bool leads = std::this_thread::get_id() == caller;
  uint64_t start = leads && resources.nanoseconds ? now() : 0;
  for (size_t i = 0; i < launches.size(); ++i) {
    PhaseState &phase = resources.phases[i];
    int64_t units = launches[i].kernel->units;
    if (leads && resources.interrupted && resources.interrupted(resources.interruptedContext))
      fail(kInterrupted, launches[i].instruction);
    runPhase(launches[i], phase, scratch);
    waiting.wait([&] { return phase.done.load(std::memory_order_seq_cst) >= units; }, kSpins,
                 kYields);
    if (leads && resources.nanoseconds) {
      uint64_t end = now();
      resources.nanoseconds[launches[i].instruction] += end - start;
      start = end;
    }
  }
}

void Section::runPhase(const Launch &launch, PhaseState &phase, void *scratch) {
  const KernelSpec &kernel = *launch.kernel;
  int64_t grain = std::max<int64_t>(kernel.grain, 1), finished = 0;
  for (;;) {
    int64_t begin = phase.next.fetch_add(grain, std::memory_order_relaxed);
    if (begin >= kernel.units)
      break;
    int64_t end = std::min(begin + grain, kernel.units);
    finished += end - begin;
    // After a failure the rest is only counted, so that nobody waits for it.
    if (failed.load(std::memory_order_relaxed))
      continue;
    if (int32_t status = kernel.entry(launch.buffers, kernel.symbols.data(), scratch, begin, end))
      fail(status, launch.instruction);
  }
  // The last to finish wakes whoever sleeps; everybody else only adds.
  if (finished &&
      phase.done.fetch_add(finished, std::memory_order_seq_cst) + finished == kernel.units)
    waiting.wake();
}

LaunchFailure tessera::runtime::runSerially(std::span<const Launch> launches,
                                            const SectionResources &resources) {
  for (const Launch &launch : launches) {
    if (resources.interrupted && resources.interrupted(resources.interruptedContext))
      return {kInterrupted, launch.instruction};
    const KernelSpec &kernel = *launch.kernel;
    if (kernel.units <= 0)
      continue;
    uint64_t start = resources.nanoseconds ? now() : 0;
    if (int32_t status =
            kernel.entry(launch.buffers, kernel.symbols.data(), resources.scratch, 0, kernel.units))
      return {status, launch.instruction};
    if (resources.nanoseconds)
      resources.nanoseconds[launch.instruction] += now() - start;
  }
  return {};
}

LaunchFailure tessera::runtime::runInParallel(std::span<const Launch> launches,
                                              const SectionResources &resources, Team &team) {
  Section section(launches, resources);
  team.run(resources.threads, Section::enter, &section);
  return section.failure();
}
