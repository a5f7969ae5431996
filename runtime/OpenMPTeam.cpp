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
//===----------------------------------------------------------------------===//

#include "runtime/Team.h"

#include <atomic>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <mutex>
#include <pthread.h>
#include <string>

using namespace tessera::runtime;

namespace {

using GompParallel = void (*)(void (*)(void *), void *, unsigned, unsigned);

std::atomic<bool> forked{false};

class OpenMP final : public Team {
public:
  explicit OpenMP(GompParallel parallel) : parallel(parallel) {}
  void run(int threads, void (*work)(void *), void *argument) override {
    parallel(work, argument, unsigned(threads), 0);
  }
  const char *name() const override { return "openmp"; }

private:
  GompParallel parallel;
};

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

Team *find() {
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

std::atomic<Team *> team{nullptr};
std::mutex finding;

} // namespace

Team *tessera::runtime::openMPTeam() {
  if (forked.load(std::memory_order_relaxed))
    return nullptr;
  return team.load(std::memory_order_acquire);
}

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
  if (Team *openMP = openMPTeam())
    return *openMP;
  return poolTeam();
}
