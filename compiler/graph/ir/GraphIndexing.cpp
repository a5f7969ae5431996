//===- GraphIndexing.cpp - indexing ops: inference ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphBuild.h"
#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

FailureOr<RankedTensorType> GatherOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType source = rankedType(adaptor.getSource());
  RankedTensorType index = rankedType(adaptor.getIndex());
  int64_t dim = adaptor.getDim();
  if (failed(checkDim(ctx, "dim", dim, source.getRank())))
    return failure();
  SmallVector<int64_t> shape(source.getShape().take_front(dim));
  llvm::append_range(shape, index.getShape());
  llvm::append_range(shape, source.getShape().drop_front(dim + 1));
  return source.clone(shape);
}

Attribute ScatterOp::coerceAttribute(StringRef, Attribute given, std::string &allowed) {
  return coerceEnum<ScatterKindAttr>(given, symbolizeScatterKind, "none, sum, prod, max, min",
                                     allowed);
}

FailureOr<RankedTensorType> ScatterOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType dest = rankedType(adaptor.getDest()), index = rankedType(adaptor.getIndex());
  RankedTensorType source = rankedType(adaptor.getSource());
  int64_t dim = adaptor.getDim();
  if (failed(checkDim(ctx, "dim", dim, dest.getRank())))
    return failure();
  if (source.getElementType() != dest.getElementType())
    return ctx.error("`source` of ", source.getElementType(), " cannot be written to `dest` of ",
                     dest.getElementType(), "; insert graph.cast");
  Type element = dest.getElementType();
  bool isSum = adaptor.getKind() == ScatterKind::Sum || adaptor.getKind() == ScatterKind::Prod;
  if (isSum && (element.isInteger(1) || element.isF16() || element.isBF16()))
    return ctx.error("`kind` ", stringifyScatterKind(adaptor.getKind()), " takes no ", element,
                     "; cast to a wider type and back");
  bool agree = index.getRank() == dest.getRank() && source.getRank() == dest.getRank();
  for (int64_t d = 0; agree && d < dest.getRank(); ++d)
    agree = sizesAgree(index.getDimSize(d), source.getDimSize(d)) &&
            (d == dim || sizesAgree(dest.getDimSize(d), source.getDimSize(d)));
  if (!agree)
    return ctx.error("`index` ", formatShape(index.getShape()), " and `source` ",
                     formatShape(source.getShape()), " must be equal, and equal to `dest` ",
                     formatShape(dest.getShape()), " but along dimension ", dim);
  return dest;
}
