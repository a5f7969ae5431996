//===- Match.h - looking at graph ops ---------------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Small questions that several patterns ask.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_TRANSFORMS_MATCH_H
#define TESSERA_COMPILER_GRAPH_TRANSFORMS_MATCH_H

#include "compiler/graph/ir/GraphOps.h"

#include "mlir/IR/PatternMatch.h"

#include <optional>

namespace tessera::graph {

/// The number every element of a constant has; nothing for other values.
std::optional<double> splatNumber(mlir::Value value);

/// Whether a value is a constant equal to `number`, up to the rounding of its element type.
bool isAbout(mlir::Value value, double number);

/// The relative rounding error of a floating-point type; 0 for integers.
double relativeEpsilon(mlir::Type element);

/// Whether these dims only exchange the last two.
bool swapsLastTwo(llvm::ArrayRef<int64_t> dims);

/// A constant tensor with one number everywhere; booleans take 0 and 1.
mlir::Value createSplat(mlir::OpBuilder &builder, mlir::Location loc, mlir::RankedTensorType type,
                        double number);

/// A value times a constant: `x * c`, `c * x`, `x / c`; `x` itself has factor 1.
struct Scaled {
  mlir::Value value;
  double factor = 1.0;
};
Scaled matchScaled(mlir::Value value);

/// sum / difference operands in a given order of roles.
/// For commutative ops: (operand that is about `number`, the other); nothing when neither is.
template <typename OpT> mlir::Value otherThan(mlir::Value value, double number) {
  auto op = value.getDefiningOp<OpT>();
  if (!op)
    return {};
  if (isAbout(op.getRhs(), number))
    return op.getLhs();
  if (isAbout(op.getLhs(), number))
    return op.getRhs();
  return {};
}

/// The mean of a value over dims that stay with size one.
struct Mean {
  mlir::Value value;
  llvm::SmallVector<int64_t> dims;
};
std::optional<Mean> matchMean(mlir::Value value);

/// A reduction of this kind whose dims stay with size one, be it by `keepdim` or by a reshape.
ReduceOp matchKeptReduce(mlir::Value value, ReduceKind kind);

/// The number of trailing dims `dims` are; 0 when they are others.
int64_t countTrailing(llvm::ArrayRef<int64_t> dims, int64_t rank);

} // namespace tessera::graph

#endif // TESSERA_COMPILER_GRAPH_TRANSFORMS_MATCH_H
