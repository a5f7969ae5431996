//===- Tensor.cpp - a strided view of a storage ------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Tensor.h"

#include "runtime/StridedCopy.h"

using namespace tessera::runtime;

Tensor Tensor::empty(DType dtype, std::vector<int64_t> sizes) {
  auto spec = std::make_shared<TensorSpec>(TensorSpec::contiguous(dtype, std::move(sizes)));
  StorageRef storage = Storage::allocate(spec->spanBytes());
  if (!storage)
    return Tensor();
  void *data = storage->data();
  return Tensor(std::move(storage), data, std::move(spec));
}

TensorView Tensor::view() const {
  return {begin, layout->dtype, int32_t(layout->sizes.size()), layout->sizes.data(),
          layout->strides.data()};
}

Tensor Tensor::contiguous() const {
  if (layout->isContiguous())
    return *this;
  Tensor copy = empty(layout->dtype, layout->sizes);
  if (copy.defined())
    copyStrided(view(), copy.data(), copy.spec().strides.data());
  return copy;
}

std::string tessera::runtime::formatShape(const int64_t *sizes, size_t rank) {
  std::string text = "(";
  for (size_t i = 0; i < rank; ++i) {
    if (i)
      text += ", ";
    text += std::to_string(sizes[i]);
  }
  // Python's spelling of a tuple of one.
  text += rank == 1 ? ",)" : ")";
  return text;
}

bool tessera::runtime::sameLayout(const TensorView &view, const TensorSpec &spec) {
  bool same = true, empty = false;
  for (int32_t i = 0; i < view.rank; ++i) {
    empty |= view.sizes[i] == 0;
    // The stride of a dimension of one element is never used.
    same &= view.sizes[i] == 1 || view.strides[i] == spec.strides[i];
  }
  return same || empty;
}

Status tessera::runtime::outOfMemory(int64_t bytes, const std::string &purpose) {
  return Status::error(ErrorKind::Memory, "out of memory: could not allocate " +
                                              std::to_string(bytes) + " bytes for " + purpose);
}
