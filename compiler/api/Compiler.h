//===- Compiler.h - the compiler's only public header ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Together with the runtime's headers, this is all that bindings include: no
// LLVM or MLIR type appears here.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_API_COMPILER_H
#define TESSERA_COMPILER_API_COMPILER_H

#include "runtime/Program.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tessera {

/// A message meant for the user, or a value.
template <typename T> class Result {
public:
  Result(T value) : state(std::in_place_index<0>, std::move(value)) {}
  static Result error(std::string message) {
    Result r;
    r.state.template emplace<1>(std::move(message));
    return r;
  }
  explicit operator bool() const { return state.index() == 0; }
  T &operator*() { return std::get<0>(state); }
  T *operator->() { return &std::get<0>(state); }
  const std::string &message() const { return std::get<1>(state); }

private:
  Result() : state(std::in_place_index<1>, std::string()) {}
  std::variant<T, std::string> state;
};

/// Where an op came from: module path, file and line in the user's code.
struct SourceLocation {
  std::string fqn;
  std::string file;
  int line = 0;
};

/// A value of the graph being built.
struct GraphValue {
  int32_t id = -1;
  runtime::DType dtype = runtime::DType::F32;
  std::vector<int64_t> shape;
};

/// An attribute's value. Strings also spell enums ("sum", "eq"); a DType spells an element type.
using AttributeValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                                    std::vector<double>, runtime::DType>;
using Attributes = std::vector<std::pair<std::string, AttributeValue>>;

/// A function in Graph IR, ready to compile. Copies share the module.
class GraphModule {
public:
  struct Impl;
  explicit GraphModule(std::shared_ptr<Impl> impl);
  /// Parses Graph IR text.
  static Result<GraphModule> parse(const std::string &text);
  std::string str(bool withLocations = false) const;
  const std::shared_ptr<Impl> &getImpl() const { return impl; }

private:
  std::shared_ptr<Impl> impl;
};

/// A function that computes gradients as well, taken apart.
struct SplitGraph {
  GraphModule forward;  ///< its results are the model's, then what is saved
  GraphModule backward; ///< its results are the gradients
  /// Where the arguments of `backward` come from: the number of an argument of the whole, or of a
  /// result of `forward`.
  struct Source {
    bool saved = false;
    int64_t index = 0;
  };
  std::vector<Source> arguments;
  int64_t savedBytes = 0;
};
/// Splits `@main`, the first `results` of whose results are the model's and the others gradients,
/// and whose last `tangents` arguments are the gradients of results. `rematerialize` is "auto",
/// "none" or "full": what the backward function computes again.
Result<SplitGraph> splitJoint(const GraphModule &joint, int64_t results, int64_t tangents,
                              const std::string &rematerialize);

/// Builds `@main` op by op. Result types are inferred; an op that does not verify is an error
/// carrying the verifier's text.
class GraphBuilder {
public:
  /// With "bf16", products, convolutions and attention of f32 are computed on operands rounded to
  /// it; with "fp32", sums are those that the operators say, without fast algorithms.
  explicit GraphBuilder(const std::string &precision = "");
  ~GraphBuilder();
  GraphBuilder(GraphBuilder &&) noexcept;

  GraphValue input(const std::string &name, runtime::DType dtype, std::vector<int64_t> shape);
  /// An input before all others, whose sizes setInputShape() gives when its readers are known.
  GraphValue openFirstInput(const std::string &name, runtime::DType dtype, int rank);
  void setInputShape(const GraphValue &input, std::vector<int64_t> shape);
  GraphValue parameter(const std::string &name, runtime::DType dtype, std::vector<int64_t> shape);
  /// A dense constant: row-major bytes; one element makes a splat. 0-d for scalars.
  GraphValue constant(runtime::DType dtype, std::vector<int64_t> shape, const void *data,
                      size_t bytes, const SourceLocation &loc = {});
  /// `op` is a mnemonic of the graph dialect without prefix: "matmul", "reduce", …
  Result<std::vector<GraphValue>> create(const std::string &op,
                                         const std::vector<GraphValue> &operands,
                                         const Attributes &attributes, const SourceLocation &loc);
  /// A call into the host framework: result types are given. `id` names the callable.
  Result<std::vector<GraphValue>>
  island(int64_t id, const std::string &reason, const std::vector<GraphValue> &operands,
         const std::vector<std::pair<runtime::DType, std::vector<int64_t>>> &results,
         const SourceLocation &loc);
  /// `contiguous`, by output, or empty: whether the caller relies on the row-major layout. Where
  /// it does not, an output may be a strided view.
  Result<GraphModule> finish(const std::vector<GraphValue> &outputs,
                             const std::vector<bool> &contiguous = {});

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// Machine code shared by the programs of one model for different sizes.
class KernelFamily;
std::shared_ptr<KernelFamily> makeKernelFamily();

/// How far a compilation is; read while it runs, by another thread.
struct CompileProgress {
  std::atomic<int> total{0}, done{0}; ///< kernels that need code
};

/// Tuned points, printed, by TunableKernel::key.
using PointTable = std::map<std::string, std::string>;

struct CompileOptions {
  /// CPU name and features; empty means the host's. "avx2" and "avx512" name baselines.
  std::string cpu;
  /// Threads the schedule is made for.
  int threads = 1;
  /// Folder of the object cache; empty disables it.
  std::string cacheDir;
  /// How many bytes the folder may take; the entries unused for longest leave first.
  uint64_t cacheBytes = uint64_t(2) << 30;
  /// Whose code to share; null: the program has its own.
  std::shared_ptr<KernelFamily> family;
  /// Where to count; null: nobody looks.
  CompileProgress *progress = nullptr;
  /// What takes the place of default points; null: nothing. A point that is not legal for its
  /// kernel is as good as none.
  std::shared_ptr<const PointTable> points;
  /// Whether weights are packed once and kept; else every call reads the parameters as they are.
  bool prepack = true;
};

/// What the report says of one launch.
struct KernelReport {
  std::string name;               ///< kernel symbol
  std::string kind;               ///< contraction, attention, rows, elementwise, indexing, pack
  std::string schedule;           ///< the chosen point, printed
  std::string standard;           ///< the default one, where a tuned point took its place
  std::string tuned;              ///< and the key it was found under
  std::vector<std::string> fused; ///< the ops of its body, in order
  std::vector<std::string> apart; ///< why what it reads is computed by other kernels
  std::vector<SourceLocation> origins; ///< the ops fused into it
  double flops = 0;
  double bytes = 0;
  bool cached = false; ///< object code came from the cache
};

struct CompileTimings {
  double graphMs = 0, scheduleMs = 0, tileMs = 0; ///< to that level
  double codeMs = 0;                              ///< from there on, or from the cache
  int kernels = 0;
  int cacheHits = 0;
};

/// Bytes that a program takes besides its inputs and outputs.
struct MemoryPlan {
  int64_t arena = 0;      ///< intermediate results of a call
  int64_t live = 0;       ///< the largest set of them alive at once: what no plan goes below
  int64_t prepared = 0;   ///< made of parameters once, and kept
  int64_t parameters = 0; ///< in place, where PyTorch has them
};

struct CompiledProgram {
  std::shared_ptr<runtime::Program> program;
  std::vector<KernelReport> launches; ///< parallel to program->main's launches
  CompileTimings timings;
  MemoryPlan memory;

  /// "graph", "schedule", "tile", "target", "llvm" or "asm": the text of what runs.
  Result<std::string> ir(const std::string &level, bool withLocations = false) const;

  struct Impl;
  std::shared_ptr<Impl> impl;
};

Result<CompiledProgram> compile(const GraphModule &module, const CompileOptions &options);
/// Lets the family see the kernels of `module`, for the sizes it has, without compiling them: the
/// numbers that differ between sizes are then known before code is made. The number of kernels.
Result<int> noteSizes(const GraphModule &module, const CompileOptions &options);

/// A kernel of a program that has points to choose from; see compiler/tuning.
struct TunableKernel {
  /// Names the kernel, its shapes and layouts, the machine, the threads and this build.
  std::string key;
  std::string kind;
  std::string shape;    ///< of what it reads, for people: "128x768 · 3072x768 float32"
  std::string standard; ///< its default point
  std::string present;  ///< the one it has
  std::string module;   ///< Schedule IR of the kernel alone, for compileKernel()
  std::vector<std::pair<std::string, std::vector<std::string>>> space;
  std::vector<std::pair<std::string, std::string>> parameters; ///< of the default point
  std::vector<SourceLocation> origins;
  int launches = 0;
  double flops = 0, bytes = 0; ///< of one launch
};
Result<std::vector<TunableKernel>> tunableKernels(const CompiledProgram &program);
/// The kernel alone, with `point` in place of its default one; inputs and parameters are what it
/// reads. An error for a point that is not legal.
Result<CompiledProgram> compileKernel(const std::string &module, const std::string &point,
                                      const CompileOptions &options);
/// Seconds each of `points` should take: negative where the point is not legal, zero where the
/// class has no model.
Result<std::vector<double>> predictPoints(const std::string &module,
                                          const std::vector<std::string> &points, int threads);
/// Whether `text` is a point of some class; else why not.
Result<bool> checkPoint(const std::string &text);

struct HostInfo {
  std::string cpu;
  std::string features;
  int vectorBits = 0; ///< 512, 256 or 0 when neither AVX-512 nor AVX2 is there
  std::string llvmVersion;
  std::string compilerBuild; ///< part of every cache key
};
HostInfo hostInfo();

} // namespace tessera

#endif // TESSERA_COMPILER_API_COMPILER_H
