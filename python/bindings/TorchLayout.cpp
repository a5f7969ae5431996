//===- TorchLayout.cpp - tensors read where PyTorch keeps them ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "python/bindings/TorchLayout.h"

#ifndef TESSERA_TORCH_HEADERS

using namespace tessera::runtime;

bool tessera::bindings::knowsTorchLayout(std::string_view) { return false; }
bool tessera::bindings::readTorchTensor(PyObject *, TensorView &) { return false; }
int64_t tessera::bindings::readTorchVersion(PyObject *) { return -1; }

#else

// PyTorch is built without assertions; with them, its headers call into its libraries.
#ifndef NDEBUG
#define NDEBUG
#endif
#include <torch/csrc/autograd/python_variable.h>
#include <torch/version.h>

#include <bit>
#include <optional>

// Not before PyTorch's headers, which name the same things without their namespace.
using namespace tessera::runtime;

namespace {

const c10::TensorImpl &implOf(PyObject *object) {
  return *reinterpret_cast<THPVariable *>(object)->cdata.unsafeGetTensorImpl();
}

/// What a tensor of dense memory of the CPU is dispatched by; inference tensors lack some.
bool isDenseOnCPU(c10::DispatchKeySet keys) {
  constexpr c10::DispatchKeySet dense(c10::DispatchKey::CPU);
  static const c10::DispatchKeySet allowed =
      dense | c10::getAutogradRelatedKeySetFromBackend(c10::BackendComponent::CPUBit) |
      c10::getAutocastRelatedKeySetFromBackend(c10::BackendComponent::CPUBit);
  return (keys | allowed) == allowed && (keys & dense) == dense;
}

/// None for a dtype that Tessera has not.
std::optional<DType> dtypeOf(const c10::TensorImpl &impl) {
  // The conversion that PyTorch offers is a function of its library.
  caffe2::TypeMeta meta = impl.dtype();
  static_assert(sizeof(meta) == sizeof(uint16_t));
  switch (static_cast<c10::ScalarType>(std::bit_cast<uint16_t>(meta))) {
  case c10::ScalarType::Float:
    return DType::F32;
  case c10::ScalarType::Double:
    return DType::F64;
  case c10::ScalarType::Half:
    return DType::F16;
  case c10::ScalarType::BFloat16:
    return DType::BF16;
  case c10::ScalarType::Long:
    return DType::I64;
  case c10::ScalarType::Int:
    return DType::I32;
  case c10::ScalarType::Short:
    return DType::I16;
  case c10::ScalarType::Char:
    return DType::I8;
  case c10::ScalarType::Byte:
    return DType::U8;
  case c10::ScalarType::Bool:
    return DType::Bool;
  default:
    return std::nullopt;
  }
}

} // namespace

bool tessera::bindings::knowsTorchLayout(std::string_view version) {
  // After the "+" is what it was built for: devices, which share this layout.
  return version.substr(0, version.find('+')) == TORCH_VERSION;
}

bool tessera::bindings::readTorchTensor(PyObject *object, TensorView &view) {
  const c10::TensorImpl &impl = implOf(object);
  c10::StorageImpl *storage = impl.unsafe_storage().unsafeGetStorageImpl();
  std::optional<DType> dtype = dtypeOf(impl);
  if (!isDenseOnCPU(impl.key_set()) || !storage || !dtype)
    return false;
  view.dtype = *dtype;
  auto *data = static_cast<std::byte *>(storage->_mutable_data_ptr_no_checks().get());
  view.data = data ? data + impl.storage_offset() * int64_t(sizeOf(view.dtype)) : nullptr;
  c10::IntArrayRef sizes = impl.sizes();
  view.rank = int32_t(sizes.size());
  view.sizes = sizes.data();
  view.strides = impl.strides().data();
  return true;
}

int64_t tessera::bindings::readTorchVersion(PyObject *object) {
  const c10::VariableVersion &counter = implOf(object).version_counter();
  return counter.enabled() ? counter.current_version() : -1;
}

#endif
