//===- Call.cpp - one run through an instruction list ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Call.h"

#include "runtime/StridedCopy.h"

#include <cstring>

using namespace tessera::runtime;

/// Memory up to this size stays with its program: giving it back costs more than it is worth.
static constexpr int64_t kKeptBytes = 1 << 20;
/// Shorter programs are not worth asking in the midst of whether to stop.
static constexpr double kPollingMicroseconds = 5000;
static constexpr std::chrono::milliseconds kPollingInterval(20);

//===----------------------------------------------------------------------===//
// Context
//===----------------------------------------------------------------------===//

Executable::Context::Context(const Executable &executable, const Plan &plan,
                             const std::vector<Instruction> &list)
    : executable(executable), plan(plan), slots(plan.slots),
      bases(executable.program->storages.size()), owners(bases.size()),
      phases(plan.phases ? new PhaseState[plan.phases] : nullptr) {
  const Program &program = *executable.program;
  for (const PlannedLaunch &launch : plan.launches)
    launches.push_back({&program.kernels[list[launch.instruction].target],
                        slots.data() + launch.firstSlot, launch.instruction});
  shareOut();
}

bool Executable::Context::allocate() {
  int64_t arenaBytes = executable.program->arenaBytes;
  // Only where something runs in parallel does it matter how many there are.
  if (int now = plan.phases ? executable.threadsNow() : 1; now != threads) {
    threads = now;
    shareOut();
  }
  int64_t scratchBytes = executable.tables->scratchBytes * threads;
  if (arenaBytes && !arena) {
    arena = Storage::allocate(arenaBytes);
    if (!arena)
      return false;
    // Usually the block that was given back last comes again, and the addresses still hold.
    if (arena->data() != arenaBase)
      placeArena();
  }
  if (!scratch || scratch->bytes() < scratchBytes)
    scratch = Storage::allocate(scratchBytes);
  return bool(scratch);
}

void Executable::Context::shareOut() {
  for (Launch &launch : launches)
    launch.chunk = chunkUnits(*launch.kernel, threads);
  parts.reset(new PartState[plan.phases * size_t(partsFor(threads))]);
}

void Executable::Context::placeArena() {
  arenaBase = static_cast<std::byte *>(arena->data());
  const std::vector<StorageSpec> &storages = executable.program->storages;
  for (size_t i = 0; i < storages.size(); ++i)
    if (storages[i].kind == StorageSpec::Kind::Arena)
      setBase(int32_t(i), arenaBase + storages[i].offset);
}

void Executable::Context::release() {
  if (arena && arena->bytes() > kKeptBytes)
    arena = StorageRef();
  if (scratch->bytes() > kKeptBytes)
    scratch = StorageRef();
}

void Executable::Context::setBinding(const std::shared_ptr<const Binding> &newBinding) {
  bound = newBinding;
  binding = newBinding.get();
  for (size_t i = 0; i < binding->bases.size(); ++i)
    if (binding->bases[i])
      setBase(int32_t(i), binding->bases[i]);
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

Call::Call(const Executable &executable, Executable::Context &context,
           const std::vector<Instruction> &list, Host &host, uint64_t *nanoseconds)
    : executable(executable), context(context), plan(context.plan), list(list), host(host) {
  resources.phases = context.phases.get();
  resources.parts = context.parts.get();
  resources.scratch = static_cast<std::byte *>(context.scratch->data());
  resources.scratchBytes = executable.tables->scratchBytes;
  resources.threads = context.threads;
  resources.nanoseconds = nanoseconds;
  if (plan.microseconds >= kPollingMicroseconds) {
    lastPoll = std::chrono::steady_clock::now();
    resources.interrupted = poll;
    resources.interruptedContext = this;
  }
}

bool Call::poll(void *context) {
  auto &call = *static_cast<Call *>(context);
  auto now = std::chrono::steady_clock::now();
  if (now - call.lastPoll < kPollingInterval)
    return false;
  call.lastPoll = now;
  return call.host.interrupted();
}

Status Call::takeInputs(std::span<const TensorView> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (Status status = takeInput(inputs[i], i); status.failed())
      return status;
  return Status();
}

Status Call::takeInput(const TensorView &view, size_t index) {
  const TensorSpec &expected = executable.program->inputs[index];
  if (view.dtype != expected.dtype)
    return Status::error(ErrorKind::Type,
                         executable.describeInput(index) + " has dtype " + nameOf(view.dtype) +
                             ", compiled for " + nameOf(expected.dtype) +
                             "; cast it, or call ts.from_pytorch again with example inputs of "
                             "this dtype");
  bool sameShape = size_t(view.rank) == expected.sizes.size() &&
                   (view.rank == 0 || std::memcmp(view.sizes, expected.sizes.data(),
                                                  size_t(view.rank) * sizeof(int64_t)) == 0);
  if (!sameShape)
    return Status::error(ErrorKind::Value,
                         executable.describeInput(index) + " has shape " +
                             formatShape(view.sizes, size_t(view.rank)) + ", compiled for " +
                             formatShape(expected.sizes) +
                             "; call ts.from_pytorch again with example inputs of this shape");
  if (!view.data && expected.numElements() != 0)
    return Status::error(ErrorKind::Value, executable.describeInput(index) +
                                               " has no memory: its storage was freed, or it is "
                                               "a meta or fake tensor");
  const std::vector<int32_t> &storages = executable.tables->inputStorages[index];
  if (sameLayout(view, expected)) {
    // An empty tensor may come without an address; views of it still need one to count from.
    alignas(64) static std::byte nowhere[64];
    for (int32_t storage : storages)
      context.setBase(storage, view.data ? view.data : nowhere);
    return Status();
  }
  if (storages.empty())
    return Status();
  // Kernels are made for one layout; a copy is what lets any other in.
  StorageRef copy = Storage::allocate(expected.spanBytes());
  if (!copy)
    return outOfMemory(expected.spanBytes(), executable.describeInput(index));
  copyStrided(view, copy->data(), expected.strides.data());
  executable.inputCopies.fetch_add(1, std::memory_order_relaxed);
  for (int32_t storage : storages)
    context.adopt(storage, copy);
  return Status();
}

Status Call::allocate(int32_t storage, const char *purpose) {
  int64_t bytes = executable.program->storages[storage].bytes;
  StorageRef memory = Storage::allocate(bytes);
  if (!memory)
    return outOfMemory(bytes, purpose);
  context.adopt(storage, std::move(memory));
  return Status();
}

Status Call::allocateOutputs() {
  for (int32_t storage : executable.tables->outputStorages)
    if (Status status = allocate(storage, "an output"); status.failed())
      return status;
  return Status();
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

Status Call::runSteps() {
  for (const Step &step : plan.steps) {
    for (int32_t storage : step.allocate)
      if (Status status = allocate(storage, "an intermediate result"); status.failed())
        return status;
    Status status = step.kind == Step::Kind::Island ? runIsland(list[step.begin], step.begin)
                                                    : runLaunches(step);
    if (status.failed())
      return status;
    for (int32_t storage : step.release)
      context.owners[storage] = StorageRef();
  }
  return Status();
}

Status Call::runLaunches(const Step &step) {
  std::span<const Launch> launches(context.launches.data() + step.begin, step.end - step.begin);
  bool isParallel = step.kind == Step::Kind::Parallel && resources.threads > 1;
  LaunchFailure failure = isParallel ? runInParallel(launches, resources, currentTeam())
                                     : runSerially(launches, resources);
  if (failure.status)
    return describe(failure);
  return Status();
}

std::string Call::where(const Instruction &inst) const {
  return "[" + (inst.fqn.empty() ? executable.options.name : inst.fqn) + "] ";
}

Status Call::describe(const LaunchFailure &failure) const {
  const Instruction &inst = list[failure.instruction];
  std::string source = inst.source.empty() ? "" : " (" + inst.source + ")";
  switch (failure.status) {
  case kInterrupted:
    return Status::error(ErrorKind::Interrupted, "[" + executable.options.name + "] interrupted");
  case TESSERA_INDEX_OUT_OF_RANGE:
    return Status::error(ErrorKind::Index, where(inst) +
                                               "index out of range: an index lies outside the "
                                               "dimension it selects from" +
                                               source);
  case TESSERA_DIVISION_BY_ZERO:
    return Status::error(ErrorKind::Runtime,
                         where(inst) + "integer division or remainder by zero" + source);
  case TESSERA_PROBABILITY_OUT_OF_RANGE:
    return Status::error(ErrorKind::Runtime,
                         where(inst) + "a probability is not between 0 and 1" + source);
  case TESSERA_NEGATIVE_DEVIATION:
    return Status::error(ErrorKind::Runtime,
                         where(inst) + "a standard deviation is less than 0" + source);
  case TESSERA_INVALID_WEIGHTS:
    return Status::error(ErrorKind::Runtime, where(inst) +
                                                 "the weights of a random choice must be finite, "
                                                 "not negative, and not all 0" +
                                                 source);
  case TESSERA_SINGULAR_MATRIX:
    return Status::error(ErrorKind::Runtime,
                         where(inst) + "a matrix is singular, or not positive definite" + source);
  default:
    return Status::error(ErrorKind::Runtime,
                         where(inst) + "kernel " + executable.program->kernels[inst.target].name +
                             " failed with status " + std::to_string(failure.status) + source);
  }
}

//===----------------------------------------------------------------------===//
// Islands
//===----------------------------------------------------------------------===//

Status Call::runIsland(const Instruction &inst, uint32_t index) {
  if (host.interrupted())
    return describe({kInterrupted, index});
  std::vector<Tensor> arguments(inst.inputs.size()), results;
  for (size_t i = 0; i < arguments.size(); ++i)
    if (Status status = shareValue(inst.inputs[i], arguments[i]); status.failed())
      return status;
  auto start = std::chrono::steady_clock::now();
  Status status = host.callIsland(inst.target, arguments, results);
  if (resources.nanoseconds)
    resources.nanoseconds[index] +=
        uint64_t(std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
  if (status.failed()) {
    // The host's own error travels back untouched.
    if (status.kind() == ErrorKind::Host)
      return status;
    std::string source = inst.source.empty() ? "" : " (" + inst.source + ")";
    return Status::error(status.kind(), where(inst) + status.message() + source);
  }
  if (results.size() != inst.outputs.size())
    return Status::error(ErrorKind::Runtime, where(inst) + "island " + std::to_string(inst.target) +
                                                 " returned " + std::to_string(results.size()) +
                                                 " tensors, expected " +
                                                 std::to_string(inst.outputs.size()));
  for (size_t i = 0; i < results.size(); ++i)
    if (Status status = takeIslandResult(inst, i, results[i]); status.failed())
      return status;
  return Status();
}

Status Call::takeIslandResult(const Instruction &inst, size_t index, const Tensor &result) {
  const ValueSpec &value = executable.program->values[inst.outputs[index]];
  const TensorSpec &expected = value.type, &given = result.spec();
  if (given.dtype != expected.dtype || given.sizes != expected.sizes)
    return Status::error(ErrorKind::Runtime,
                         where(inst) + "island " + std::to_string(inst.target) + " returned " +
                             nameOf(given.dtype) + " " + formatShape(given.sizes) + " as result " +
                             std::to_string(index) + ", compiled for " + nameOf(expected.dtype) +
                             " " + formatShape(expected.sizes) +
                             "; an island must return what it returned when it was captured");
  StorageRef owner = result.owner();
  void *data = result.data();
  if (!sameLayout(result.view(), expected)) {
    owner = Storage::allocate(expected.spanBytes());
    if (!owner)
      return outOfMemory(expected.spanBytes(), "an island's result");
    data = owner->data();
    copyStrided(result.view(), data, expected.strides.data());
  }
  context.owners[value.storage] = std::move(owner);
  context.setBase(value.storage, static_cast<std::byte *>(data) - value.byteOffset);
  return Status();
}

Status Call::shareValue(int32_t index, Tensor &tensor) {
  const ValueSpec &value = executable.program->values[index];
  const StorageSpec &storage = executable.program->storages[value.storage];
  const std::shared_ptr<const TensorSpec> &spec = executable.tables->valueSpecs[index];
  auto *base = static_cast<std::byte *>(context.bases[value.storage]);
  void *data = base ? base + value.byteOffset : nullptr;
  StorageRef owner = context.owners[value.storage];
  bool readOnly = false;
  switch (storage.kind) {
  case StorageSpec::Kind::Input:
    // Owned already when the input was copied or has been shared before.
    if (!owner) {
      Tensor input = host.retainInput(size_t(storage.index));
      // What must not be written to is not shared: an island or the caller might.
      if (input.readOnly())
        break;
      owner = input.owner();
      context.owners[value.storage] = owner;
    }
    break;
  case StorageSpec::Kind::Parameter: {
    const Tensor &parameter = context.binding->parameters[storage.index];
    // A parameter the program reads through a copy is handed out as that: a copy.
    if (parameter.data() == context.bases[value.storage]) {
      owner = parameter.owner();
      readOnly = parameter.readOnly();
    }
    break;
  }
  default:
    break;
  }
  tensor = Tensor(owner, data, spec, readOnly);
  if (owner && !executable.tables->reversed[index])
    return Status();
  // The memory belongs to the program (arena, constants, prepared weights): whoever gets the
  // tensor may keep it or write to it, so it gets its own.
  Tensor copy = Tensor::empty(spec->dtype, spec->sizes);
  if (!copy.defined())
    return outOfMemory(spec->spanBytes(), "a copy of an intermediate result");
  copyStrided(tensor.view(), copy.data(), copy.spec().strides.data());
  tensor = std::move(copy);
  return Status();
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

Status Call::giveOutputs(std::span<Tensor> outputs) {
  const std::vector<int32_t> &values = executable.program->outputs;
  for (size_t i = 0; i < values.size(); ++i) {
    int32_t storage = executable.program->values[values[i]].storage;
    StorageSpec::Kind kind = executable.program->storages[storage].kind;
    if (kind == StorageSpec::Kind::Output && !executable.tables->reversed[values[i]]) {
      // The usual case, without the switch above.
      const ValueSpec &value = executable.program->values[values[i]];
      outputs[i] = Tensor(executable.tables->lastOfStorage[i] ? std::move(context.owners[storage])
                                                              : context.owners[storage],
                          static_cast<std::byte *>(context.bases[storage]) + value.byteOffset,
                          executable.tables->valueSpecs[values[i]]);
      continue;
    }
    if (executable.passThrough[i] >= 0 && !context.owners[storage])
      continue;
    if (Status status = shareValue(values[i], outputs[i]); status.failed())
      return status;
  }
  return Status();
}

void Call::finish() {
  for (int32_t storage : executable.tables->dynamicStorages)
    context.owners[storage] = StorageRef();
}
