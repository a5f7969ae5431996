//===- OpenMPTeam.cpp - the OpenMP library that is already loaded ------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Nothing is linked: the library is found among the process's shared objects
// and entered through GOMP_parallel, which libgomp defines and LLVM's and
// Intel's libraries offer as well.
//
// OpenMP ends a region only when every worker has come and gone. On a machine
// with other work to do, a worker may wait milliseconds for a core, long after
// the others have done everything. So the end of each region is timed, and when
// it takes too long, the pool, which waits for nobody, stands in for a while.
//
//===----------------------------------------------------------------------===//

#include "runtime/Team.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <mutex>
#include <pthread.h>
#include <string>
#include <thread>

using namespace tessera::runtime;

namespace {

using GompParallel = void (*)(void (*)(void *), void *, unsigned, unsigned);

std::atomic<bool> forked{false};

/// A worker that sleeps wakes within this; only one without a core takes longer.
constexpr int64_t kSlowJoin = 300'000;
/// How long the pool stands in: longer each time, since a busy machine stays busy.
constexpr int64_t kShortestAbsence = 50'000'000;
constexpr int64_t kLongestAbsence = 1'000'000'000;

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class OpenMP final : public Team {
public:
  explicit OpenMP(GompParallel parallel) : parallel(parallel) {}
  void run(int threads, void (*work)(void *), void *argument) override;
  const char *name() const override { return "openmp"; }

  /// Whether the last region ended in time, or that was long enough ago.
  bool isWelcome() const {
    int64_t until = absentUntil.load(std::memory_order_relaxed);
    return until == 0 || now() >= until;
  }

private:
  GompParallel parallel;
  std::atomic<int64_t> absentUntil{0};
  std::atomic<int64_t> absence{kShortestAbsence};
};

struct Region {
  void (*work)(void *);
  void *argument;
  std::thread::id caller;
  int64_t done = 0; ///< when the caller had nothing left to do

  static void enter(void *context) {
    auto &region = *static_cast<Region *>(context);
    region.work(region.argument);
    if (std::this_thread::get_id() == region.caller)
      region.done = now();
  }
};

void OpenMP::run(int threads, void (*work)(void *), void *argument) {
  Region region{work, argument, std::this_thread::get_id()};
  parallel(Region::enter, &region, unsigned(threads), 0);
  int64_t left = now();
  if (left - region.done < kSlowJoin) {
    if (absentUntil.load(std::memory_order_relaxed) != 0) {
      absentUntil.store(0, std::memory_order_relaxed);
      absence.store(kShortestAbsence, std::memory_order_relaxed);
    }
    return;
  }
  int64_t length = absence.load(std::memory_order_relaxed);
  absentUntil.store(left + length, std::memory_order_relaxed);
  absence.store(std::min(2 * length, kLongestAbsence), std::memory_order_relaxed);
}

struct Candidates {
  bool hasTorch = false;
  std::string bundled; ///< the copy in torch's own folder
  std::string other;   ///< the system's, which torch's distribution builds use
};

int collect(dl_phdr_info *info, size_t, void *context) {
  auto &found = *static_cast<Candidates *>(context);
  const char *path = info->dlpi_name;
  if (!path)
    return 0;
  const char *slash = std::strrchr(path, '/');
  const char *base = slash ? slash + 1 : path;
  found.hasTorch |= std::strncmp(base, "libtorch_cpu", 12) == 0;
  for (const char *library : {"libgomp", "libiomp5", "libomp"})
    if (std::strncmp(base, library, std::strlen(library)) == 0)
      (std::strstr(path, "torch") ? found.bundled : found.other) = path;
  return 0;
}

OpenMP *find() {
  Candidates found;
  dl_iterate_phdr(collect, &found);
  // Without torch there are no spinning workers to join, and our pool reacts faster.
  if (!found.hasTorch)
    return nullptr;
  const std::string &path = found.bundled.empty() ? found.other : found.bundled;
  if (path.empty())
    return nullptr;
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (!library)
    return nullptr;
  auto parallel = reinterpret_cast<GompParallel>(dlsym(library, "GOMP_parallel"));
  return parallel ? new OpenMP(parallel) : nullptr;
}

std::atomic<OpenMP *> team{nullptr};
std::mutex finding;

} // namespace

void tessera::runtime::findOpenMPTeam() {
  static std::once_flag once;
  std::call_once(once, [] {
    pthread_atfork([] { finding.lock(); }, [] { finding.unlock(); },
                   [] {
                     forked.store(true, std::memory_order_relaxed);
                     finding.unlock();
                   });
  });
  std::lock_guard<std::mutex> guard(finding);
  if (!team.load(std::memory_order_relaxed))
    team.store(find(), std::memory_order_release);
}

Team &tessera::runtime::currentTeam() {
  OpenMP *known = team.load(std::memory_order_acquire);
  if (known && !forked.load(std::memory_order_relaxed) && known->isWelcome())
    return *known;
  return poolTeam();
}
