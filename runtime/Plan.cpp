//===- Plan.cpp - an instruction list made ready to run ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Plan.h"

#include <algorithm>

using namespace tessera::runtime;

namespace {

/// Deliberately fast figures for one thread, so that a launch is split only where that pays.
constexpr double kFlopsPerMicrosecond = 1e5;
constexpr double kBytesPerMicrosecond = 2e4;
/// Waking a team costs one to two microseconds while its threads spin and tens when they
/// sleep; a phase boundary inside the region about one.
constexpr double kWorthWaking = 15;
constexpr double kWorthSplitting = 3;
/// Serial work in the midst of a region keeps the other threads spinning.
constexpr double kLongestGap = 100;
/// A kernel nothing was said about may take long.
constexpr double kUnknownCost = 1000;

/// What one thread is taken to need for the kernel; negative when its work was not given.
double predictedMicroseconds(const KernelSpec &kernel) {
  if (kernel.flops == 0 && kernel.bytes == 0)
    return -1;
  return std::max(kernel.flops / kFlopsPerMicrosecond, kernel.bytes / kBytesPerMicrosecond);
}

bool isWorthSplitting(const KernelSpec &kernel) {
  if (kernel.units <= std::max<int64_t>(kernel.grain, 1))
    return false;
  double cost = predictedMicroseconds(kernel);
  return cost < 0 || cost >= kWorthSplitting;
}

class Planner {
public:
  Planner(const Program &program, const std::vector<Instruction> &list, int threads)
      : program(program), list(list), threads(threads) {}
  Plan run();

private:
  void addLaunch(uint32_t instruction);
  void closeRun();
  uint32_t addRegion(uint32_t begin, uint32_t end);
  void addStep(Step::Kind kind, uint32_t begin, uint32_t end);
  void planLifetimes();
  const KernelSpec &kernelOf(uint32_t launch) const {
    return program.kernels[list[plan.launches[launch].instruction].target];
  }

  const Program &program;
  const std::vector<Instruction> &list;
  int threads;
  Plan plan;
  uint32_t runBegin = 0; ///< first launch since the last island
};

} // namespace

Plan Planner::run() {
  plan.patches.resize(program.storages.size());
  for (uint32_t i = 0; i < list.size(); ++i) {
    if (list[i].kind == Instruction::Kind::Launch) {
      addLaunch(i);
      continue;
    }
    closeRun();
    addStep(Step::Kind::Island, i, i + 1);
  }
  closeRun();
  planLifetimes();
  return std::move(plan);
}

void Planner::addLaunch(uint32_t instruction) {
  const Instruction &inst = list[instruction];
  plan.launches.push_back({instruction, plan.slots});
  for (const auto *values : {&inst.inputs, &inst.outputs})
    for (int32_t index : *values) {
      const ValueSpec &value = program.values[index];
      plan.patches[value.storage].push_back({plan.slots++, value.byteOffset});
    }
  double cost = predictedMicroseconds(program.kernels[inst.target]);
  plan.microseconds += cost < 0 ? kUnknownCost : cost;
}

/// Cuts the launches since the last island into serial and parallel steps.
void Planner::closeRun() {
  uint32_t end = uint32_t(plan.launches.size());
  while (runBegin < end)
    runBegin = addRegion(runBegin, end);
}

/// Adds what comes up to the end of the first parallel region; returns where that is.
uint32_t Planner::addRegion(uint32_t begin, uint32_t end) {
  uint32_t first = begin;
  while (first < end && (threads <= 1 || !isWorthSplitting(kernelOf(first))))
    ++first;
  uint32_t last = first;
  double work = 0, gap = 0;
  for (uint32_t i = first; i < end && gap <= kLongestGap; ++i) {
    double cost = predictedMicroseconds(kernelOf(i));
    if (!isWorthSplitting(kernelOf(i))) {
      gap += std::max(cost, 0.0);
      continue;
    }
    work += cost < 0 ? kWorthWaking : cost;
    gap = 0;
    last = i + 1;
  }
  if (work < kWorthWaking) {
    addStep(Step::Kind::Serial, begin, last);
    return last;
  }
  addStep(Step::Kind::Serial, begin, first);
  addStep(Step::Kind::Parallel, first, last);
  plan.phases = std::max(plan.phases, last - first);
  return last;
}

void Planner::addStep(Step::Kind kind, uint32_t begin, uint32_t end) {
  if (begin == end)
    return;
  if (kind == Step::Kind::Serial && !plan.steps.empty() && plan.steps.back().kind == kind)
    plan.steps.back().end = end;
  else
    plan.steps.push_back({kind, begin, end, {}, {}});
}

/// Finds the first and the last step that touches each storage outside the arena.
void Planner::planLifetimes() {
  constexpr uint32_t kNever = ~0u;
  std::vector<uint32_t> first(program.storages.size(), kNever), last(first);
  for (uint32_t s = 0; s < plan.steps.size(); ++s) {
    const Step &step = plan.steps[s];
    for (uint32_t i = step.begin; i < step.end; ++i) {
      uint32_t index = step.kind == Step::Kind::Island ? i : plan.launches[i].instruction;
      for (const auto *values : {&list[index].inputs, &list[index].outputs})
        for (int32_t value : *values) {
          int32_t storage = program.values[value].storage;
          first[storage] = std::min(first[storage], s);
          last[storage] = s;
        }
    }
  }
  std::vector<bool> returned(program.storages.size());
  for (int32_t value : program.outputs)
    returned[program.values[value].storage] = true;
  for (size_t i = 0; i < program.storages.size(); ++i) {
    StorageSpec::Kind kind = program.storages[i].kind;
    bool heap = kind == StorageSpec::Kind::Heap;
    if (first[i] == kNever || (!heap && kind != StorageSpec::Kind::Island))
      continue;
    if (heap)
      plan.steps[first[i]].allocate.push_back(int32_t(i));
    if (!returned[i])
      plan.steps[last[i]].release.push_back(int32_t(i));
  }
}

Plan tessera::runtime::makePlan(const Program &program, const std::vector<Instruction> &list,
                                int threads) {
  return Planner(program, list, threads).run();
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

namespace {

Status broken(const std::string &what) {
  return Status::error(ErrorKind::Runtime, "internal error: malformed program: " + what);
}

Status checkStorage(const Program &program, size_t index) {
  const StorageSpec &storage = program.storages[index];
  std::string name = "storage " + std::to_string(index);
  size_t count = ~size_t(0);
  int64_t bytes = storage.bytes;
  switch (storage.kind) {
  case StorageSpec::Kind::Input:
    count = program.inputs.size();
    break;
  case StorageSpec::Kind::Parameter:
    count = program.parameters.size();
    break;
  case StorageSpec::Kind::Constant:
    count = program.constants.size();
    break;
  case StorageSpec::Kind::Arena:
    if (storage.offset < 0 || storage.offset + bytes > program.arenaBytes)
      return broken(name + " lies outside the arena");
    break;
  default:
    break;
  }
  if (bytes < 0 || storage.index < 0 || size_t(storage.index) >= count)
    return broken(name + " has no such index");
  return Status();
}

Status checkList(const Program &program, const std::vector<Instruction> &list) {
  for (const Instruction &inst : list) {
    std::string name = "instruction at '" + inst.fqn + "'";
    for (const auto *values : {&inst.inputs, &inst.outputs})
      for (int32_t value : *values)
        if (value < 0 || size_t(value) >= program.values.size())
          return broken(name + " names value " + std::to_string(value));
    if (inst.kind != Instruction::Kind::Launch)
      continue;
    if (inst.target < 0 || size_t(inst.target) >= program.kernels.size())
      return broken(name + " names kernel " + std::to_string(inst.target));
    if (!program.kernels[inst.target].entry)
      return broken(name + ": kernel " + program.kernels[inst.target].name + " has no code");
  }
  return Status();
}

} // namespace

Status tessera::runtime::checkProgram(const Program &program) {
  for (size_t i = 0; i < program.storages.size(); ++i)
    if (Status status = checkStorage(program, i); status.failed())
      return status;
  for (const ValueSpec &value : program.values) {
    if (value.storage < 0 || size_t(value.storage) >= program.storages.size())
      return broken("a value names storage " + std::to_string(value.storage));
    if (value.type.sizes.size() != value.type.strides.size())
      return broken("a value has other sizes than strides");
  }
  for (int32_t value : program.outputs)
    if (value < 0 || size_t(value) >= program.values.size())
      return broken("an output names value " + std::to_string(value));
  if (Status status = checkList(program, program.prepare); status.failed())
    return status;
  return checkList(program, program.main);
}
