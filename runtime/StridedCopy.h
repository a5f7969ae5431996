//===- StridedCopy.h - copies between layouts --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_RUNTIME_STRIDEDCOPY_H
#define TESSERA_RUNTIME_STRIDEDCOPY_H

#include "runtime/Tensor.h"

namespace tessera::runtime {

/// Copies all elements of `source` to `target`, whose elements lie `targetStrides` apart (in
/// elements). Source strides may be zero or negative; the two must not overlap.
void copyStrided(const TensorView &source, void *target, const int64_t *targetStrides);

} // namespace tessera::runtime

#endif // TESSERA_RUNTIME_STRIDEDCOPY_H
