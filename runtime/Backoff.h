//===- Backoff.h - waiting without a lock ------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A waiter spins for some tens of microseconds (a phase of a program usually
// ends within them), then gives its core away, then sleeps: with more threads
// than cores, what it waits for may need that very core.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_BACKOFF_H
#define TESSERA_RUNTIME_BACKOFF_H

#include "runtime/SpinLock.h"

#include <cstdint>

namespace tessera::runtime {

/// Wakes threads that gave up spinning. A waiter that is not asleep costs a waker one load.
class Sleepers {
public:
  /// Waits until `ready()`; whoever makes it true calls wake() afterwards. Both the change and
  /// what `ready` reads must be sequentially consistent: then either the waker sees the sleeper
  /// or the sleeper sees the change.
  template <typename Ready> void wait(const Ready &ready, int spins, int yields) {
    for (int i = 0; i < spins; ++i) {
      if (ready())
        return;
      cpuRelax();
    }
    for (int i = 0; i < yields; ++i) {
      if (ready())
        return;
      std::this_thread::yield();
    }
    asleep.fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
      uint32_t ticket = calls.load(std::memory_order_seq_cst);
      if (ready())
        break;
      calls.wait(ticket, std::memory_order_seq_cst);
    }
    asleep.fetch_sub(1, std::memory_order_relaxed);
  }

  void wake() {
    if (asleep.load(std::memory_order_seq_cst) == 0)
      return;
    calls.fetch_add(1, std::memory_order_seq_cst);
    calls.notify_all();
  }

private:
  std::atomic<uint32_t> calls{0};
  std::atomic<uint32_t> asleep{0};
};

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_BACKOFF_H
