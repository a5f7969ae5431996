//===- Exchange.cpp - tensors from and to DLPack -----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Exchange.h"

using namespace tessera::runtime;
using namespace tessera::runtime::dlpack;

namespace {

constexpr int32_t kMaxRank = 64;

std::string formatType(DLDataType type) {
  static const char *const kNames[] = {"int",    "uint",    "float", "opaque",
                                       "bfloat", "complex", "bool"};
  std::string name = type.code < std::size(kNames) ? kNames[type.code]
                                                   : "type code " + std::to_string(type.code) + " ";
  name += std::to_string(type.bits);
  if (type.lanes != 1)
    name += "x" + std::to_string(type.lanes);
  return name;
}

Status checkTensor(const DLTensor &from, DType &dtype) {
  if (from.device.device_type != kDLCPU)
    return Status::error(ErrorKind::Value, "the tensor is on device " + formatDevice(from.device) +
                                               ", expected cpu; call .cpu() on it first");
  if (from.ndim < 0 || from.ndim > kMaxRank)
    return Status::error(ErrorKind::Buffer, "the tensor has " + std::to_string(from.ndim) +
                                                " dimensions, expected 0 to " +
                                                std::to_string(kMaxRank));
  if (from.ndim > 0 && !from.shape)
    return Status::error(ErrorKind::Buffer, "the tensor has no shape");
  for (int32_t i = 0; i < from.ndim; ++i)
    if (from.shape[i] < 0)
      return Status::error(ErrorKind::Buffer,
                           "the tensor has a negative size: " + formatShape(from.shape, from.ndim));
  return dtypeFromDLPack(from.dtype, dtype);
}

/// Reads layout and address; `owner` is shared by the tensor.
template <typename Managed>
Status import(Managed *from, bool readOnly, void (*release)(void *), Tensor &tensor) {
  // From here on the storage's destructor gives the tensor back on every path.
  StorageRef owner = Storage::foreign(nullptr, 0, release, from);
  const DLTensor &dl = from->dl_tensor;
  auto spec = std::make_shared<TensorSpec>();
  if (Status status = checkTensor(dl, spec->dtype); status.failed())
    return status;
  if (dl.strides || dl.ndim == 0) {
    spec->sizes.assign(dl.shape, dl.shape + dl.ndim);
    spec->strides.assign(dl.strides, dl.strides + dl.ndim);
  } else {
    *spec = TensorSpec::contiguous(spec->dtype, {dl.shape, dl.shape + dl.ndim});
  }
  if (!dl.data && spec->numElements() != 0)
    return Status::error(ErrorKind::Buffer, "the tensor has no data; its producer may hold "
                                            "only a shape (a meta or fake tensor)");
  void *data = dl.data ? static_cast<char *>(dl.data) + dl.byte_offset : nullptr;
  tensor = Tensor(std::move(owner), data, std::move(spec), readOnly);
  return Status();
}

template <typename Managed> void releaseManaged(void *context) {
  auto *managed = static_cast<Managed *>(context);
  if (managed->deleter)
    managed->deleter(managed);
}

/// What a consumer of ours holds: the standard's struct and a share of the tensor.
template <typename Managed> struct Exported {
  Managed managed;
  Tensor tensor;
};

template <typename Managed> Exported<Managed> *makeExported(Tensor tensor) {
  // NOLINTNEXTLINE(bugprone-invalid-enum-default-initialization): the device is set below
  auto *exported = new Exported<Managed>{{}, std::move(tensor)};
  const TensorSpec &spec = exported->tensor.spec();
  DLTensor &dl = exported->managed.dl_tensor;
  dl.data = exported->tensor.data();
  dl.device = {kDLCPU, 0};
  dl.ndim = int32_t(spec.sizes.size());
  dl.dtype = dtypeToDLPack(spec.dtype);
  // The standard's pointers are not const, but consumers only read through them.
  dl.shape = const_cast<int64_t *>(spec.sizes.data());
  dl.strides = const_cast<int64_t *>(spec.strides.data());
  dl.byte_offset = 0;
  exported->managed.manager_ctx = exported;
  exported->managed.deleter = [](Managed *self) {
    delete static_cast<Exported<Managed> *>(self->manager_ctx);
  };
  return exported;
}

} // namespace

Status tessera::runtime::dtypeFromDLPack(DLDataType from, DType &dtype) {
  auto is = [&](DLDataTypeCode code, int bits) {
    return from.code == code && from.bits == bits && from.lanes == 1;
  };
  if (is(kDLFloat, 32))
    dtype = DType::F32;
  else if (is(kDLFloat, 64))
    dtype = DType::F64;
  else if (is(kDLFloat, 16))
    dtype = DType::F16;
  else if (is(kDLBfloat, 16))
    dtype = DType::BF16;
  else if (is(kDLInt, 64))
    dtype = DType::I64;
  else if (is(kDLInt, 32))
    dtype = DType::I32;
  else if (is(kDLInt, 16))
    dtype = DType::I16;
  else if (is(kDLInt, 8))
    dtype = DType::I8;
  else if (is(kDLUInt, 8))
    dtype = DType::U8;
  else if (is(kDLBool, 8))
    dtype = DType::Bool;
  else
    return Status::error(ErrorKind::Type,
                         "the tensor's elements are " + formatType(from) +
                             "; supported are bool, uint8, int8, int16, int32, int64, float16, "
                             "bfloat16, float32 and float64");
  return Status();
}

DLDataType tessera::runtime::dtypeToDLPack(DType dtype) {
  auto bits = uint8_t(8 * sizeOf(dtype));
  switch (dtype) {
  case DType::Bool:
    return {kDLBool, bits, 1};
  case DType::U8:
    return {kDLUInt, bits, 1};
  case DType::I8:
  case DType::I16:
  case DType::I32:
  case DType::I64:
    return {kDLInt, bits, 1};
  case DType::BF16:
    return {kDLBfloat, bits, 1};
  case DType::F16:
  case DType::F32:
  case DType::F64:
    return {kDLFloat, bits, 1};
  }
  return {kDLOpaqueHandle, bits, 1};
}

std::string tessera::runtime::formatDevice(DLDevice device) {
  std::string index = ":" + std::to_string(device.device_id);
  switch (device.device_type) {
  case kDLCPU:
    return "cpu";
  case kDLCUDA:
    return "cuda" + index;
  case kDLCUDAHost:
    return "cpu (CUDA-pinned)";
  case kDLMetal:
    return "mps" + index;
  case kDLROCM:
    return "rocm" + index;
  case kDLCUDAManaged:
    return "cuda (managed)" + index;
  case kDLOneAPI:
    return "xpu" + index;
  default:
    return "of DLPack type " + std::to_string(device.device_type) + index;
  }
}

Status tessera::runtime::viewDLPack(const DLTensor &from, TensorView &view) {
  if (Status status = checkTensor(from, view.dtype); status.failed())
    return status;
  view.data = from.data ? static_cast<char *>(from.data) + from.byte_offset : nullptr;
  view.rank = from.ndim;
  view.sizes = from.shape;
  view.strides = from.strides;
  return Status();
}

Status tessera::runtime::importDLPack(DLManagedTensorVersioned *from, Tensor &tensor) {
  if (from->version.major != kMajorVersion) {
    // Of a foreign major only the deleter may be touched.
    Status status = Status::error(
        ErrorKind::Buffer, "the tensor follows DLPack " + std::to_string(from->version.major) +
                               "." + std::to_string(from->version.minor) + ", expected 1.x");
    releaseManaged<DLManagedTensorVersioned>(from);
    return status;
  }
  return import(from, from->flags & kFlagReadOnly, releaseManaged<DLManagedTensorVersioned>,
                tensor);
}

Status tessera::runtime::importDLPack(DLManagedTensor *from, Tensor &tensor) {
  return import(from, /*readOnly=*/false, releaseManaged<DLManagedTensor>, tensor);
}

DLManagedTensorVersioned *tessera::runtime::exportDLPack(Tensor tensor, bool copied) {
  uint64_t flags = (tensor.readOnly() ? kFlagReadOnly : 0) | (copied ? kFlagIsCopied : 0);
  auto *exported = makeExported<DLManagedTensorVersioned>(std::move(tensor));
  exported->managed.version = {kMajorVersion, kMinorVersion};
  exported->managed.flags = flags;
  return &exported->managed;
}

DLManagedTensor *tessera::runtime::exportLegacyDLPack(Tensor tensor) {
  return &makeExported<DLManagedTensor>(std::move(tensor))->managed;
}
