//===- Sizes.h - sizes, strides and bytes of tensors ------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_SUPPORT_SIZES_H
#define TESSERA_SUPPORT_SIZES_H

#include "mlir/IR/BuiltinTypeInterfaces.h"

#include <bit>
#include <cstdint>

namespace tessera {

int64_t productOf(llvm::ArrayRef<int64_t> sizes);

/// Strides, in elements, of a contiguous tensor of `sizes`. A size of zero counts as one: the
/// strides of a tensor without elements stay multiples of each other.
llvm::SmallVector<int64_t> rowMajorStrides(llvm::ArrayRef<int64_t> sizes);

/// Bytes an element takes in memory; those narrower than a byte take one.
int64_t byteWidth(mlir::Type elementType);

/// Bytes of a contiguous tensor, vector or buffer of static shape.
int64_t byteSize(mlir::ShapedType type);

/// The smallest power of two not below `value`; 1 for 0.
inline int64_t powerOfTwoCeil(int64_t value) { return std::bit_ceil(static_cast<uint64_t>(value)); }

} // namespace tessera

#endif // TESSERA_SUPPORT_SIZES_H
