//===- Team.h - threads that work on one function together -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A team runs one function on the calling thread and on as many others as it
// can get. Two providers: the OpenMP library PyTorch has loaded, because its
// workers spin for milliseconds after each of PyTorch's own operations and
// would fight any other thread for the core; and a pool of our own.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_TEAM_H
#define TESSERA_RUNTIME_TEAM_H

namespace tessera::runtime {

class Team {
public:
  virtual ~Team() = default;
  /// Runs `work(argument)` on the caller and on up to `threads - 1` others, and returns when
  /// all that started have left. Fewer may start: the caller alone must be able to finish.
  virtual void run(int threads, void (*work)(void *), void *argument) = 0;
  virtual const char *name() const = 0;
};

/// The pool of our own. Threads start when first needed and are never joined.
Team &poolTeam();

/// Looks for the OpenMP library torch has brought into the process. Cheap once it is found; torch
/// may be imported later than this.
void findOpenMPTeam();

/// The best team at the moment: OpenMP's where it is there and its workers get their cores; they
/// do not survive a fork.
Team &currentTeam();

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_TEAM_H
