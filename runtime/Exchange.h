//===- Exchange.h - tensors from and to DLPack -------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_EXCHANGE_H
#define TESSERA_RUNTIME_EXCHANGE_H

#include "runtime/DLPack.h"
#include "runtime/Tensor.h"

namespace tessera::runtime {

/// The element type, or an error naming what came.
Status dtypeFromDLPack(dlpack::DLDataType from, DType &dtype);
dlpack::DLDataType dtypeToDLPack(DType dtype);
/// "cuda:0": torch's spelling where it has one.
std::string formatDevice(dlpack::DLDevice device);

/// Looks at a tensor that its owner keeps alive. Its strides must not be null.
Status viewDLPack(const dlpack::DLTensor &from, TensorView &view);

/// Takes the tensor over: its deleter runs after the last use, or at once on an error.
Status importDLPack(dlpack::DLManagedTensorVersioned *from, Tensor &tensor);
Status importDLPack(dlpack::DLManagedTensor *from, Tensor &tensor);

/// Hands a share of the tensor over; the consumer calls the deleter.
dlpack::DLManagedTensorVersioned *exportDLPack(Tensor tensor, bool copied = false);
/// As above in the form before 1.0, which cannot say that a tensor is read-only: callers
/// refuse those.
dlpack::DLManagedTensor *exportLegacyDLPack(Tensor tensor);

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_EXCHANGE_H
