//===- GraphLinearAlgebra.cpp - factorizations: inference -----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

/// A batch of matrices of known sizes.
static LogicalResult checkMatrices(const InferContext &ctx, StringRef name, RankedTensorType type,
                                   bool square = false) {
  int64_t rank = type.getRank();
  if (rank < 2 || !type.hasStaticShape())
    return ctx.error("`", name, "` must be matrices of known sizes, got ",
                     formatShape(type.getShape()));
  if (square && type.getDimSize(rank - 1) != type.getDimSize(rank - 2))
    return ctx.error("`", name, "` must be square, got ", formatShape(type.getShape()));
  return success();
}

/// `other` must have the batch of `type`, and `last` for its own last dimensions.
static LogicalResult checkBeside(const InferContext &ctx, StringRef name, RankedTensorType type,
                                 RankedTensorType other, ArrayRef<int64_t> last) {
  SmallVector<int64_t> wanted(type.getShape().drop_back(2));
  llvm::append_range(wanted, last);
  if (other.getShape() != ArrayRef<int64_t>(wanted))
    return ctx.error("`", name, "` ", formatShape(other.getShape()), " does not fit matrices ",
                     formatShape(type.getShape()), "; expected ", formatShape(wanted));
  return success();
}

/// The batch of `type` with `last` behind it.
static RankedTensorType batched(RankedTensorType type, ArrayRef<int64_t> last, Type element) {
  SmallVector<int64_t> shape(type.getShape().drop_back(2));
  llvm::append_range(shape, last);
  return RankedTensorType::get(shape, element);
}

static int64_t rowsOf(RankedTensorType type) { return type.getDimSize(type.getRank() - 2); }
static int64_t columnsOf(RankedTensorType type) { return type.getDimSize(type.getRank() - 1); }
static int64_t smallerOf(RankedTensorType type) { return std::min(rowsOf(type), columnsOf(type)); }

LogicalResult CholeskyOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                     SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkMatrices(ctx, "operand", type, /*square=*/true)))
    return failure();
  types.push_back(type);
  types.push_back(batched(type, {}, IntegerType::get(ctx.getContext(), 32)));
  return success();
}

LogicalResult LUOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                               SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkMatrices(ctx, "operand", type)))
    return failure();
  Type integer = IntegerType::get(ctx.getContext(), 32);
  types.push_back(type);
  types.push_back(batched(type, {smallerOf(type)}, integer));
  types.push_back(batched(type, {}, integer));
  return success();
}

/// Right sides of equations with the square matrices `type`.
static LogicalResult checkRight(const InferContext &ctx, RankedTensorType type,
                                RankedTensorType right) {
  if (failed(checkMatrices(ctx, "right", right)))
    return failure();
  if (right.getElementType() != type.getElementType())
    return ctx.error("`right` of ", right.getElementType(), " does not fit matrices of ",
                     type.getElementType(), "; insert graph.cast");
  return checkBeside(ctx, "right", type, right, {columnsOf(type), columnsOf(right)});
}

FailureOr<RankedTensorType> LUSolveOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getPacked());
  RankedTensorType right = rankedType(adaptor.getRight());
  if (failed(checkMatrices(ctx, "packed", type, /*square=*/true)) ||
      failed(
          checkBeside(ctx, "pivots", type, rankedType(adaptor.getPivots()), {columnsOf(type)})) ||
      failed(checkRight(ctx, type, right)))
    return failure();
  return right;
}

FailureOr<RankedTensorType> TriangularSolveOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getTriangle());
  RankedTensorType right = rankedType(adaptor.getRight());
  if (failed(checkMatrices(ctx, "triangle", type, /*square=*/true)) ||
      failed(checkRight(ctx, type, right)))
    return failure();
  return right;
}

LogicalResult QROp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                               SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkMatrices(ctx, "operand", type)))
    return failure();
  types.push_back(type);
  types.push_back(batched(type, {smallerOf(type)}, type.getElementType()));
  return success();
}

FailureOr<RankedTensorType> HouseholderProductOp::inferType(const InferContext &ctx,
                                                            Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getPacked()), tau = rankedType(adaptor.getTau());
  if (failed(checkMatrices(ctx, "packed", type)))
    return failure();
  int64_t count = tau.getRank() ? tau.getShape().back() : -1;
  if (failed(checkBeside(ctx, "tau", type, tau, {count})))
    return failure();
  if (rowsOf(type) < columnsOf(type) || count > columnsOf(type))
    return ctx.error("`packed` ", formatShape(type.getShape()),
                     " must have at least as many rows as columns, and not fewer columns than the ",
                     count, " reflections of `tau`");
  return type;
}

LogicalResult EighOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                 SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkMatrices(ctx, "operand", type, /*square=*/true)))
    return failure();
  types.push_back(batched(type, {columnsOf(type)}, type.getElementType()));
  types.push_back(type);
  return success();
}

LogicalResult SVDOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkMatrices(ctx, "operand", type)))
    return failure();
  Type element = type.getElementType();
  int64_t count = smallerOf(type);
  types.push_back(batched(type, {rowsOf(type), count}, element));
  types.push_back(batched(type, {count}, element));
  types.push_back(batched(type, {count, columnsOf(type)}, element));
  return success();
}

FailureOr<RankedTensorType> MatrixExpOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkMatrices(ctx, "operand", type, /*square=*/true)))
    return failure();
  return type;
}
