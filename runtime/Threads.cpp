//===- Threads.cpp - how many threads programs run on ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// PyTorch is not linked, and may not be there. Where it is, at::get_num_threads()
// is found among the process's shared objects.
//
//===----------------------------------------------------------------------===//

#include "runtime/Threads.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <thread>

using namespace tessera::runtime;

namespace {

using Count = int (*)();

std::atomic<int> chosen{0};
std::atomic<Count> torchCount{nullptr};

int findTorch(dl_phdr_info *info, size_t, void *found) {
  const char *slash = info->dlpi_name ? std::strrchr(info->dlpi_name, '/') : nullptr;
  if (!slash || std::strncmp(slash + 1, "libtorch_cpu.", 13) != 0)
    return 0;
  *static_cast<const char **>(found) = info->dlpi_name;
  return 1;
}

/// Null where PyTorch is not loaded (yet).
Count torchFunction() {
  if (Count known = torchCount.load(std::memory_order_acquire))
    return known;
  const char *path = nullptr;
  dl_iterate_phdr(findTorch, &path);
  void *library = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : nullptr;
  if (!library)
    return nullptr;
  auto count = reinterpret_cast<Count>(dlsym(library, "_ZN2at15get_num_threadsEv"));
  torchCount.store(count, std::memory_order_release);
  return count;
}

} // namespace

int tessera::runtime::defaultThreads() {
  if (int threads = chosen.load(std::memory_order_relaxed))
    return threads;
  if (Count count = torchFunction())
    return std::max(count(), 1);
  return std::max(int(std::thread::hardware_concurrency()), 1);
}

void tessera::runtime::setDefaultThreads(int threads) {
  chosen.store(std::max(threads, 0), std::memory_order_relaxed);
}
