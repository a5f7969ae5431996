//===- Compiler.cpp - compiling from Python ----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/Compiler.h"
#include "python/bindings/Bindings.h"
#include "python/bindings/FamilyObject.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

using namespace tessera;
using namespace tessera::bindings;
using namespace nb::literals;

namespace {

/// Tuned points, made once for all the compilations that read them.
struct PointsObject {
  std::shared_ptr<const PointTable> table;
};

/// Runs `work` without the interpreter's lock; RuntimeError with its message when it fails.
template <typename Work> auto unlocked(Work work) {
  std::string message;
  {
    nb::gil_scoped_release release;
    auto result = work();
    if (result)
      return std::move(*result);
    message = result.message();
  }
  PyErr_SetString(PyExc_RuntimeError, message.c_str());
  throw nb::python_error();
}

CompiledProgram compileModule(const GraphModule &module, const std::string &cpu, int threads,
                              const std::string &cacheDir, uint64_t cacheBytes,
                              const FamilyObject *shared, CompileProgress *progress,
                              const PointsObject *points, bool prepack) {
  CompileOptions options{cpu,
                         threads,
                         cacheDir,
                         cacheBytes,
                         shared ? shared->family : nullptr,
                         progress,
                         points ? points->table : nullptr,
                         prepack};
  return unlocked([&] { return compile(module, options); });
}

int noteModule(const GraphModule &module, const FamilyObject &shared, const std::string &cpu,
               int threads, const PointsObject *points, bool prepack) {
  CompileOptions options{
      cpu, threads, "", 0, shared.family, nullptr, points ? points->table : nullptr, prepack};
  return unlocked([&] { return noteSizes(module, options); });
}

CompiledProgram compileAlone(const std::string &module, const std::string &point, int threads) {
  CompileOptions options{"", threads, "", 0, nullptr, nullptr, nullptr};
  return unlocked([&] { return compileKernel(module, point, options); });
}

std::string irOf(const CompiledProgram &compiled, const std::string &level, bool locations) {
  Result<std::string> text = compiled.ir(level, locations);
  if (!text)
    throw nb::value_error(text.message().c_str());
  return std::move(*text);
}

nb::list instructionsOf(const CompiledProgram &compiled) {
  using Kind = runtime::Instruction::Kind;
  nb::list list;
  for (const runtime::Instruction &inst : compiled.program->main) {
    nb::dict dict;
    bool launch = inst.kind == Kind::Launch;
    dict["kind"] = launch ? "launch" : "island";
    dict["target"] = inst.target;
    dict["kernel"] = launch ? compiled.program->kernels[size_t(inst.target)].name : "";
    dict["fqn"] = inst.fqn;
    dict["source"] = inst.source;
    list.append(dict);
  }
  return list;
}

/// (dtype, shape) of a contiguous tensor.
nb::tuple specOf(const runtime::TensorSpec &spec) {
  return nb::make_tuple(runtime::nameOf(spec.dtype), toTuple(spec.sizes));
}

void defineReports(nb::module_ &m) {
  nb::class_<SourceLocation>(m, "SourceLocation", "Module path, file and line of an op.")
      .def_ro("fqn", &SourceLocation::fqn)
      .def_ro("file", &SourceLocation::file)
      .def_ro("line", &SourceLocation::line);
  nb::class_<KernelReport>(m, "KernelReport", "What the report says of one launch.")
      .def_ro("name", &KernelReport::name)
      .def_ro("kind", &KernelReport::kind)
      .def_ro("schedule", &KernelReport::schedule)
      .def_ro("standard", &KernelReport::standard)
      .def_ro("tuned", &KernelReport::tuned)
      .def_ro("fused", &KernelReport::fused)
      .def_ro("apart", &KernelReport::apart)
      .def_ro("origins", &KernelReport::origins)
      .def_ro("flops", &KernelReport::flops)
      .def_ro("bytes", &KernelReport::bytes)
      .def_ro("cached", &KernelReport::cached);
  nb::class_<CompileTimings>(m, "CompileTimings", "Where compiling spent its time.")
      .def_ro("graph_ms", &CompileTimings::graphMs)
      .def_ro("schedule_ms", &CompileTimings::scheduleMs)
      .def_ro("tile_ms", &CompileTimings::tileMs)
      .def_ro("code_ms", &CompileTimings::codeMs)
      .def_ro("kernels", &CompileTimings::kernels)
      .def_ro("cache_hits", &CompileTimings::cacheHits);
  nb::class_<MemoryPlan>(m, "MemoryPlan", "Bytes besides inputs and outputs.")
      .def_ro("arena", &MemoryPlan::arena)
      .def_ro("live", &MemoryPlan::live)
      .def_ro("prepared", &MemoryPlan::prepared)
      .def_ro("parameters", &MemoryPlan::parameters);
  nb::class_<CompileProgress>(m, "CompileProgress", "How far a compilation is, while it runs.")
      .def(nb::init<>())
      .def_prop_ro("total", [](const CompileProgress &self) { return self.total.load(); })
      .def_prop_ro("done", [](const CompileProgress &self) { return self.done.load(); });
  nb::class_<HostInfo>(m, "HostInfo", "The machine and the compiler.")
      .def_ro("cpu", &HostInfo::cpu)
      .def_ro("features", &HostInfo::features)
      .def_ro("vector_bits", &HostInfo::vectorBits)
      .def_ro("llvm_version", &HostInfo::llvmVersion)
      .def_ro("compiler_build", &HostInfo::compilerBuild);
}

void defineTuning(nb::module_ &m) {
  nb::class_<PointsObject>(m, "PointTable", "Tuned points, printed, by the keys of their kernels.")
      .def(
          "__init__",
          [](PointsObject *self, PointTable points) {
            new (self) PointsObject{std::make_shared<const PointTable>(std::move(points))};
          },
          "points"_a)
      .def("__len__", [](const PointsObject &self) { return self.table->size(); });
  nb::class_<TunableKernel>(m, "TunableKernel", "A kernel that has points to choose from.")
      .def_ro("key", &TunableKernel::key)
      .def_ro("kind", &TunableKernel::kind)
      .def_ro("shape", &TunableKernel::shape)
      .def_ro("standard", &TunableKernel::standard)
      .def_ro("present", &TunableKernel::present)
      .def_ro("module", &TunableKernel::module)
      .def_ro("space", &TunableKernel::space)
      .def_ro("parameters", &TunableKernel::parameters)
      .def_ro("origins", &TunableKernel::origins)
      .def_ro("launches", &TunableKernel::launches)
      .def_ro("flops", &TunableKernel::flops)
      .def_ro("bytes", &TunableKernel::bytes);
  m.def(
      "tunable_kernels",
      [](const CompiledProgram &compiled) {
        return unlocked([&] { return tunableKernels(compiled); });
      },
      "compiled"_a, "The distinct kernels of a program that have points to choose from.");
  m.def(
      "compile_kernel", &compileAlone, "module"_a, "point"_a, nb::kw_only(), "threads"_a = 1,
      "Compiles a TunableKernel's module with another point; RuntimeError where it is not legal.");
  m.def(
      "predict_points",
      [](const std::string &module, const std::vector<std::string> &points, int threads) {
        return unlocked([&] { return predictPoints(module, points, threads); });
      },
      "module"_a, "points"_a, nb::kw_only(), "threads"_a = 1,
      "Seconds each point should take: negative where it is not legal, 0 where there is no model.");
  m.def(
      "check_point", [](const std::string &text) { unlocked([&] { return checkPoint(text); }); },
      "text"_a, "RuntimeError where the text is no point of any class of kernels.");
}

} // namespace

void tessera::bindings::init_compiler(nb::module_ &m) {
  defineReports(m);
  nb::class_<CompiledProgram>(m, "CompiledProgram", "Machine code, and how it came about.")
      .def("ir", &irOf, "level"_a, "locations"_a = false,
           "The text of what runs: graph, schedule, tile, target, llvm or asm.")
      .def_ro("launches", &CompiledProgram::launches, "A KernelReport a launch, in order.")
      .def_ro("timings", &CompiledProgram::timings)
      .def_ro("memory", &CompiledProgram::memory)
      .def_prop_ro("instructions", &instructionsOf,
                   "What runs, launches and islands in order: dicts of kind, target, kernel, fqn "
                   "and source.")
      .def_prop_ro("input_names", [](const CompiledProgram &c) { return c.program->inputNames; })
      .def_prop_ro("parameter_names",
                   [](const CompiledProgram &c) {
                     std::vector<std::string> names;
                     for (const runtime::ParameterSpec &parameter : c.program->parameters)
                       names.push_back(parameter.name);
                     return names;
                   })
      .def_prop_ro("input_specs",
                   [](const CompiledProgram &c) {
                     nb::list specs;
                     for (const runtime::TensorSpec &spec : c.program->inputs)
                       specs.append(specOf(spec));
                     return specs;
                   })
      .def_prop_ro("parameter_specs", [](const CompiledProgram &c) {
        nb::list specs;
        for (const runtime::ParameterSpec &parameter : c.program->parameters)
          specs.append(specOf(parameter.type));
        return specs;
      });
  nb::class_<FamilyObject>(m, "KernelFamily",
                           "What programs of one model for different sizes share: machine code and "
                           "prepared weights.")
      .def(nb::init<>())
      .def(
          "forget", [](FamilyObject &self) { self.pool->clear(); },
          "Drops the prepared weights: parameters were written to without anybody counting.");
  defineTuning(m);
  m.def("compile", &compileModule, "module"_a, nb::kw_only(), "cpu"_a = "", "threads"_a = 1,
        "cache_dir"_a = "", "cache_bytes"_a = CompileOptions().cacheBytes,
        "family"_a.none() = nb::none(), "progress"_a.none() = nb::none(),
        "points"_a.none() = nb::none(), "prepack"_a = true,
        "Compiles Graph IR for this machine; RuntimeError with the compiler's message when that "
        "fails.");
  m.def("note_sizes", &noteModule, "module"_a, "family"_a, nb::kw_only(), "cpu"_a = "",
        "threads"_a = 1, "points"_a.none() = nb::none(), "prepack"_a = true,
        "Shows a family the kernels of a module without compiling them; gives their number.");
  m.def("host_info", &hostInfo);
}
