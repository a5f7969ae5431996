//===- GraphFourier.cpp - Fourier transforms: inference -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

/// Rows of a known size, and not of none.
static LogicalResult checkRows(const InferContext &ctx, RankedTensorType type, int64_t dim) {
  if (failed(checkDim(ctx, "dim", dim, type.getRank())))
    return failure();
  if (type.isDynamicDim(dim) || type.getDimSize(dim) < 1)
    return ctx.error("`dim` ", dim, " must have a known size of at least one, got ",
                     formatShape(type.getShape()));
  return success();
}

/// Both parts of complex numbers.
static LogicalResult checkParts(const InferContext &ctx, RankedTensorType real,
                                RankedTensorType imaginary, int64_t dim) {
  if (real != imaginary)
    return ctx.error("`real` ", formatShape(real.getShape()), " of ", real.getElementType(),
                     " and `imaginary` ", formatShape(imaginary.getShape()), " of ",
                     imaginary.getElementType(), " must be of one type");
  return checkRows(ctx, real, dim);
}

static RankedTensorType resized(RankedTensorType type, int64_t dim, int64_t size) {
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = size;
  return type.clone(shape);
}

LogicalResult FFTOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getReal());
  if (failed(checkParts(ctx, type, rankedType(adaptor.getImaginary()), adaptor.getDim())))
    return failure();
  types.append({type, type});
  return success();
}

LogicalResult RealFFTOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                    SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  int64_t dim = adaptor.getDim();
  if (failed(checkRows(ctx, type, dim)))
    return failure();
  RankedTensorType half = resized(type, dim, type.getDimSize(dim) / 2 + 1);
  types.append({half, half});
  return success();
}

FailureOr<RankedTensorType> InverseRealFFTOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getReal());
  int64_t dim = adaptor.getDim(), length = adaptor.getLength();
  if (failed(checkParts(ctx, type, rankedType(adaptor.getImaginary()), dim)))
    return failure();
  if (length < 1 || type.getDimSize(dim) != length / 2 + 1)
    return ctx.error("`length` ", length, " does not fit the ", type.getDimSize(dim),
                     " elements of dimension ", dim, "; expected ", length / 2 + 1);
  return resized(type, dim, length);
}
