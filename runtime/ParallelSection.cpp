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
/// Chunks a thread from which on an uneven end is a small part.
constexpr int64_t kManyChunks = 16;

/// To find out that everything is taken, a thread looks at each part.
constexpr int kMostParts = 16;

int64_t divideCeil(int64_t a, int64_t b) { return (a + b - 1) / b; }

uint64_t now() {
  return uint64_t(std::chrono::duration_cast<std::chrono::nanoseconds>(
                      std::chrono::steady_clock::now().time_since_epoch())
                      .count());
}

class Section {
public:
  Section(std::span<const Launch> launches, const SectionResources &resources)
      : launches(launches), resources(resources), caller(std::this_thread::get_id()),
        parts(partsFor(resources.threads)) {
    for (size_t i = 0; i < launches.size(); ++i)
      resources.phases[i].done.store(0, std::memory_order_relaxed);
    for (size_t i = 0; i < launches.size() * size_t(parts); ++i)
      resources.parts[i].next.store(0, std::memory_order_relaxed);
  }

  static void enter(void *section) { static_cast<Section *>(section)->work(); }
  LaunchFailure failure() const {
    uint64_t packed = failed.load(std::memory_order_acquire);
    return {int32_t(uint32_t(packed)), uint32_t(packed >> 32)};
  }

private:
  void work();
  void runPhase(size_t index, int ticket, void *scratch);
  int64_t runPart(const Launch &launch, PartState &part, int64_t first, int64_t last,
                  void *scratch);
  void fail(int32_t status, uint32_t instruction) {
    uint64_t none = 0;
    failed.compare_exchange_strong(none, uint64_t(instruction) << 32 | uint32_t(status),
                                   std::memory_order_acq_rel);
  }

  std::span<const Launch> launches;
  const SectionResources &resources;
  std::thread::id caller;
  int parts;
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
    runPhase(i, ticket, scratch);
    waiting.wait([&] { return phase.done.load(std::memory_order_seq_cst) >= units; }, kSpins,
                 kYields);
    if (leads && resources.nanoseconds) {
      uint64_t end = now();
      resources.nanoseconds[launches[i].instruction] += end - start;
      start = end;
    }
  }
}

void Section::runPhase(size_t index, int ticket, void *scratch) {
  const Launch &launch = launches[index];
  int64_t units = launch.kernel->units, chunks = divideCeil(units, launch.chunk), finished = 0;
  int64_t count = std::min<int64_t>(parts, chunks);
  PartState *states = resources.parts + index * size_t(parts);
  for (int64_t i = 0; i < count; ++i) {
    int64_t part = (ticket + i) % count;
    finished +=
        runPart(launch, states[part], part * chunks / count, (part + 1) * chunks / count, scratch);
  }
  // The last to finish wakes whoever sleeps; everybody else only adds.
  PhaseState &phase = resources.phases[index];
  if (finished && phase.done.fetch_add(finished, std::memory_order_seq_cst) + finished == units)
    waiting.wake();
}

/// Runs what is left of the chunks [first, last) until there is none; how many units that were.
int64_t Section::runPart(const Launch &launch, PartState &part, int64_t first, int64_t last,
                         void *scratch) {
  const KernelSpec &kernel = *launch.kernel;
  int64_t finished = 0;
  // The load spares others the line where there is nothing to get.
  while (part.next.load(std::memory_order_relaxed) < last - first) {
    int64_t chunk = first + part.next.fetch_add(1, std::memory_order_relaxed);
    if (chunk >= last)
      break;
    int64_t begin = chunk * launch.chunk, end = std::min(begin + launch.chunk, kernel.units);
    finished += end - begin;
    // After a failure the rest is only counted, so that nobody waits for it.
    if (failed.load(std::memory_order_relaxed))
      continue;
    if (int32_t status = kernel.entry(launch.buffers, kernel.symbols.data(), scratch, begin, end))
      fail(status, launch.instruction);
  }
  return finished;
}

int tessera::runtime::partsFor(int threads) { return std::min(threads, kMostParts); }

int64_t tessera::runtime::chunkUnits(const KernelSpec &kernel, int threads) {
  int64_t units = std::max<int64_t>(kernel.units, 1);
  int64_t grain = std::clamp<int64_t>(kernel.grain, 1, units), chunks = divideCeil(units, grain);
  if (chunks <= threads)
    return divideCeil(units, chunks);
  if (chunks >= kManyChunks * threads)
    return grain;
  // What the thread with the most work gets.
  auto most = [&](int64_t size) { return size * divideCeil(divideCeil(units, size), threads); };
  int64_t best = grain;
  for (int64_t rounds = chunks / threads; rounds > 0; --rounds)
    if (int64_t size = divideCeil(units, threads * rounds); most(size) < most(best))
      best = size;
  return best;
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
