//===- Executable.cpp - a program ready to be called -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Executable.h"

#include "runtime/Call.h"
#include "runtime/StridedCopy.h"
#include "runtime/Team.h"
#include "runtime/Threads.h"

#include <algorithm>
#include <cstring>

using namespace tessera::runtime;

//===----------------------------------------------------------------------===//
// Making one
//===----------------------------------------------------------------------===//

namespace {

/// Pieces of neighbouring threads stay off each other's cache lines and pages' first lines.
int64_t roundScratch(int64_t bytes) { return (bytes + 63) / 64 * 64 + 64; }

int64_t roundToLine(int64_t bytes) {
  constexpr auto line = int64_t(Storage::kAlignment);
  return (std::max<int64_t>(bytes, 1) + line - 1) / line * line;
}

/// The input that the value is exactly, or -1.
int32_t inputBehind(const Program &program, int32_t index) {
  const ValueSpec &value = program.values[index];
  const StorageSpec &storage = program.storages[value.storage];
  if (storage.kind != StorageSpec::Kind::Input || value.byteOffset != 0)
    return -1;
  const TensorSpec &input = program.inputs[storage.index];
  bool same = value.type.dtype == input.dtype && value.type.sizes == input.sizes &&
              value.type.strides == input.strides;
  return same ? int32_t(storage.index) : -1;
}

} // namespace

Executable::Executable(std::shared_ptr<const Program> program, Options options)
    : program(std::move(program)), options(std::move(options)) {
  this->options.threads = std::max(this->options.threads, 0);
}

Status Executable::create(std::shared_ptr<const Program> program, Options options,
                          std::unique_ptr<Executable> &executable) {
  if (Status status = checkProgram(*program); status.failed())
    return status;
  std::unique_ptr<Executable> made(new Executable(std::move(program), std::move(options)));
  const Program &code = *made->program;
  auto tables = std::make_unique<Tables>();
  tables->main = makePlan(code, code.main, made->plannedThreads());
  for (const auto &constant : code.constants) {
    // Vectors are aligned to 16 bytes only; kernels like whole cache lines.
    StorageRef copy = Storage::allocate(int64_t(constant->size()));
    if (!copy)
      return outOfMemory(int64_t(constant->size()), "a constant");
    std::memcpy(copy->data(), constant->data(), constant->size());
    tables->constants.push_back(std::move(copy));
  }
  for (const ValueSpec &value : code.values) {
    tables->valueSpecs.push_back(std::make_shared<TensorSpec>(value.type));
    const std::vector<int64_t> &strides = value.type.strides;
    tables->reversed.push_back(
        std::any_of(strides.begin(), strides.end(), [](int64_t stride) { return stride < 0; }));
  }
  tables->inputStorages.resize(code.inputs.size());
  for (size_t i = 0; i < code.storages.size(); ++i) {
    StorageSpec::Kind kind = code.storages[i].kind;
    if (kind == StorageSpec::Kind::Input)
      tables->inputStorages[code.storages[i].index].push_back(int32_t(i));
    if (kind == StorageSpec::Kind::Output)
      tables->outputStorages.push_back(int32_t(i));
    if (kind == StorageSpec::Kind::Input || kind == StorageSpec::Kind::Output ||
        kind == StorageSpec::Kind::Heap || kind == StorageSpec::Kind::Island)
      tables->dynamicStorages.push_back(int32_t(i));
  }
  tables->readByMain.resize(code.storages.size());
  auto read = [&](int32_t value) {
    auto storage = size_t(code.values[size_t(value)].storage);
    if (!tables->readByMain[storage] && code.storages[storage].kind == StorageSpec::Kind::Prepared)
      tables->preparedOrder.push_back(int32_t(storage));
    tables->readByMain[storage] = true;
  };
  for (const Instruction &inst : code.main)
    std::for_each(inst.inputs.begin(), inst.inputs.end(), read);
  std::for_each(code.outputs.begin(), code.outputs.end(), read);
  for (const KernelSpec &kernel : code.kernels)
    tables->scratchBytes = std::max(tables->scratchBytes, roundScratch(kernel.scratchBytes));
  for (size_t i = 0; i < code.outputs.size(); ++i) {
    int32_t storage = code.values[code.outputs[i]].storage;
    auto shares = [&](int32_t later) { return code.values[later].storage == storage; };
    tables->lastOfStorage.push_back(
        std::none_of(code.outputs.begin() + int64_t(i) + 1, code.outputs.end(), shares));
    made->passThrough.push_back(inputBehind(code, code.outputs[i]));
  }
  for (const Step &step : tables->main.steps)
    made->withIslands |= step.kind == Step::Kind::Island;
  made->tables = std::move(tables);
  if (made->options.pool)
    made->preparations = describePreparations(code);
  findOpenMPTeam();
  executable = std::move(made);
  return Status();
}

Executable::~Executable() {
  for (std::atomic<Context *> &slot : kept)
    delete slot.exchange(nullptr, std::memory_order_acquire);
}

int64_t Executable::callBytes() const {
  return program->arenaBytes + tables->scratchBytes * threadsNow();
}

int Executable::threadsNow() const {
  return options.threads == 0 ? defaultThreads() : options.threads;
}

double Executable::predictedMicroseconds() const { return tables->main.microseconds; }

Executable::Counters Executable::counters() const {
  return {prepares.load(std::memory_order_relaxed), inputCopies.load(std::memory_order_relaxed)};
}

std::string Executable::describeInput(size_t index) const {
  std::string name =
      index < program->inputNames.size() ? program->inputNames[index] : std::to_string(index);
  return "[" + options.name + "] input '" + name + "'";
}

std::string Executable::describeParameter(size_t index) const {
  return "[" + options.name + "] parameter '" + program->parameters[index].name + "'";
}

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

bool Executable::copiesParameter(const TensorView &view, size_t index) const {
  return !sameLayout(view, program->parameters[index].type);
}

Status Executable::checkParameter(const Tensor &tensor, size_t index) const {
  const TensorSpec &expected = program->parameters[index].type, &given = tensor.spec();
  if (given.dtype != expected.dtype)
    return Status::error(ErrorKind::Type,
                         describeParameter(index) + " has dtype " + nameOf(given.dtype) +
                             ", compiled for " + nameOf(expected.dtype) +
                             "; call ts.from_pytorch again after changing a model's dtype");
  if (given.sizes != expected.sizes)
    return Status::error(ErrorKind::Value,
                         describeParameter(index) + " has shape " + formatShape(given.sizes) +
                             ", compiled for " + formatShape(expected.sizes) +
                             "; call ts.from_pytorch again after changing a model's shapes");
  if (!tensor.data() && expected.numElements() != 0)
    return Status::error(ErrorKind::Value,
                         describeParameter(index) + " has no memory: its storage was freed");
  return Status();
}

ParameterStamps Executable::stampsOf(size_t storage, const Binding &binding,
                                     std::span<const int64_t> writes) const {
  ParameterStamps stamps;
  for (int32_t index : preparations[storage].parameters)
    stamps.emplace_back(binding.parameters[size_t(index)].data(),
                        size_t(index) < writes.size() ? writes[size_t(index)] : 0);
  return stamps;
}

std::vector<Tensor> Executable::sourcesOf(size_t storage, const Binding &binding) const {
  std::vector<Tensor> sources;
  for (int32_t index : preparations[storage].parameters)
    sources.push_back(binding.parameters[size_t(index)]);
  return sources;
}

StorageRef Executable::fromPool(size_t storage, const Binding &binding,
                                std::span<const int64_t> writes) const {
  if (!options.pool || writes.empty() || preparations[storage].text.empty())
    return StorageRef();
  return options.pool->find(preparations[storage].text, stampsOf(storage, binding, writes));
}

std::vector<Instruction> Executable::unprepared(std::vector<bool> &ready) const {
  // What only other preparations read is not kept, and made again only for those that need it.
  std::vector<bool> wanted = tables->readByMain;
  auto storageOf = [&](int32_t value) { return size_t(program->values[size_t(value)].storage); };
  std::vector<Instruction> list;
  for (size_t i = program->prepare.size(); i-- > 0;) {
    const Instruction &inst = program->prepare[i];
    bool isMissing = std::any_of(inst.outputs.begin(), inst.outputs.end(), [&](int32_t output) {
      return wanted[storageOf(output)] && !ready[storageOf(output)];
    });
    if (!isMissing)
      continue;
    // All results anew: what is ready may be somebody else's as well.
    for (int32_t output : inst.outputs)
      ready[storageOf(output)] = false;
    for (int32_t input : inst.inputs)
      wanted[storageOf(input)] = true;
    list.push_back(inst);
  }
  std::reverse(list.begin(), list.end());
  return list;
}

Status Executable::prepare(const std::shared_ptr<Binding> &binding,
                           const std::vector<Instruction> &list, Host &host) const {
  if (list.empty())
    return Status();
  Plan plan = makePlan(*program, list, plannedThreads());
  Context context(*this, plan, list);
  if (!context.allocate())
    return outOfMemory(callBytes(), "the arena and the threads' scratch");
  context.setBinding(binding);
  Call call(*this, context, list, host, nullptr);
  if (Status status = call.runSteps(); status.failed())
    return status;
  prepares.fetch_add(1, std::memory_order_relaxed);
  return Status();
}

Status Executable::allocatePrepared(const std::vector<bool> &wanted,
                                    std::vector<StorageRef> &prepared) const {
  int64_t bytes = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i])
      continue;
    // What only other preparations read is given back before the others are.
    if (tables->readByMain[i])
      bytes += roundToLine(program->storages[i].bytes);
    else if (!(prepared[i] = Storage::allocate(program->storages[i].bytes)))
      return outOfMemory(program->storages[i].bytes, "prepared weights");
  }
  if (bytes == 0)
    return Status();
  StorageRef block = Storage::allocateLasting(bytes);
  if (!block)
    return outOfMemory(bytes, "prepared weights");
  auto *begin = static_cast<std::byte *>(block->data());
  for (size_t i : tables->preparedOrder) {
    if (!wanted[i])
      continue;
    int64_t size = program->storages[i].bytes;
    prepared[i] = Storage::foreign(
        begin, size, [](void *context) { delete static_cast<StorageRef *>(context); },
        new StorageRef(block));
    begin += roundToLine(size);
  }
  return Status();
}

Status Executable::bindPrepared(const std::shared_ptr<Binding> &made, Host &host,
                                std::span<const int64_t> writes) const {
  size_t count = program->storages.size();
  std::vector<StorageRef> prepared(count);
  std::vector<bool> ready(count);
  for (size_t i = 0; i < count; ++i)
    if (program->storages[i].kind == StorageSpec::Kind::Prepared && tables->readByMain[i])
      ready[i] = bool(prepared[i] = fromPool(i, *made, writes));
  std::vector<Instruction> list = unprepared(ready);
  std::vector<bool> isFresh(count);
  for (const Instruction &inst : list)
    for (int32_t output : inst.outputs)
      isFresh[size_t(program->values[size_t(output)].storage)] = true;
  if (Status status = allocatePrepared(isFresh, prepared); status.failed())
    return status;
  for (size_t i = 0; i < count; ++i)
    if (prepared[i])
      made->bases[i] = prepared[i]->data();
  if (Status status = prepare(made, list, host); status.failed())
    return status;
  for (size_t i = 0; i < count; ++i) {
    if (!prepared[i])
      continue;
    if (!tables->readByMain[i]) {
      made->bases[i] = nullptr;
      continue;
    }
    if (options.pool && !writes.empty() && !ready[i] && !preparations[i].text.empty())
      options.pool->put(preparations[i].text, stampsOf(i, *made, writes), prepared[i],
                        sourcesOf(i, *made));
    made->preparedBytes += program->storages[i].bytes;
    made->owned.push_back(std::move(prepared[i]));
  }
  return Status();
}

Status Executable::bind(std::vector<Tensor> parameters, Host &host,
                        std::shared_ptr<const Binding> &binding,
                        std::span<const int64_t> writes) const {
  if (parameters.size() != program->parameters.size())
    return Status::error(ErrorKind::Value, "[" + options.name + "] got " +
                                               std::to_string(parameters.size()) +
                                               " parameters, compiled for " +
                                               std::to_string(program->parameters.size()));
  auto made = std::make_shared<Binding>();
  made->bases.resize(program->storages.size());
  std::vector<void *> addresses;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (Status status = checkParameter(parameters[i], i); status.failed())
      return status;
    addresses.push_back(parameters[i].data());
    const TensorSpec &expected = program->parameters[i].type;
    if (sameLayout(parameters[i].view(), expected))
      continue;
    StorageRef copy = Storage::allocate(expected.spanBytes());
    if (!copy)
      return outOfMemory(expected.spanBytes(), describeParameter(i));
    copyStrided(parameters[i].view(), copy->data(), expected.strides.data());
    addresses.back() = copy->data();
    made->owned.push_back(std::move(copy));
  }
  made->parameters = std::move(parameters);
  for (size_t i = 0; i < program->storages.size(); ++i) {
    const StorageSpec &storage = program->storages[i];
    if (storage.kind == StorageSpec::Kind::Parameter)
      made->bases[i] = addresses[storage.index];
    else if (storage.kind == StorageSpec::Kind::Constant)
      made->bases[i] = tables->constants[storage.index]->data();
  }
  if (Status status = bindPrepared(made, host, writes); status.failed())
    return status;
  binding = std::move(made);
  return Status();
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

Executable::Context *Executable::acquire(const std::shared_ptr<const Binding> &binding) const {
  Context *context = nullptr;
  for (std::atomic<Context *> &slot : kept)
    // The load spares the exchange where there is nothing to get.
    if (slot.load(std::memory_order_relaxed) &&
        (context = slot.exchange(nullptr, std::memory_order_acquire)))
      break;
  if (!context)
    context = new Context(*this, tables->main, program->main);
  if (!context->allocate()) {
    delete context;
    return nullptr;
  }
  if (!context->isBoundTo(binding))
    context->setBinding(binding);
  return context;
}

void Executable::recycle(Context *context) const {
  context->release();
  for (std::atomic<Context *> &slot : kept) {
    Context *empty = nullptr;
    if (!slot.load(std::memory_order_relaxed) &&
        slot.compare_exchange_strong(empty, context, std::memory_order_release,
                                     std::memory_order_relaxed))
      return;
  }
  delete context;
}

Status Executable::run(const std::shared_ptr<const Binding> &binding,
                       std::span<const TensorView> inputs, Host &host, std::span<Tensor> outputs,
                       uint64_t *nanoseconds) const {
  if (inputs.size() != program->inputs.size())
    return Status::error(ErrorKind::Type,
                         "[" + options.name + "] got " + std::to_string(inputs.size()) +
                             " tensors, compiled for " + std::to_string(program->inputs.size()));
  Context *context = acquire(binding);
  if (!context)
    return outOfMemory(callBytes(), "the arena and the threads' scratch");
  Call call(*this, *context, program->main, host, nanoseconds);
  Status status = call.takeInputs(inputs);
  if (!status.failed())
    status = call.allocateOutputs();
  if (!status.failed())
    status = call.runSteps();
  if (!status.failed())
    status = call.giveOutputs(outputs);
  call.finish();
  recycle(context);
  return status;
}
