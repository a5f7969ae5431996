//===- Call.h - one run through an instruction list --------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Private to the runtime. A Context is the memory of one call, kept for the
// next; a Call walks a plan's steps over it.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_CALL_H
#define TESSERA_RUNTIME_CALL_H

#include "runtime/Executable.h"
#include "runtime/ParallelSection.h"
#include "runtime/Plan.h"

#include <chrono>

namespace tessera::runtime {

/// What an Executable works out once.
struct Executable::Tables {
  Plan main;
  std::vector<StorageRef> constants;                         ///< by constant, aligned
  std::vector<std::shared_ptr<const TensorSpec>> valueSpecs; ///< of outputs and islands' inputs
  /// By value: a stride is negative, which few libraries take.
  std::vector<bool> reversed;
  std::vector<std::vector<int32_t>> inputStorages; ///< by input
  std::vector<int32_t> outputStorages;
  std::vector<int32_t> preparedOrder;   ///< prepared storages that main reads, as it does
  std::vector<bool> readByMain;         ///< by storage; of prepared ones only these are kept
  std::vector<bool> lastOfStorage;      ///< by output: no later one has the same storage
  std::vector<int32_t> dynamicStorages; ///< whose memory a call brings
  int64_t scratchBytes = 0;             ///< of one thread
};

/// The memory of one call.
struct Executable::Context {
  Context(const Executable &executable, const Plan &plan, const std::vector<Instruction> &list);
  /// Arena and scratch where they are missing; false when there is no memory left.
  bool allocate();
  /// Lends large memory to other programs until the next call.
  void release();
  /// The caller keeps the binding while a call runs.
  void setBinding(const std::shared_ptr<const Binding> &newBinding);
  bool isBoundTo(const std::shared_ptr<const Binding> &other) const {
    return !bound.owner_before(other) && !other.owner_before(bound);
  }
  void setBase(int32_t storage, void *base) {
    bases[storage] = base;
    for (const SlotPatch &patch : plan.patches[storage])
      slots[patch.slot] = static_cast<std::byte *>(base) + patch.byteOffset;
  }
  void adopt(int32_t storage, StorageRef owner) {
    void *base = owner->data();
    owners[storage] = std::move(owner);
    setBase(storage, base);
  }

  void placeArena();
  /// Cuts all launches for the number of threads.
  void shareOut();

  const Executable &executable;
  const Plan &plan;
  /// Whose addresses are in place. Not owned: parameters and what was prepared from them must
  /// not outlive their last use because a context still waits for its next call.
  std::weak_ptr<const Binding> bound;
  const Binding *binding = nullptr; ///< while a call runs
  int threads = 1;                  ///< of the call
  StorageRef arena, scratch;
  std::byte *arenaBase = nullptr; ///< what the addresses were made for
  std::vector<void *> slots;      ///< the addresses all launches take, one after another
  std::vector<void *> bases;      ///< by storage
  std::vector<StorageRef> owners; ///< by storage, while the call needs them
  std::vector<Launch> launches;
  std::unique_ptr<PhaseState[]> phases;
  std::unique_ptr<PartState[]> parts;
};

/// One run through the list a context was made for.
class Call {
public:
  Call(const Executable &executable, Executable::Context &context,
       const std::vector<Instruction> &list, Host &host, uint64_t *nanoseconds);

  Status takeInputs(std::span<const TensorView> inputs);
  Status allocateOutputs();
  Status runSteps();
  Status giveOutputs(std::span<Tensor> outputs);
  /// Gives up the call's shares of what it brought; the context is ready for the next.
  void finish();

private:
  Status takeInput(const TensorView &view, size_t index);
  Status allocate(int32_t storage, const char *purpose);
  Status runLaunches(const Step &step);
  Status runIsland(const Instruction &inst, uint32_t index);
  Status takeIslandResult(const Instruction &inst, size_t index, const Tensor &result);
  /// A tensor that shares the value's memory, or a copy where the memory is not to be shared.
  Status shareValue(int32_t value, Tensor &tensor);
  Status describe(const LaunchFailure &failure) const;
  std::string where(const Instruction &inst) const;
  static bool poll(void *call);

  const Executable &executable;
  Executable::Context &context;
  const Plan &plan;
  const std::vector<Instruction> &list;
  Host &host;
  SectionResources resources;
  std::chrono::steady_clock::time_point lastPoll;
};

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_CALL_H
