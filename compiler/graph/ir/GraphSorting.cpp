//===- GraphSorting.cpp - rows in order: inference and building -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphBuild.h"
#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

Attribute OrderStatisticOp::coerceAttribute(StringRef, Attribute given, std::string &allowed) {
  return coerceEnum<StatisticAttr>(given, symbolizeStatistic, "kth, median, nanmedian, mode",
                                   allowed);
}

Attribute RunningExtremumOp::coerceAttribute(StringRef, Attribute given, std::string &allowed) {
  return coerceEnum<ArgReduceKindAttr>(given, symbolizeArgReduceKind, "max, min", allowed);
}

/// The operand's shape with `size` along `dim`, for values and for indices.
static void addOrderTypes(RankedTensorType operand, int64_t dim, int64_t size,
                          SmallVectorImpl<Type> &types) {
  SmallVector<int64_t> shape(operand.getShape());
  shape[dim] = size;
  types.push_back(operand.clone(shape));
  types.push_back(RankedTensorType::get(shape, IntegerType::get(operand.getContext(), 64)));
}

LogicalResult SortOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                 SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  int64_t dim = adaptor.getDim();
  if (failed(checkDim(ctx, "dim", dim, type.getRank())))
    return failure();
  addOrderTypes(type, dim, type.getDimSize(dim), types);
  return success();
}

LogicalResult TopkOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                 SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  int64_t dim = adaptor.getDim(), k = adaptor.getK();
  if (failed(checkDim(ctx, "dim", dim, type.getRank())))
    return failure();
  if (k < 0 || (!type.isDynamicDim(dim) && k > type.getDimSize(dim)))
    return ctx.error("`k` ", k, " is not between 0 and the ", formatShape(type.getDimSize(dim)),
                     " elements of dimension ", dim);
  addOrderTypes(type, dim, k, types);
  return success();
}

LogicalResult OrderStatisticOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                           SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  int64_t dim = adaptor.getDim(), k = adaptor.getK();
  if (failed(checkDim(ctx, "dim", dim, type.getRank())))
    return failure();
  StringRef kind = stringifyStatistic(adaptor.getKind());
  if (type.getDimSize(dim) == 0)
    return ctx.error("`kind` ", kind, " has no element in the empty dimension ", dim);
  if (k < 1 || (!type.isDynamicDim(dim) && k > type.getDimSize(dim)))
    return ctx.error("`k` ", k, " is not between 1 and the ", formatShape(type.getDimSize(dim)),
                     " elements of dimension ", dim);
  addOrderTypes(type, dim, 1, types);
  return success();
}

LogicalResult RunningExtremumOp::inferTypes(const InferContext &ctx, Adaptor adaptor,
                                            SmallVectorImpl<Type> &types) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  int64_t dim = adaptor.getDim();
  if (failed(checkDim(ctx, "dim", dim, type.getRank())))
    return failure();
  addOrderTypes(type, dim, type.getDimSize(dim), types);
  return success();
}

FailureOr<RankedTensorType> SearchSortedOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType sequence = rankedType(adaptor.getSequence());
  RankedTensorType values = rankedType(adaptor.getValues());
  if (sequence.getElementType() != values.getElementType())
    return ctx.error("`sequence` of ", sequence.getElementType(), " and `values` of ",
                     values.getElementType(), " cannot be compared; insert graph.cast");
  bool agree = sequence.getRank() == values.getRank() && sequence.getRank() > 0;
  for (int64_t d = 0; agree && d + 1 < sequence.getRank(); ++d)
    agree = sizesAgree(sequence.getDimSize(d), values.getDimSize(d));
  if (!agree)
    return ctx.error("`sequence` ", formatShape(sequence.getShape()), " and `values` ",
                     formatShape(values.getShape()), " must agree in all dimensions but the last");
  return values.clone(IntegerType::get(ctx.getContext(), 64));
}
