//===- NativeKernel.cpp - kernels from shared libraries of users -------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/NativeKernel.h"

#include "runtime/Exchange.h"

#include <dlfcn.h>

using namespace tessera::runtime;

static constexpr size_t kMessageBytes = 1024;

/// dlerror() is null where nobody knows more.
static std::string loaderMessage() {
  const char *text = dlerror();
  return text ? text : "the loader gives no reason";
}

Status NativeKernel::load(const std::string &library, const std::string &symbol,
                          std::shared_ptr<const NativeKernel> &kernel) {
  void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return Status::error(ErrorKind::Runtime,
                         "the library " + library + " cannot be loaded: " + loaderMessage());
  auto version = reinterpret_cast<int32_t (*)()>(dlsym(handle, "tessera_native_abi_version"));
  if (!version)
    return Status::error(ErrorKind::Runtime,
                         "the library " + library +
                             " does not say which version of the interface it was compiled for; "
                             "write TESSERA_NATIVE_LIBRARY once in its sources");
  if (int32_t found = version(); found != TESSERA_NATIVE_ABI_VERSION)
    return Status::error(ErrorKind::Runtime,
                         "the library " + library + " was compiled for version " +
                             std::to_string(found) + " of the interface, and this is version " +
                             std::to_string(TESSERA_NATIVE_ABI_VERSION) +
                             "; compile it again with this version's <tessera/native.h>");
  auto entry = reinterpret_cast<TesseraKernel>(dlsym(handle, symbol.c_str()));
  if (!entry)
    return Status::error(ErrorKind::Runtime, "the library " + library + " has no function " +
                                                 symbol + "; a kernel is written TESSERA_KERNEL(" +
                                                 symbol + ") { … }");
  std::string file = library.substr(library.find_last_of('/') + 1);
  kernel.reset(new NativeKernel(entry, symbol + " of " + file));
  return Status();
}

/// The tensor as DLPack has it; points into `tensor`.
static DLTensor describeTensor(const Tensor &tensor) {
  const TensorSpec &spec = tensor.spec();
  dlpack::DLDataType type = dtypeToDLPack(spec.dtype);
  DLTensor result = {};
  result.data = tensor.data();
  result.device.device_type = kDLCPU;
  result.ndim = int32_t(spec.sizes.size());
  result.dtype = {type.code, type.bits, type.lanes};
  // The standard's pointers are not const, but consumers only read through them.
  result.shape = const_cast<int64_t *>(spec.sizes.data());
  result.strides = const_cast<int64_t *>(spec.strides.data());
  return result;
}

static TesseraAttribute describeAttribute(const NativeAttribute &attribute) {
  TesseraAttribute result = {};
  result.name = attribute.name.c_str();
  result.kind = attribute.kind;
  result.integer = attribute.integer;
  result.number = attribute.number;
  result.text = attribute.text.c_str();
  result.integers = attribute.integers.data();
  result.numbers = attribute.numbers.data();
  if (attribute.kind == TESSERA_TEXT)
    result.length = int64_t(attribute.text.size());
  else if (attribute.kind == TESSERA_INTS)
    result.length = int64_t(attribute.integers.size());
  else if (attribute.kind == TESSERA_FLOATS)
    result.length = int64_t(attribute.numbers.size());
  return result;
}

/// Pointers to the elements of `items`.
template <typename T> static std::vector<const T *> pointersTo(const std::vector<T> &items) {
  std::vector<const T *> pointers;
  pointers.reserve(items.size());
  for (const T &item : items)
    pointers.push_back(&item);
  return pointers;
}

Status NativeCall::invoke(std::span<const Tensor> inputs, std::span<const Tensor> results,
                          int threads) const {
  std::vector<DLTensor> given, made;
  std::vector<TesseraAttribute> described;
  for (const Tensor &input : inputs)
    given.push_back(describeTensor(input));
  for (const Tensor &result : results)
    made.push_back(describeTensor(result));
  for (const NativeAttribute &attribute : attributes)
    described.push_back(describeAttribute(attribute));
  std::vector<const DLTensor *> arguments, outgoing = pointersTo(made);
  for (int32_t operand : operands)
    arguments.push_back(operand == kAbsent ? nullptr : &given[size_t(operand)]);
  std::string message(kMessageBytes, '\0');

  TesseraKernelCall call = {};
  call.abi_version = TESSERA_NATIVE_ABI_VERSION;
  call.num_threads = threads;
  call.num_inputs = int32_t(arguments.size());
  call.inputs = arguments.data();
  call.num_outputs = int32_t(outgoing.size());
  call.outputs = outgoing.data();
  call.num_attributes = int32_t(described.size());
  call.attributes = described.data();
  call.error = message.data();
  call.error_size = message.size();
  int status = kernel->function()(&call);
  if (status == 0)
    return Status();
  message.back() = '\0';
  message.resize(message.find('\0'));
  return Status::error(
      ErrorKind::Runtime,
      "the native kernel " + kernel->describe() + " failed" +
          (message.empty() ? " with status " + std::to_string(status) : ": " + message));
}

Status NativeCall::run(std::span<const Tensor> inputs, int threads,
                       std::vector<Tensor> &results) const {
  std::vector<Tensor> plain;
  for (const Tensor &input : inputs) {
    plain.push_back(input.contiguous());
    if (!plain.back().defined())
      return outOfMemory(input.spec().spanBytes(), "an argument of " + kernel->describe());
  }
  for (int32_t operand : operands)
    if (operand != kAbsent && size_t(operand) >= plain.size())
      return Status::error(ErrorKind::Type, "the native kernel " + kernel->describe() + " takes " +
                                                std::to_string(operand + 1) +
                                                " tensors or more, and was given " +
                                                std::to_string(plain.size()));
  std::vector<Tensor> made;
  for (const TensorSpec &output : outputs) {
    made.push_back(Tensor::empty(output.dtype, output.sizes));
    if (!made.back().defined())
      return outOfMemory(output.spanBytes(), "a result of " + kernel->describe());
  }
  if (Status status = invoke(plain, made, threads); status.failed())
    return status;
  results = std::move(made);
  return Status();
}
