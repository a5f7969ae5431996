//===- Views.h - the tensors of a library call -----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From the numbers of runtime/abi/Library.h to strided views, and from views to
// rows: what lies along one dimension.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_LIBRARY_VIEWS_H
#define TESSERA_RUNTIME_LIBRARY_VIEWS_H

#include "runtime/abi/Library.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace tessera::runtime::library {

/// Half precision in storage, told apart by type.
struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

/// Calls `visit` with a value of the element type; its result.
template <typename Visitor> auto withElement(TesseraDType dtype, Visitor visit) {
  switch (dtype) {
  case TESSERA_BOOL:
    return visit(bool());
  case TESSERA_U8:
    return visit(uint8_t());
  case TESSERA_I8:
    return visit(int8_t());
  case TESSERA_I16:
    return visit(int16_t());
  case TESSERA_I32:
    return visit(int32_t());
  case TESSERA_I64:
    return visit(int64_t());
  case TESSERA_F16:
    return visit(Half());
  case TESSERA_BF16:
    return visit(BFloat());
  case TESSERA_F32:
    return visit(float());
  case TESSERA_F64:
    break;
  }
  return visit(double());
}

/// Calls `visit` with an unsigned number as wide as an element: for what is only moved.
template <typename Visitor> auto withBits(TesseraDType dtype, Visitor visit) {
  switch (dtype) {
  case TESSERA_BOOL:
  case TESSERA_U8:
  case TESSERA_I8:
    return visit(uint8_t());
  case TESSERA_I16:
  case TESSERA_F16:
  case TESSERA_BF16:
    return visit(uint16_t());
  case TESSERA_I32:
  case TESSERA_F32:
    return visit(uint32_t());
  case TESSERA_I64:
  case TESSERA_F64:
    break;
  }
  return visit(uint64_t());
}

/// A strided tensor of a call; strides are in elements.
struct View {
  void *data = nullptr;
  TesseraDType dtype = TESSERA_F32;
  int64_t rank = 0;
  const int64_t *sizes = nullptr;
  const int64_t *strides = nullptr;

  template <typename T> T *as() const { return static_cast<T *>(data); }
  /// Elements of the dimensions [from, to).
  int64_t count(int64_t from, int64_t to) const;
  /// Offset of the element whose dimensions other than `dim` have the row-major number `row`,
  /// and that is the first along `dim`.
  int64_t rowOffset(int64_t row, int64_t dim) const;
};

/// The dimensions [from, to) of a view as few as possible, walked in row-major order.
class Span {
public:
  Span(const View &view, int64_t from, int64_t to);

  /// Offset of element `linear` of the dimensions.
  int64_t at(int64_t linear) const {
    if (rank == 1)
      return linear * strides[0];
    return walk(linear);
  }
  /// Calls `run(start, offset, length, stride)` for the pieces of [begin, end) whose elements have
  /// one stride: `length` elements from number `start` on.
  template <typename Run> void forEachRun(int64_t begin, int64_t end, Run run) const {
    int64_t inner = sizes[rank - 1], stride = strides[rank - 1];
    while (begin < end) {
      int64_t left = inner - begin % inner, length = left < end - begin ? left : end - begin;
      run(begin, at(begin), length, stride);
      begin += length;
    }
  }

  /// How many elements from number `linear` on have one stride, which is the span's last.
  int64_t runFrom(int64_t linear) const { return sizes[rank - 1] - linear % sizes[rank - 1]; }
  int64_t lastStride() const { return strides[rank - 1]; }

  /// Whether all elements are one.
  bool isBroadcast() const {
    for (int64_t d = 0; d < rank; ++d)
      if (sizes[d] != 1 && strides[d] != 0)
        return false;
    return true;
  }

private:
  int64_t walk(int64_t linear) const;

  static constexpr int64_t kMaxRank = 64;
  int64_t rank = 0;
  std::array<int64_t, kMaxRank> sizes, strides;
};

/// The tensors and parameters of one call.
class Call {
public:
  static constexpr int64_t kMaxTensors = 6;

  Call(void *const *buffers, const int64_t *description);

  const View &operator[](int64_t index) const { return views[index]; }
  /// The function's own numbers.
  const int64_t *parameters;

private:
  std::array<View, kMaxTensors> views;
};

} // namespace tessera::runtime::library

#endif // TESSERA_RUNTIME_LIBRARY_VIEWS_H
