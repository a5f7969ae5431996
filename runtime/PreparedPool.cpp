//===- PreparedPool.cpp - prepared weights shared by programs --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/PreparedPool.h"

using namespace tessera::runtime;

StorageRef PreparedPool::find(const std::string &key, const ParameterStamps &stamps) {
  std::lock_guard<std::mutex> lock(mutex);
  auto it = entries.find(key);
  if (it == entries.end() || it->second.stamps != stamps)
    return StorageRef();
  return it->second.storage;
}

void PreparedPool::put(const std::string &key, ParameterStamps stamps, StorageRef storage,
                       std::vector<Tensor> owners) {
  std::lock_guard<std::mutex> lock(mutex);
  entries[key] = {std::move(stamps), std::move(storage), std::move(owners)};
}

void PreparedPool::clear() {
  std::lock_guard<std::mutex> lock(mutex);
  entries.clear();
}

namespace {
class Describer {
public:
  explicit Describer(const Program &program) : program(program), result(program.storages.size()) {}

  std::vector<Preparation> run() {
    for (const Instruction &inst : program.prepare)
      for (size_t i = 0; i < inst.outputs.size(); ++i) {
        const ValueSpec &output = program.values[size_t(inst.outputs[i])];
        if (program.storages[size_t(output.storage)].kind == StorageSpec::Kind::Prepared)
          describe(inst, i, result[size_t(output.storage)]);
      }
    return std::move(result);
  }

private:
  void describe(const Instruction &inst, size_t output, Preparation &made) {
    // The name of a kernel is a digest of all it does.
    std::string text = program.kernels[size_t(inst.target)].name + '#' + std::to_string(output);
    for (int32_t input : inst.inputs)
      if (!add(program.values[size_t(input)], text, made.parameters))
        return;
    add(program.values[size_t(inst.outputs[output])], text, made.parameters);
    // Two writers of one storage are more than this can tell.
    made.text = made.text.empty() ? std::move(text) : std::string();
  }

  bool add(const ValueSpec &value, std::string &text, std::vector<int32_t> &parameters) const {
    const StorageSpec &storage = program.storages[size_t(value.storage)];
    text += ' ';
    switch (storage.kind) {
    case StorageSpec::Kind::Parameter:
      text += program.parameters[size_t(storage.index)].name;
      parameters.push_back(int32_t(storage.index));
      break;
    case StorageSpec::Kind::Constant: {
      const std::vector<std::byte> &bytes = *program.constants[size_t(storage.index)];
      text.append(reinterpret_cast<const char *>(bytes.data()), bytes.size());
      break;
    }
    case StorageSpec::Kind::Prepared: {
      // As an input; the output itself has no description yet.
      const Preparation &source = result[size_t(value.storage)];
      text += '(' + source.text + ')';
      parameters.insert(parameters.end(), source.parameters.begin(), source.parameters.end());
      break;
    }
    default:
      return false;
    }
    text += ':' + std::to_string(storage.bytes) + '+' + std::to_string(value.byteOffset) +
            nameOf(value.type.dtype);
    for (int64_t size : value.type.sizes)
      text += 'x' + std::to_string(size);
    for (int64_t stride : value.type.strides)
      text += 's' + std::to_string(stride);
    return true;
  }

  const Program &program;
  std::vector<Preparation> result;
};
} // namespace

std::vector<Preparation> tessera::runtime::describePreparations(const Program &program) {
  return Describer(program).run();
}
