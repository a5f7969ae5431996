//===- SpinLock.h - a lock for sections of a few instructions ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Cheaper than std::mutex where the critical section is a handful of loads and
// stores; yields when the holder seems to have lost its core.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_SPINLOCK_H
#define TESSERA_RUNTIME_SPINLOCK_H

#include <atomic>
#include <thread>

namespace tessera::runtime {

/// Tells the core that this is a spin loop.
inline void cpuRelax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class SpinLock {
public:
  void lock() {
    for (int spins = 0; flag.exchange(true, std::memory_order_acquire); ++spins) {
      if (spins < 64)
        cpuRelax();
      else
        std::this_thread::yield();
    }
  }
  void unlock() { flag.store(false, std::memory_order_release); }

private:
  std::atomic<bool> flag{false};
};

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_SPINLOCK_H
