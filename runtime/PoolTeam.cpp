//===- PoolTeam.cpp - a pool of threads --------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Callers post a job into one of a few slots; workers join any open job. The
// caller works too, and when nothing is left it closes the job and waits only
// for the workers that did join: one that never got a core costs nothing.
//
//===----------------------------------------------------------------------===//

#include "runtime/Backoff.h"
#include "runtime/Team.h"

#include <algorithm>
#include <csignal>
#include <mutex>
#include <pthread.h>
#include <thread>

using namespace tessera::runtime;

namespace {

constexpr int kSlots = 16;
constexpr int kMaxWorkers = 255;
constexpr uint64_t kOpen = uint64_t(1) << 32;
/// Spins cover the gap between two steps of a program; sleeping after that leaves the core
/// to others.
constexpr int kSpins = 1 << 11;
constexpr int kYields = 32;

/// One job. The memory is permanent, so that a late worker may always look at it. `state` is
/// the number of workers inside, plus kOpen while others may join.
struct alignas(64) Slot {
  std::atomic<bool> taken{false};
  std::atomic<uint64_t> state{0};
  std::atomic<int> places{0};
  void (*work)(void *) = nullptr;
  void *argument = nullptr;
};

class Pool final : public Team {
public:
  void run(int threads, void (*work)(void *), void *argument) override;
  const char *name() const override { return "pool"; }

private:
  void grow(int wanted);
  void serve();
  bool joinAny();
  static bool join(Slot &slot);
  static void leave(Slot &slot) { slot.state.fetch_sub(1, std::memory_order_release); }

  Slot slots[kSlots];
  std::atomic<uint32_t> posted{0};
  Sleepers workers;
  std::mutex growing;
  int size = 0;
};

void Pool::run(int threads, void (*work)(void *), void *argument) {
  threads = std::min(threads, kMaxWorkers + 1);
  if (threads > 1)
    grow(threads - 1);
  Slot *slot = nullptr;
  for (Slot &candidate : slots)
    if (threads > 1 && !candidate.taken.load(std::memory_order_relaxed) &&
        !candidate.taken.exchange(true, std::memory_order_acquire)) {
      slot = &candidate;
      break;
    }
  // More callers than slots: they are enough to fill the machine by themselves.
  if (!slot)
    return work(argument);

  slot->work = work;
  slot->argument = argument;
  slot->places.store(threads - 1, std::memory_order_relaxed);
  slot->state.store(kOpen, std::memory_order_release);
  posted.fetch_add(1, std::memory_order_seq_cst);
  workers.wake();
  work(argument);
  slot->state.fetch_and(~kOpen, std::memory_order_acq_rel);
  for (int spins = 0; slot->state.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins)
      cpuRelax();
    else
      std::this_thread::yield();
  }
  slot->taken.store(false, std::memory_order_release);
}

void Pool::grow(int wanted) {
  std::lock_guard<std::mutex> guard(growing);
  if (size >= wanted)
    return;
  // Signals belong to the threads that know what to do with them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (; size < wanted; ++size) {
    pthread_t thread;
    // Not std::thread: without exceptions it would end the process where threads are scarce.
    int failed = pthread_create(
        &thread, nullptr,
        [](void *pool) -> void * {
          static_cast<Pool *>(pool)->serve();
          return nullptr;
        },
        this);
    if (failed)
      break;
    pthread_detach(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Pool::serve() {
  for (;;) {
    uint32_t seen = posted.load(std::memory_order_acquire);
    while (joinAny())
      ;
    workers.wait([&] { return posted.load(std::memory_order_seq_cst) != seen; }, kSpins, kYields);
  }
}

bool Pool::joinAny() {
  for (Slot &slot : slots) {
    if (!join(slot))
      continue;
    slot.work(slot.argument);
    leave(slot);
    return true;
  }
  return false;
}

bool Pool::join(Slot &slot) {
  uint64_t state = slot.state.load(std::memory_order_acquire);
  while (state & kOpen) {
    if (!slot.state.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel))
      continue;
    // Inside now, so the job stays; take a place, which is never given back: a worker that
    // has seen the end of a job has no business in it again.
    if (slot.places.fetch_sub(1, std::memory_order_relaxed) > 0)
      return true;
    leave(slot);
    return false;
  }
  return false;
}

std::atomic<Pool *> pool{nullptr};
std::mutex creating;

} // namespace

Team &tessera::runtime::poolTeam() {
  Pool *current = pool.load(std::memory_order_acquire);
  if (current)
    return *current;
  static std::once_flag once;
  std::call_once(once, [] {
    // No worker survives a fork: the child starts over and leaves the parent's pool alone.
    pthread_atfork([] { creating.lock(); }, [] { creating.unlock(); },
                   [] {
                     pool.store(nullptr, std::memory_order_relaxed);
                     creating.unlock();
                   });
  });
  std::lock_guard<std::mutex> guard(creating);
  current = pool.load(std::memory_order_relaxed);
  if (!current) {
    // Never destroyed: workers may still be in it when the process ends.
    current = new Pool;
    pool.store(current, std::memory_order_release);
  }
  return *current;
}
