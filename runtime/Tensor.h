//===- Tensor.h - a strided view of a storage --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_TENSOR_H
#define TESSERA_RUNTIME_TENSOR_H

#include "runtime/Program.h"
#include "runtime/Status.h"
#include "runtime/Storage.h"

#include <memory>
#include <string>

namespace tessera::runtime {

/// A tensor somebody else keeps alive while it is looked at.
struct TensorView {
  void *data = nullptr;
  DType dtype = DType::F32;
  int32_t rank = 0;
  const int64_t *sizes = nullptr;
  const int64_t *strides = nullptr; ///< in elements
};

/// A tensor that shares ownership of its memory. Copies are cheap and share it too.
class Tensor {
public:
  Tensor() = default;
  Tensor(StorageRef storage, void *data, std::shared_ptr<const TensorSpec> spec,
         bool readOnly = false)
      : storage(std::move(storage)), begin(data), layout(std::move(spec)), locked(readOnly) {}
  /// Fresh contiguous memory, uninitialised; undefined when there is none left.
  static Tensor empty(DType dtype, std::vector<int64_t> sizes);

  bool defined() const { return layout != nullptr; }
  void *data() const { return begin; }
  const TensorSpec &spec() const { return *layout; }
  const StorageRef &owner() const { return storage; }
  /// The producer forbids writing to this memory.
  bool readOnly() const { return locked; }
  TensorView view() const;
  /// This tensor when its layout is row-major, else a copy of it; undefined without memory.
  Tensor contiguous() const;

private:
  StorageRef storage;
  void *begin = nullptr;
  std::shared_ptr<const TensorSpec> layout;
  bool locked = false;
};

/// "(8, 1024, 512)", "(3,)", "()".
std::string formatShape(const int64_t *sizes, size_t rank);
inline std::string formatShape(const std::vector<int64_t> &sizes) {
  return formatShape(sizes.data(), sizes.size());
}

/// Whether both layouts address the same elements at the same places.
bool sameLayout(const TensorView &view, const TensorSpec &spec);

/// The error of an allocation that failed.
Status outOfMemory(int64_t bytes, const std::string &purpose);

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_TENSOR_H
