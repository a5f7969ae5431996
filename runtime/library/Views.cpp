//===- Views.cpp - the tensors of a library call ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/library/Views.h"

#include "runtime/Program.h"

#include <cassert>

using namespace tessera::runtime;
using namespace tessera::runtime::library;

static_assert(int(DType::Bool) == TESSERA_BOOL && int(DType::U8) == TESSERA_U8 &&
              int(DType::I8) == TESSERA_I8 && int(DType::I16) == TESSERA_I16 &&
              int(DType::I32) == TESSERA_I32 && int(DType::I64) == TESSERA_I64 &&
              int(DType::F16) == TESSERA_F16 && int(DType::BF16) == TESSERA_BF16 &&
              int(DType::F32) == TESSERA_F32 && int(DType::F64) == TESSERA_F64);

int64_t View::count(int64_t from, int64_t to) const {
  int64_t elements = 1;
  for (int64_t d = from; d < to; ++d)
    elements *= sizes[d];
  return elements;
}

int64_t View::rowOffset(int64_t row, int64_t dim) const {
  int64_t offset = 0;
  for (int64_t d = rank - 1; d >= 0; --d) {
    if (d == dim || sizes[d] == 1)
      continue;
    offset += row % sizes[d] * strides[d];
    row /= sizes[d];
  }
  return offset;
}

Span::Span(const View &view, int64_t from, int64_t to) {
  assert(to - from <= kMaxRank && "torch has tensors of at most 64 dimensions");
  for (int64_t d = from; d < to; ++d) {
    int64_t size = view.sizes[d], stride = view.strides[d];
    if (size == 1)
      continue;
    if (rank > 0 && strides[rank - 1] == size * stride) {
      sizes[rank - 1] *= size;
      strides[rank - 1] = stride;
      continue;
    }
    sizes[rank] = size;
    strides[rank++] = stride;
  }
  if (rank == 0) {
    sizes[0] = 1;
    strides[0] = 1;
    rank = 1;
  }
}

int64_t Span::walk(int64_t linear) const {
  int64_t offset = 0;
  for (int64_t d = rank - 1; d >= 0; --d) {
    offset += linear % sizes[d] * strides[d];
    linear /= sizes[d];
  }
  return offset;
}

Call::Call(void *const *buffers, const int64_t *description) {
  int64_t tensors = *description++;
  assert(tensors <= kMaxTensors && "no function of the library takes that many tensors");
  for (int64_t i = 0; i < tensors; ++i) {
    View &view = views[i];
    view.data = buffers[i];
    view.dtype = static_cast<TesseraDType>(*description++);
    view.rank = *description++;
    view.sizes = description;
    view.strides = description + view.rank;
    description += 2 * view.rank;
  }
  parameters = description;
}
