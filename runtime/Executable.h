//===- Executable.h - a program ready to be called ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An Executable never changes after it was made, so any number of threads may
// run it at once. Parameters are bound apart: a Binding is one consistent set of
// them with everything prepared from it, and calls that are already running
// keep the one they began with.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_EXECUTABLE_H
#define TESSERA_RUNTIME_EXECUTABLE_H

#include "runtime/PreparedPool.h"
#include "runtime/Program.h"
#include "runtime/Status.h"
#include "runtime/Tensor.h"

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tessera::runtime {

/// Whoever calls a program: what the runtime may have to ask of it.
class Host {
public:
  virtual ~Host() = default;
  /// Runs an island. The tensors may be kept, mutated and returned. A failure that is the
  /// host's own to describe has kind Host.
  virtual Status callIsland(int64_t id, std::span<const Tensor> inputs,
                            std::vector<Tensor> &results) = 0;
  /// A share in the memory of a program input.
  virtual Tensor retainInput(size_t index) = 0;
  /// Whether to stop. Asked between launches of long programs, at most every few milliseconds,
  /// on the calling thread.
  virtual bool interrupted() { return false; }
};

/// Parameters, and what the prepare list made of them.
struct Binding {
  std::vector<Tensor> parameters; ///< as given: shares their memory
  std::vector<StorageRef> owned;  ///< prepared storages, copies of strided parameters
  std::vector<void *> bases;      ///< by storage; null where a call decides
  int64_t preparedBytes = 0;      ///< of the prepared storages
};

class Executable {
public:
  struct Options {
    std::string name;                   ///< begins every message: "Block.forward"
    int threads = 1;                    ///< of every call; 0: defaultThreads() at each
    std::shared_ptr<PreparedPool> pool; ///< where prepared weights are shared; null: nowhere
  };
  struct Counters {
    int64_t prepares = 0;
    int64_t inputCopies = 0; ///< inputs that had to be made contiguous
  };

  static Status create(std::shared_ptr<const Program> program, Options options,
                       std::unique_ptr<Executable> &executable);
  ~Executable();

  /// Checks the parameters and runs the prepare list, or takes what it would give from the pool:
  /// `writes`, one number a parameter or empty, tells their values apart, and without it nothing
  /// is taken.
  Status bind(std::vector<Tensor> parameters, Host &host, std::shared_ptr<const Binding> &binding,
              std::span<const int64_t> writes = {}) const;
  /// Whether parameter `index` is read through a copy made by bind(), although the program reads
  /// it in place: its layout is not the one the code was made for.
  bool copiesParameter(const TensorView &view, size_t index) const;

  /// Runs the program. An output that is exactly an input is left undefined when that input was
  /// used in place: passedThrough() says which, and the host returns its own object.
  /// `nanoseconds`, when given, has one entry an instruction of Program::main, added to.
  Status run(const std::shared_ptr<const Binding> &binding, std::span<const TensorView> inputs,
             Host &host, std::span<Tensor> outputs, uint64_t *nanoseconds = nullptr) const;
  /// The input that output `index` is exactly, or -1.
  int32_t passedThrough(size_t index) const { return passThrough[index]; }

  /// Predicted time of a call on one thread; programs with islands have no bound.
  double predictedMicroseconds() const;
  bool hasIslands() const { return withIslands; }
  const Program &getProgram() const { return *program; }
  const Options &getOptions() const { return options; }
  /// Threads of a call that begins now.
  int threadsNow() const;
  Counters counters() const;
  /// "[Block.forward] input 'x'".
  std::string describeInput(size_t index) const;
  std::string describeParameter(size_t index) const;

private:
  friend class Call;
  struct Tables;
  struct Context;
  Executable(std::shared_ptr<const Program> program, Options options);

  /// Memory a call takes before it begins.
  int64_t callBytes() const;
  /// Threads that plans are made for: several where their number is only known at a call.
  int plannedThreads() const { return options.threads == 0 ? 2 : options.threads; }
  Context *acquire(const std::shared_ptr<const Binding> &binding) const;
  void recycle(Context *context) const;
  /// Which values of which parameters a prepared storage holds.
  ParameterStamps stampsOf(size_t storage, const Binding &binding,
                           std::span<const int64_t> writes) const;
  std::vector<Tensor> sourcesOf(size_t storage, const Binding &binding) const;
  StorageRef fromPool(size_t storage, const Binding &binding,
                      std::span<const int64_t> writes) const;
  /// Those of the prepare list that the results which are not `ready` (by storage) take, in order;
  /// what they write is no longer ready.
  std::vector<Instruction> unprepared(std::vector<bool> &ready) const;
  Status prepare(const std::shared_ptr<Binding> &binding, const std::vector<Instruction> &list,
                 Host &host) const;
  /// Memory for the `wanted` storages: those that calls read in one block, in the order in which
  /// they do. What a kernel fetches ahead past the end of its weights are then those of the next.
  Status allocatePrepared(const std::vector<bool> &wanted, std::vector<StorageRef> &prepared) const;
  /// Takes prepared weights from the pool or makes them; keeps those that calls read.
  Status bindPrepared(const std::shared_ptr<Binding> &made, Host &host,
                      std::span<const int64_t> writes) const;
  Status checkParameter(const Tensor &tensor, size_t index) const;

  std::shared_ptr<const Program> program;
  Options options;
  std::unique_ptr<const Tables> tables;
  std::vector<int32_t> passThrough;
  std::vector<Preparation> preparations; ///< by storage; with a pool only
  bool withIslands = false;

  /// Contexts of finished calls. A slot is emptied and filled by one atomic operation each, so
  /// no lock can be left behind by a fork.
  static constexpr int kKeptContexts = 8;
  mutable std::atomic<Context *> kept[kKeptContexts] = {};
  mutable std::atomic<int64_t> prepares{0}, inputCopies{0};
};

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_EXECUTABLE_H
