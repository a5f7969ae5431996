//===- Layout.h - movement ops as layouts of a root's storage --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_LAYOUT_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_LAYOUT_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "mlir/IR/Value.h"

#include <optional>

namespace tessera {

/// Element (i0, i1, …) lies at `offset + Σ ik·strides[k]` of the contiguous storage of `root`.
struct Layout {
  mlir::Value root;
  int64_t offset = 0;
  llvm::SmallVector<int64_t> sizes, strides;

  /// The layout of a value that is its own root.
  static Layout contiguous(mlir::Value root);
  bool isIdentity() const;
  /// True when the elements lie in row-major order without gaps, wherever they begin.
  bool isRowMajor() const;
};

/// The layout of the movement op `op` whose operand is laid out as `source`; nothing when it needs
/// a copy (a reshape across strides, concat, pad).
std::optional<Layout> foldMovement(mlir::Operation *op, const Layout &source);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_LAYOUT_H
