//===- NativeKernel.h - kernels from shared libraries of users ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The other side of runtime/abi/NativeKernel.h: loads a function and calls it on
// tensors, whose memory it gets as it is.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_NATIVEKERNEL_H
#define TESSERA_RUNTIME_NATIVEKERNEL_H

#include "runtime/Status.h"
#include "runtime/Tensor.h"
#include "runtime/abi/NativeKernel.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tessera::runtime {

/// A function of a shared library. The library stays loaded: its threads may outlive every call.
class NativeKernel {
public:
  /// Refuses a library that is not there, lacks the function, or was compiled for another version
  /// of the interface.
  static Status load(const std::string &library, const std::string &symbol,
                     std::shared_ptr<const NativeKernel> &kernel);

  /// "scale of libmine.so".
  const std::string &describe() const { return description; }
  TesseraKernel function() const { return entry; }

private:
  NativeKernel(TesseraKernel entry, std::string description)
      : entry(entry), description(std::move(description)) {}

  TesseraKernel entry;
  std::string description;
};

/// One argument that is no tensor.
struct NativeAttribute {
  std::string name;
  int32_t kind = TESSERA_NONE; ///< a TesseraAttributeKind
  int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<int64_t> integers;
  std::vector<double> numbers;
};

/// A kernel with everything of a call but the tensors. Never changes once made, so any number of
/// threads may run it.
class NativeCall {
public:
  static constexpr int32_t kAbsent = -1;

  /// `operands` are, for each tensor argument, which input of run() it is, or kAbsent.
  NativeCall(std::shared_ptr<const NativeKernel> kernel, std::vector<int32_t> operands,
             std::vector<NativeAttribute> attributes, std::vector<TensorSpec> outputs)
      : kernel(std::move(kernel)), operands(std::move(operands)), attributes(std::move(attributes)),
        outputs(std::move(outputs)) {}

  /// Inputs that are not row-major are copied; results are fresh memory.
  Status run(std::span<const Tensor> inputs, int threads, std::vector<Tensor> &results) const;
  const NativeKernel &getKernel() const { return *kernel; }

private:
  Status invoke(std::span<const Tensor> inputs, std::span<const Tensor> results, int threads) const;

  std::shared_ptr<const NativeKernel> kernel;
  std::vector<int32_t> operands;
  std::vector<NativeAttribute> attributes;
  std::vector<TensorSpec> outputs;
};

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_NATIVEKERNEL_H
