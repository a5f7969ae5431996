//===- Threads.h - how many threads programs run on --------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_THREADS_H
#define TESSERA_RUNTIME_THREADS_H

namespace tessera::runtime {

/// Threads that programs made without a number of their own run on: what was set, else as many as
/// PyTorch's operators use at this moment, else as many as the machine has cores.
int defaultThreads();
/// 0: as many as PyTorch.
void setDefaultThreads(int threads);

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_THREADS_H
