//===- TestPrograms.h - programs written by hand -----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels as plain functions and a builder, so that the runtime is tested
// without the compiler.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_UNITTESTS_RUNTIME_TESTPROGRAMS_H
#define TESSERA_UNITTESTS_RUNTIME_TESTPROGRAMS_H

#include "runtime/Executable.h"

#include <cstring>
#include <functional>
#include <initializer_list>

namespace tessera::runtime::test {

/// Builds a Program value by value.
class ProgramBuilder {
public:
  ProgramBuilder() : program(std::make_shared<Program>()) {}

  int32_t input(const std::string &name, TensorSpec spec) {
    program->inputs.push_back(spec);
    program->inputNames.push_back(name);
    return value(StorageSpec::Kind::Input, spec, int64_t(program->inputs.size()) - 1);
  }
  int32_t parameter(const std::string &name, TensorSpec spec, bool prepared = false) {
    program->parameters.push_back({name, spec, prepared});
    return value(StorageSpec::Kind::Parameter, spec, int64_t(program->parameters.size()) - 1);
  }
  template <typename T> int32_t constant(TensorSpec spec, const std::vector<T> &data) {
    auto *begin = reinterpret_cast<const std::byte *>(data.data());
    program->constants.push_back(
        std::make_shared<const std::vector<std::byte>>(begin, begin + data.size() * sizeof(T)));
    return value(StorageSpec::Kind::Constant, spec, int64_t(program->constants.size()) - 1);
  }
  int32_t arena(TensorSpec spec) {
    int32_t result = value(StorageSpec::Kind::Arena, spec);
    program->storages.back().offset = program->arenaBytes;
    program->arenaBytes += (spec.spanBytes() + 63) / 64 * 64;
    return result;
  }
  int32_t value(StorageSpec::Kind kind, TensorSpec spec, int64_t index = 0) {
    program->storages.push_back({kind, index, 0, spec.spanBytes()});
    program->values.push_back({int32_t(program->storages.size()) - 1, 0, spec});
    return int32_t(program->values.size()) - 1;
  }
  /// Another view of a value's storage.
  int32_t view(int32_t of, int64_t byteOffset, TensorSpec spec) {
    program->values.push_back({program->values[of].storage, byteOffset, spec});
    return int32_t(program->values.size()) - 1;
  }
  int32_t kernel(TesseraKernelFn entry, int64_t units, int64_t grain, double flops = 1) {
    KernelSpec spec;
    spec.name = "k" + std::to_string(program->kernels.size());
    spec.entry = entry;
    spec.units = units;
    spec.grain = grain;
    spec.flops = flops;
    spec.scratchBytes = 4096;
    program->kernels.push_back(spec);
    return int32_t(program->kernels.size()) - 1;
  }
  void launch(int32_t kernel, std::vector<int32_t> inputs, std::vector<int32_t> outputs,
              bool prepare = false) {
    (prepare ? program->prepare : program->main)
        .push_back(
            {Instruction::Kind::Launch, kernel, inputs, outputs, "net.layer", "model.py:12"});
  }
  void island(int32_t id, std::vector<int32_t> inputs, std::vector<int32_t> outputs) {
    program->main.push_back(
        {Instruction::Kind::Island, id, inputs, outputs, "net.island", "model.py:40"});
  }
  std::shared_ptr<Program> finish(std::vector<int32_t> outputs) {
    program->outputs = std::move(outputs);
    return program;
  }

  std::shared_ptr<Program> program;
};

/// A host whose islands are functions and whose inputs are tensors.
class TestHost : public Host {
public:
  using IslandFn = std::function<Status(std::span<const Tensor>, std::vector<Tensor> &)>;

  Status callIsland(int64_t id, std::span<const Tensor> inputs,
                    std::vector<Tensor> &results) override {
    return islands.at(size_t(id))(inputs, results);
  }
  Tensor retainInput(size_t index) override { return inputs.at(index); }
  bool interrupted() override { return stop; }

  std::vector<IslandFn> islands;
  std::vector<Tensor> inputs;
  bool stop = false;
};

inline TensorSpec f32(std::vector<int64_t> sizes) {
  return TensorSpec::contiguous(DType::F32, std::move(sizes));
}

template <typename T>
Tensor tensorOf(DType dtype, std::vector<int64_t> sizes, const std::vector<T> &data) {
  Tensor tensor = Tensor::empty(dtype, std::move(sizes));
  std::memcpy(tensor.data(), data.data(), data.size() * sizeof(T));
  return tensor;
}

inline Tensor filled(std::vector<int64_t> sizes, float value) {
  Tensor tensor = Tensor::empty(DType::F32, std::move(sizes));
  for (int64_t i = 0; i < tensor.spec().numElements(); ++i)
    static_cast<float *>(tensor.data())[i] = value;
  return tensor;
}

inline float at(const Tensor &tensor, int64_t index) {
  return static_cast<const float *>(tensor.data())[index];
}

/// Makes, binds and keeps an executable with its host.
struct Runner {
  explicit Runner(std::shared_ptr<Program> program, int threads = 1,
                  std::vector<Tensor> parameters = {}) {
    status = Executable::create(program, {"Net.forward", threads, nullptr}, executable);
    if (!status.failed())
      status = executable->bind(std::move(parameters), host, binding);
  }
  std::vector<Tensor> operator()(std::vector<Tensor> inputs) {
    host.inputs = std::move(inputs);
    std::vector<Tensor> outputs(executable->getProgram().outputs.size());
    status = run(host, outputs);
    return outputs;
  }
  Status run(TestHost &with, std::span<Tensor> outputs) const {
    std::vector<TensorView> views;
    for (const Tensor &input : with.inputs)
      views.push_back(input.view());
    return executable->run(binding, views, with, outputs);
  }

  TestHost host;
  std::unique_ptr<Executable> executable;
  std::shared_ptr<const Binding> binding;
  Status status;
};

/// out[i] = in[i] + 1 on f32; a unit is an element.
inline int32_t addOne(void *const *buffers, const int64_t *, void *, int64_t begin, int64_t end) {
  auto *in = static_cast<const float *>(buffers[0]);
  auto *out = static_cast<float *>(buffers[1]);
  for (int64_t i = begin; i < end; ++i)
    out[i] = in[i] + 1;
  return TESSERA_OK;
}

/// out[i] = a[i] + b[i].
inline int32_t addBoth(void *const *buffers, const int64_t *, void *, int64_t begin, int64_t end) {
  auto *a = static_cast<const float *>(buffers[0]);
  auto *b = static_cast<const float *>(buffers[1]);
  auto *out = static_cast<float *>(buffers[2]);
  for (int64_t i = begin; i < end; ++i)
    out[i] = a[i] + b[i];
  return TESSERA_OK;
}

} // namespace tessera::runtime::test

#endif // TESSERA_UNITTESTS_RUNTIME_TESTPROGRAMS_H
