//===- Compile.cpp - Graph IR in, a runnable program out -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Walks the road of pipeline/Pipeline.h: the whole module to the tile level, then
// each distinct kernel on its own (on as many threads as the program will use) to
// object code, or from the cache; then the host program over the entries.
//
//===----------------------------------------------------------------------===//

#include "compiler/api/CompiledProgramImpl.h"
#include "compiler/api/GraphModuleImpl.h"
#include "compiler/api/ProgramLoader.h"
#include "compiler/conversions/GraphToSchedule/Prepared.h"
#include "compiler/conversions/TileToTarget/HostProgram.h"
#include "compiler/schedule/ir/KernelNotes.h"
#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/tuning/Isolate.h"
#include "compiler/tuning/Points.h"

#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <chrono>

using namespace mlir;
using namespace tessera;

namespace {

using Clock = std::chrono::steady_clock;
/// Milliseconds since `start`, which becomes now.
double lap(Clock::time_point &start) {
  Clock::time_point now = Clock::now();
  return std::chrono::duration<double, std::milli>(now - std::exchange(start, now)).count();
}

/// An object of the cache: the launch's extent, then the code.
std::string encode(const TileKernel &record, const std::string &object) {
  std::string bytes(sizeof(TileKernel), '\0');
  memcpy(bytes.data(), &record, sizeof(TileKernel));
  return bytes + object;
}

bool decode(const std::string &bytes, TileKernel &record, std::string &object) {
  if (bytes.size() <= sizeof(TileKernel))
    return false;
  memcpy(&record, bytes.data(), sizeof(TileKernel));
  object = bytes.substr(sizeof(TileKernel));
  return true;
}

class Compilation {
public:
  Compilation(CompiledProgram::Impl &impl, const CompileOptions &options)
      : impl(impl), options(options), cache(options.cacheDir, options.cacheBytes) {}

  /// False leaves the reason in `error`. Begins with the kernels of a module in Schedule IR where
  /// `schedule` is one.
  bool run(CompiledProgram &result, bool fromSchedule = false);
  /// Shows the kernels to the family; none is compiled.
  bool note(int &kernels);
  std::string error;

private:
  struct Job {
    std::string name, key;
    TileKernel record;
    OwningOpRef<ModuleOp> module;
    std::string object, error;
    FamilyKernel shared;
  };

  bool lower(CompileTimings &timings, bool fromSchedule = false);
  bool toSchedule(CompileTimings &timings, bool fromSchedule);
  std::optional<TileKernel> fromCache(StringRef name, StringRef key);
  std::optional<TileKernel> fromFamily(StringRef name, StringRef key);
  std::vector<Job> jobs();
  using Work = llvm::function_ref<llvm::Error(Job &, PassManager &toTarget)>;
  bool forEach(std::vector<Job> &jobs, Work work);
  llvm::Error compileOne(Job &job, PassManager &toTarget);
  bool generate();
  bool link(llvm::StringMap<TesseraKernelFn> &entries, std::shared_ptr<void> &code);
  bool load(CompiledProgram &result);
  std::string cacheKey(StringRef key) const {
    return jit::ObjectCache::key({impl.machine.key(), buildId(), key});
  }

  CompiledProgram::Impl &impl;
  const CompileOptions &options;
  jit::ObjectCache cache;
  OwningOpRef<ModuleOp> tile;
  llvm::StringMap<bool> cached;
};

} // namespace

std::optional<TileKernel> Compilation::fromCache(StringRef name, StringRef key) {
  std::optional<std::string> bytes = cache.load(cacheKey(key));
  TileKernel record;
  std::string object;
  if (!bytes || !decode(*bytes, record, object))
    return std::nullopt;
  impl.objects[name.str()] = std::move(object);
  cached[name] = true;
  return record;
}

std::optional<TileKernel> Compilation::fromFamily(StringRef name, StringRef key) {
  std::optional<SeenKernel> seen = options.family->seen(key);
  if (!seen)
    return std::nullopt;
  impl.objects[name.str()] = seen->kernel.code->object;
  impl.shared[name.str()] = std::move(seen->kernel);
  cached[name] = true;
  return TileKernel{seen->units, seen->grain, seen->scratchBytes};
}

bool Compilation::toSchedule(CompileTimings &timings, bool fromSchedule) {
  DiagnosticCollector diagnostics(&impl.graph->context);
  impl.schedule = impl.graph->module->clone();
  if (!options.prepack)
    for (auto function : impl.schedule->getOps<func::FuncOp>())
      function->setAttr(kUnprepared, UnitAttr::get(function.getContext()));
  Clock::time_point start = Clock::now();
  PassManager simplifying(&impl.graph->context), scheduling(&impl.graph->context);
  if (!fromSchedule)
    buildGraphPipeline(simplifying);
  if (failed(simplifying.run(*impl.schedule)))
    return error = diagnostics.take("the graph could not be simplified"), false;
  timings.graphMs = lap(start);
  impl.simplified = impl.schedule->clone();
  if (fromSchedule)
    buildPlacementPipeline(scheduling);
  else
    buildSchedulePipeline(scheduling, impl.pipeline);
  if (failed(scheduling.run(*impl.schedule)))
    return error = diagnostics.take("the graph could not be scheduled"), false;
  timings.scheduleMs = lap(start);
  return true;
}

bool Compilation::lower(CompileTimings &timings, bool fromSchedule) {
  if (!toSchedule(timings, fromSchedule))
    return false;
  Clock::time_point start = Clock::now();
  DiagnosticCollector diagnostics(&impl.graph->context);
  tile = impl.schedule->clone();
  PassManager tiling(&impl.graph->context);
  buildTilePipeline(tiling, [this](StringRef name, StringRef key) {
    return options.family ? fromFamily(name, key) : fromCache(name, key);
  });
  if (failed(tiling.run(*tile)))
    return error = diagnostics.take("a kernel could not be written in Tile IR"), false;
  timings.tileMs = lap(start);
  timings.cacheHits = cached.size();
  return true;
}

llvm::Error Compilation::compileOne(Job &job, PassManager &toTarget) {
  if (llvm::Error error = impl.toTarget(*job.module, toTarget))
    return error;
  auto finish = [this](ModuleOp module) { return impl.toObject(module); };
  if (!options.family) {
    llvm::Expected<std::string> object = finish(*job.module);
    if (!object)
      return object.takeError();
    job.object = std::move(*object);
    cache.store(cacheKey(job.key), encode(job.record, job.object));
    return llvm::Error::success();
  }
  std::string rest = jit::ObjectCache::key({impl.machine.key(), buildId()});
  llvm::Expected<FamilyKernel> kernel = options.family->codeFor(*job.module, cache, rest, finish);
  if (!kernel)
    return kernel.takeError();
  job.shared = std::move(*kernel);
  const TileKernel &record = job.record;
  options.family->remember(job.key, {job.shared, record.units, record.grain, record.scratchBytes});
  return llvm::Error::success();
}

std::vector<Compilation::Job> Compilation::jobs() {
  std::vector<Job> result;
  for (auto function : tile->getOps<func::FuncOp>()) {
    auto key = function->getAttrOfType<StringAttr>("tile.key");
    if (!key)
      continue;
    auto extent = function->getAttrOfType<DenseI64ArrayAttr>("tile.extent").asArrayRef();
    result.emplace_back();
    result.back().name = function.getName().str();
    result.back().key = key.getValue().str();
    result.back().record = {extent[0], extent[1], extent[2]};
    result.back().module = impl.kernelModule(function);
  }
  return result;
}

bool Compilation::forEach(std::vector<Job> &jobs, Work work) {
  DiagnosticCollector diagnostics(&impl.graph->context);
  std::atomic<size_t> next = 0;
  // Passes are set up once a thread: that takes as long as running them on a kernel.
  auto drain = [&] {
    PassManager toTarget(&impl.graph->context);
    buildTargetPipeline(toTarget);
    for (size_t i = next++; i < jobs.size(); i = next++) {
      if (llvm::Error failure = work(jobs[i], toTarget))
        jobs[i].error = llvm::toString(std::move(failure));
      if (options.progress)
        ++options.progress->done;
    }
  };
  if (jobs.size() > 1 && options.threads > 1) {
    // The context gets threads for as long as kernels are compiled: it must be able to fork
    // afterwards.
    llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.threads));
    impl.graph->context.setThreadPool(pool);
    for (int thread = 0; thread < options.threads; ++thread)
      pool.async(drain);
    pool.wait();
    impl.graph->context.disableMultithreading();
  } else {
    drain();
  }
  for (Job &job : jobs)
    if (!job.error.empty())
      return error = diagnostics.take("kernel " + job.name + " " + job.error), false;
  return true;
}

bool Compilation::generate() {
  std::vector<Job> all = jobs();
  if (options.progress)
    options.progress->total += static_cast<int>(all.size());
  if (!forEach(all, [this](Job &job, PassManager &toTarget) { return compileOne(job, toTarget); }))
    return false;
  for (Job &job : all) {
    if (options.family) {
      if (!job.shared.isNew)
        cached[job.name] = true;
      impl.objects[job.name] = job.shared.code->object;
      impl.shared[job.name] = std::move(job.shared);
    } else {
      impl.objects[job.name] = std::move(job.object);
    }
  }
  return true;
}

bool Compilation::note(int &kernels) {
  CompileTimings timings;
  if (!lower(timings))
    return false;
  std::vector<Job> all = jobs();
  kernels = static_cast<int>(all.size());
  return forEach(all, [this](Job &job, PassManager &toTarget) -> llvm::Error {
    if (llvm::Error error = impl.toTarget(*job.module, toTarget))
      return error;
    options.family->note(*job.module->getOps<func::FuncOp>().begin());
    return llvm::Error::success();
  });
}

bool Compilation::link(llvm::StringMap<TesseraKernelFn> &entries, std::shared_ptr<void> &code) {
  if (options.family) {
    for (const auto &[name, kernel] : impl.shared)
      entries[name] = kernel.code->entry;
    code = options.family;
    return true;
  }
  auto image = jit::CodeImage::create();
  if (!image)
    return error = llvm::toString(image.takeError()), false;
  for (auto &object : impl.objects) {
    auto entry = (*image)->add(object.second, object.first);
    if (!entry)
      return error = llvm::toString(entry.takeError()), false;
    entries[object.first] = *entry;
  }
  code = *image;
  return true;
}

static MemoryPlan memoryPlan(func::FuncOp main, const runtime::Program &program) {
  MemoryPlan plan;
  plan.arena = program.arenaBytes;
  if (auto live = main->getAttrOfType<IntegerAttr>("schedule.live"))
    plan.live = live.getInt();
  std::vector<bool> isRead(program.storages.size());
  for (const runtime::Instruction &inst : program.main)
    for (int32_t input : inst.inputs)
      isRead[size_t(program.values[size_t(input)].storage)] = true;
  for (size_t i = 0; i < program.storages.size(); ++i) {
    using Kind = runtime::StorageSpec::Kind;
    const runtime::StorageSpec &storage = program.storages[i];
    if (storage.kind == Kind::Prepared && isRead[i])
      plan.prepared += storage.bytes;
    if (storage.kind == Kind::Parameter)
      plan.parameters += storage.bytes;
  }
  return plan;
}

bool Compilation::load(CompiledProgram &result) {
  auto main = tile->lookupSymbol<func::FuncOp>("main");
  DiagnosticCollector diagnostics(&impl.graph->context);
  FailureOr<target::ProgramOp> program = buildHostProgram(main);
  if (failed(program))
    return error = diagnostics.take("the host program could not be written"), false;

  llvm::StringMap<TesseraKernelFn> entries;
  std::shared_ptr<void> code;
  if (!link(entries, code))
    return false;
  result.program = loadProgram(*program, entries);
  result.program->code = std::move(code);
  for (runtime::KernelSpec &kernel : result.program->kernels)
    if (auto it = impl.shared.find(kernel.name); it != impl.shared.end())
      kernel.symbols = it->second.symbols;
  result.memory = memoryPlan(main, *result.program);
  for (auto launch : main.getOps<schedule::LaunchOp>()) {
    if (launch.getPrepare())
      continue;
    KernelReport report;
    report.name = launch.getCallee().str();
    report.kind = stringifyKernelKind(launch.getKind()).str();
    if (Attribute point = launch->getAttr("point")) {
      llvm::raw_string_ostream os(report.schedule);
      os << point;
    }
    if (Attribute standard = launch->getAttr(schedule::kDefaultPointNote)) {
      llvm::raw_string_ostream os(report.standard);
      os << standard;
    }
    if (auto key = launch->getAttrOfType<StringAttr>(schedule::kTuningKeyNote))
      report.tuned = key.str();
    auto strings = [&](StringRef name, std::vector<std::string> &list) {
      if (auto notes = launch->getAttrOfType<ArrayAttr>(name))
        for (auto note : notes.getAsRange<StringAttr>())
          list.push_back(note.str());
    };
    strings(schedule::kFusedNote, report.fused);
    strings(schedule::kApartNote, report.apart);
    report.origins = sourcesOf(launch.getLoc());
    report.flops = launch.getFlops().convertToDouble();
    report.bytes = launch.getBytes().convertToDouble();
    report.cached = cached.contains(launch.getCallee());
    result.launches.push_back(std::move(report));
  }
  return true;
}

bool Compilation::run(CompiledProgram &result, bool fromSchedule) {
  if (!lower(result.timings, fromSchedule))
    return false;
  Clock::time_point start = Clock::now();
  if (!generate() || !load(result))
    return false;
  result.timings.cacheHits = cached.size();
  result.timings.codeMs = lap(start);
  result.timings.kernels = impl.objects.size();
  return true;
}

std::shared_ptr<KernelFamily> tessera::makeKernelFamily() {
  return std::make_shared<KernelFamily>();
}

/// Looks a kernel up among tuned points. What is not legal for it is left alone: a table may come
/// from anywhere.
static RecallPoint recallFrom(const CompiledProgram::Impl &impl,
                              const std::shared_ptr<const PointTable> &points) {
  if (!points || points->empty())
    return {};
  return [&impl, points](schedule::KernelOp kernel) -> Attribute {
    auto found = points->find(impl.tuningKey(kernel));
    if (found == points->end())
      return {};
    std::string why;
    Attribute point = parsePoint(kernel.getContext(), found->second, why);
    if (point && impl.pipeline.anySizes) // the entry is for a range of sizes
      point = adaptPoint(kernel, point);
    if (!point || whyIllegal(kernel, point))
      return {};
    kernel->setDiscardableAttr(schedule::kTuningKeyNote,
                               StringAttr::get(kernel.getContext(), found->first));
    return point;
  };
}

/// Runs `work` on a compilation of `module`; gives its error.
static std::string withCompilation(const GraphModule &module, const CompileOptions &options,
                                   CompiledProgram &result,
                                   llvm::function_ref<bool(Compilation &)> work) {
  auto machine = jit::machineFor(options.cpu);
  if (!machine)
    return llvm::toString(machine.takeError());
  result.impl = std::make_shared<CompiledProgram::Impl>();
  result.impl->graph = module.getImpl();
  result.impl->machine = *machine;
  result.impl->pipeline = {std::max(1, options.threads), machine->vectorBits,
                           options.family != nullptr};
  result.impl->pipeline.recall = recallFrom(*result.impl, options.points);
  std::lock_guard<std::mutex> lock(module.getImpl()->mutex);
  MLIRContext &context = module.getImpl()->context;
  prepareContext(context);
  result.impl->pipeline.bf16Dot =
      cast<target::MachineAttr>(machine->attribute(&context)).hasBF16Dot();
  Compilation compilation(*result.impl, options);
  return work(compilation) ? std::string() : compilation.error;
}

Result<CompiledProgram> tessera::compile(const GraphModule &module, const CompileOptions &options) {
  CompiledProgram result;
  std::string error = withCompilation(
      module, options, result, [&](Compilation &compilation) { return compilation.run(result); });
  return error.empty() ? Result<CompiledProgram>(std::move(result))
                       : Result<CompiledProgram>::error(error);
}

Result<CompiledProgram> tessera::compileKernel(const std::string &module, const std::string &point,
                                               const CompileOptions &options) {
  using Failure = Result<CompiledProgram>;
  Result<GraphModule> parsed = parseKernel(module);
  if (!parsed)
    return Failure::error(parsed.message());
  {
    std::lock_guard<std::mutex> lock(parsed->getImpl()->mutex);
    schedule::KernelOp kernel = kernelOf(*parsed);
    std::string why;
    Attribute chosen = parsePoint(kernel.getContext(), point, why);
    if (!chosen)
      return Failure::error("'" + point + "' is no point: " + why);
    if (std::optional<std::string> reason = whyIllegal(kernel, chosen))
      return Failure::error("the point is not legal: " + *reason);
    kernel.setPointAttr(chosen);
  }
  CompiledProgram result;
  std::string error = withCompilation(*parsed, options, result, [&](Compilation &compilation) {
    return compilation.run(result, /*fromSchedule=*/true);
  });
  return error.empty() ? Failure(std::move(result)) : Failure::error(error);
}

Result<int> tessera::noteSizes(const GraphModule &module, const CompileOptions &options) {
  if (!options.family)
    return Result<int>::error("there is no family to note sizes in");
  CompiledProgram scratch;
  int kernels = 0;
  std::string error = withCompilation(module, options, scratch, [&](Compilation &compilation) {
    return compilation.note(kernels);
  });
  return error.empty() ? Result<int>(kernels) : Result<int>::error(error);
}
