//===- Program.h - what the runtime executes --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A Program is plain data: values (where each tensor lives and how it is laid
// out) and two lists of instructions. The compiler writes it; the runtime, and
// later a loader of saved artifacts, reads it.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_PROGRAM_H
#define TESSERA_RUNTIME_PROGRAM_H

#include "runtime/abi/Kernel.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tessera::runtime {

enum class DType : uint8_t { Bool, U8, I8, I16, I32, I64, F16, BF16, F32, F64 };

/// Bytes of one element.
int64_t sizeOf(DType dtype);
/// torch's name without "torch.": "float32", "bool", …
const char *nameOf(DType dtype);

/// A strided tensor: sizes and strides in elements.
struct TensorSpec {
  DType dtype = DType::F32;
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;

  int64_t numElements() const;
  /// Bytes from the first to one past the last addressed element.
  int64_t spanBytes() const;
  bool isContiguous() const;
  static TensorSpec contiguous(DType dtype, std::vector<int64_t> sizes);
};

/// A block of memory a program addresses. `Heap` storage is reference counted
/// and outside the arena: an island may keep, return or mutate what it gets.
struct StorageSpec {
  enum class Kind : uint8_t {
    Input,     ///< index: position among the program's inputs
    Parameter, ///< index: position in Program::parameters
    Prepared,  ///< written by the prepare list, kept between calls
    Constant,  ///< index: position in Program::constants
    Arena,     ///< offset: bytes into the arena of one call
    Output,    ///< index: position in Program::outputStorages order; handed to the caller
    Heap,      ///< allocated when first written, freed after lastUse
    Island,    ///< whatever memory the island returned
  };
  Kind kind = Kind::Arena;
  int64_t index = 0;
  int64_t offset = 0;
  int64_t bytes = 0;
};

/// A view of a storage.
struct ValueSpec {
  int32_t storage = 0;
  int64_t byteOffset = 0;
  TensorSpec type;
};

struct KernelSpec {
  std::string name;
  TesseraKernelFn entry = nullptr;
  int64_t units = 1;        ///< length of the parallel range
  int64_t grain = 1;        ///< units a thread takes at a time
  int64_t scratchBytes = 0; ///< a thread
  double flops = 0;         ///< predicted work of one launch
  double bytes = 0;         ///< predicted traffic of one launch
  /// What `entry` reads in place of numbers, where its code serves several programs.
  std::vector<int64_t> symbols = {};
};

struct Instruction {
  enum class Kind : uint8_t { Launch, Island };
  Kind kind = Kind::Launch;
  int32_t target = 0;           ///< Launch: index in kernels; Island: the island's id
  std::vector<int32_t> inputs;  ///< indices in Program::values
  std::vector<int32_t> outputs; ///< indices in Program::values
  std::string fqn;              ///< module path of the code it came from
  std::string source;           ///< "file.py:12"
};

struct ParameterSpec {
  std::string name; ///< fully qualified
  TensorSpec type;
  /// Read by the prepare list (its change means: prepare again).
  bool prepared = false;
};

struct Program {
  std::vector<TensorSpec> inputs;
  std::vector<std::string> inputNames;
  std::vector<ParameterSpec> parameters;
  std::vector<std::shared_ptr<const std::vector<std::byte>>> constants;
  std::vector<StorageSpec> storages;
  std::vector<ValueSpec> values;
  std::vector<KernelSpec> kernels;
  std::vector<Instruction> prepare;
  std::vector<Instruction> main;
  std::vector<int32_t> outputs; ///< indices in values; may alias inputs, parameters or each other
  int64_t arenaBytes = 0;
  /// Keeps the code behind KernelSpec::entry alive.
  std::shared_ptr<void> code;
};

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_PROGRAM_H
