//===- ProgramLoader.cpp - target.program to runtime::Program --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/api/ProgramLoader.h"

#include "compiler/api/DTypes.h"

#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;
using runtime::Instruction;
using runtime::Program;
using runtime::StorageSpec;
using runtime::TensorSpec;

std::vector<SourceLocation> tessera::sourcesOf(Location location) {
  std::vector<SourceLocation> sources;
  auto add = [&](SourceLocation source) {
    for (const SourceLocation &known : sources)
      if (known.fqn == source.fqn && known.file == source.file && known.line == source.line)
        return;
    sources.push_back(std::move(source));
  };
  llvm::SmallVector<Location> stack{location};
  while (!stack.empty()) {
    Location current = stack.pop_back_val();
    if (auto name = dyn_cast<NameLoc>(current)) {
      SourceLocation source{name.getName().str(), "", 0};
      if (auto file = name.getChildLoc()->findInstanceOf<FileLineColLoc>()) {
        source.file = file.getFilename().str();
        source.line = static_cast<int>(file.getLine());
      }
      add(std::move(source));
    } else if (auto fused = dyn_cast<FusedLoc>(current)) {
      for (Location part : llvm::reverse(fused.getLocations()))
        stack.push_back(part);
    } else if (auto file = dyn_cast<FileLineColLoc>(current)) {
      add({"", file.getFilename().str(), static_cast<int>(file.getLine())});
    }
  }
  return sources;
}

namespace {

class Loader {
public:
  Loader(target::ProgramOp op, const llvm::StringMap<TesseraKernelFn> &entries)
      : op(op), entries(entries) {}
  std::shared_ptr<Program> run();

private:
  static TensorSpec specOf(Type type, ArrayRef<int64_t> strides);
  static TensorSpec specOf(Type type);
  static std::shared_ptr<const std::vector<std::byte>> bytesOf(ElementsAttr value);
  void declare(Operation &declaration);
  void addStorage(Value storage, StorageSpec spec);
  std::vector<int32_t> indices(ValueRange range) const;
  void addInstructions(Block &list, std::vector<Instruction> &out) const;

  target::ProgramOp op;
  const llvm::StringMap<TesseraKernelFn> &entries;
  std::shared_ptr<Program> program = std::make_shared<Program>();
  DenseMap<Value, int32_t> storages, values;
  llvm::StringMap<int32_t> kernels;
  int64_t outputStorages = 0;
};

} // namespace

TensorSpec Loader::specOf(Type type, ArrayRef<int64_t> strides) {
  auto tensor = cast<RankedTensorType>(type);
  return TensorSpec{*dtypeOf(tensor.getElementType()), tensor.getShape().vec(), strides.vec()};
}

TensorSpec Loader::specOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return TensorSpec::contiguous(*dtypeOf(tensor.getElementType()), tensor.getShape().vec());
}

std::shared_ptr<const std::vector<std::byte>> Loader::bytesOf(ElementsAttr value) {
  auto bytes = std::make_shared<std::vector<std::byte>>();
  auto append = [&](const char *data, size_t size) {
    auto *begin = reinterpret_cast<const std::byte *>(data);
    bytes->insert(bytes->end(), begin, begin + size);
  };
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value)) {
    // There, and of the right size: GraphModule::parse has seen to it.
    ArrayRef<char> data = resource.getRawHandle().getBlob()->getData();
    append(data.data(), data.size());
  } else if (value.getElementType().isInteger(1)) {
    for (bool element : value.getValues<bool>())
      bytes->push_back(std::byte(element));
  } else {
    ArrayRef<char> data = cast<DenseElementsAttr>(value).getRawData();
    int64_t copies = value.isSplat() ? value.getNumElements() : 1;
    for (int64_t i = 0; i < copies; ++i)
      append(data.data(), data.size());
  }
  return bytes;
}

void Loader::addStorage(Value storage, StorageSpec spec) {
  storages[storage] = program->storages.size();
  program->storages.push_back(spec);
}

void Loader::declare(Operation &declaration) {
  llvm::TypeSwitch<Operation *>(&declaration)
      .Case([&](target::InputOp input) {
        TensorSpec type = specOf(input.getType());
        addStorage(input.getStorage(),
                   {StorageSpec::Kind::Input, static_cast<int64_t>(program->inputs.size()), 0,
                    type.spanBytes()});
        program->inputs.push_back(std::move(type));
        program->inputNames.push_back(input.getName().str());
      })
      .Case([&](target::ParameterOp parameter) {
        TensorSpec type = specOf(parameter.getType());
        addStorage(parameter.getStorage(),
                   {StorageSpec::Kind::Parameter, static_cast<int64_t>(program->parameters.size()),
                    0, type.spanBytes()});
        program->parameters.push_back(
            {parameter.getName().str(), std::move(type), parameter.getPrepared()});
      })
      .Case([&](target::ConstantOp constant) {
        auto bytes = bytesOf(constant.getValue());
        addStorage(constant.getStorage(),
                   {StorageSpec::Kind::Constant, static_cast<int64_t>(program->constants.size()), 0,
                    static_cast<int64_t>(bytes->size())});
        program->constants.push_back(std::move(bytes));
      })
      .Case([&](target::StorageOp storage) {
        StorageSpec::Kind kind = StorageSpec::Kind::Arena;
        int64_t index = 0;
        switch (storage.getKind()) {
        case target::StorageKind::Arena:
          break;
        case target::StorageKind::Prepared:
          kind = StorageSpec::Kind::Prepared;
          break;
        case target::StorageKind::Output:
          kind = StorageSpec::Kind::Output;
          index = outputStorages++;
          break;
        case target::StorageKind::Heap:
          kind = StorageSpec::Kind::Heap;
          break;
        case target::StorageKind::Island:
          kind = StorageSpec::Kind::Island;
          break;
        }
        addStorage(storage.getStorage(), {kind, index, static_cast<int64_t>(storage.getOffset()),
                                          static_cast<int64_t>(storage.getBytes())});
      })
      .Case([&](target::ValueOp value) {
        values[value.getResult()] = program->values.size();
        program->values.push_back({storages.lookup(value.getStorage()),
                                   static_cast<int64_t>(value.getOffset()),
                                   specOf(value.getType(), value.getStrides())});
      })
      .Case([&](target::KernelOp kernel) {
        kernels[kernel.getSymName()] = program->kernels.size();
        program->kernels.push_back(
            {kernel.getSymName().str(), entries.lookup(kernel.getSymName()),
             static_cast<int64_t>(kernel.getUnits()), static_cast<int64_t>(kernel.getGrain()),
             static_cast<int64_t>(kernel.getScratch()), kernel.getFlops().convertToDouble(),
             kernel.getBytes().convertToDouble()});
      });
}

std::vector<int32_t> Loader::indices(ValueRange range) const {
  std::vector<int32_t> result;
  for (Value value : range)
    result.push_back(values.lookup(value));
  return result;
}

void Loader::addInstructions(Block &list, std::vector<Instruction> &out) const {
  for (Operation &op : list) {
    Instruction instruction;
    std::vector<SourceLocation> sources = sourcesOf(op.getLoc());
    if (!sources.empty()) {
      instruction.fqn = sources.front().fqn;
      if (!sources.front().file.empty())
        instruction.source = sources.front().file + ":" + std::to_string(sources.front().line);
    }
    if (auto launch = dyn_cast<target::LaunchOp>(op)) {
      instruction.target = kernels.lookup(launch.getKernel());
      instruction.inputs = indices(launch.getInputs());
      instruction.outputs = indices(launch.getOutputs());
    } else {
      auto island = cast<target::IslandOp>(op);
      instruction.kind = Instruction::Kind::Island;
      instruction.target = static_cast<int32_t>(island.getId());
      instruction.inputs = indices(island.getInputs());
      instruction.outputs = indices(island.getOutputs());
    }
    out.push_back(std::move(instruction));
  }
}

std::shared_ptr<Program> Loader::run() {
  for (Operation &declaration : op.getBody().front())
    declare(declaration);
  program->arenaBytes = op.getArenaBytes();
  if (!op.getPrepare().getBody().empty())
    addInstructions(op.getPrepare().getBody().front(), program->prepare);
  if (!op.getMain().getBody().empty())
    addInstructions(op.getMain().getBody().front(), program->main);
  program->outputs = indices(op.getOutputs().getValues());
  return program;
}

std::shared_ptr<Program> tessera::loadProgram(target::ProgramOp program,
                                              const llvm::StringMap<TesseraKernelFn> &entries) {
  return Loader(program, entries).run();
}
