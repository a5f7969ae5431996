//===- Program.cpp - facts about types and layouts ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Program.h"

using namespace tessera::runtime;

int64_t tessera::runtime::sizeOf(DType dtype) {
  switch (dtype) {
  case DType::Bool:
  case DType::U8:
  case DType::I8:
    return 1;
  case DType::I16:
  case DType::F16:
  case DType::BF16:
    return 2;
  case DType::I32:
  case DType::F32:
    return 4;
  case DType::I64:
  case DType::F64:
    return 8;
  }
  return 0;
}

const char *tessera::runtime::nameOf(DType dtype) {
  switch (dtype) {
  case DType::Bool:
    return "bool";
  case DType::U8:
    return "uint8";
  case DType::I8:
    return "int8";
  case DType::I16:
    return "int16";
  case DType::I32:
    return "int32";
  case DType::I64:
    return "int64";
  case DType::F16:
    return "float16";
  case DType::BF16:
    return "bfloat16";
  case DType::F32:
    return "float32";
  case DType::F64:
    return "float64";
  }
  return "invalid";
}

int64_t TensorSpec::numElements() const {
  int64_t count = 1;
  for (int64_t size : sizes)
    count *= size;
  return count;
}

int64_t TensorSpec::spanBytes() const {
  int64_t last = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0)
      return 0;
    if (strides[i] > 0)
      last += (sizes[i] - 1) * strides[i];
  }
  return (last + 1) * sizeOf(dtype);
}

bool TensorSpec::isContiguous() const {
  if (numElements() == 0)
    return true;
  int64_t expected = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    // The stride of a dimension of one element is never used.
    if (sizes[i] != 1 && strides[i] != expected)
      return false;
    expected *= sizes[i];
  }
  return true;
}

TensorSpec TensorSpec::contiguous(DType dtype, std::vector<int64_t> sizes) {
  TensorSpec spec;
  spec.dtype = dtype;
  spec.strides.resize(sizes.size());
  int64_t stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    spec.strides[i] = stride;
    // As torch does: an empty dimension does not zero the strides before it.
    stride *= sizes[i] > 1 ? sizes[i] : 1;
  }
  spec.sizes = std::move(sizes);
  return spec;
}
