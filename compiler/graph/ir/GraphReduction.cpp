//===- GraphReduction.cpp - reductions: inference and building ------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphBuild.h"
#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

Attribute ReduceOp::coerceAttribute(StringRef name, Attribute given, std::string &allowed) {
  return coerceEnum<ReduceKindAttr>(given, symbolizeReduceKind, "sum, prod, max, min, any, all",
                                    allowed);
}

Attribute ArgReduceOp::coerceAttribute(StringRef name, Attribute given, std::string &allowed) {
  return coerceEnum<ArgReduceKindAttr>(given, symbolizeArgReduceKind, "max, min", allowed);
}

Attribute RunningReduceOp::coerceAttribute(StringRef name, Attribute given, std::string &allowed) {
  return coerceEnum<ReduceKindAttr>(given, symbolizeReduceKind, "sum, prod", allowed);
}

/// The operand's shape without `dims`, or with ones in their place.
static SmallVector<int64_t> reducedShape(RankedTensorType type, ArrayRef<int64_t> dims,
                                         bool keepdim) {
  SmallVector<int64_t> shape;
  for (auto [dim, size] : llvm::enumerate(type.getShape())) {
    if (!llvm::is_contained(dims, static_cast<int64_t>(dim)))
      shape.push_back(size);
    else if (keepdim)
      shape.push_back(1);
  }
  return shape;
}

FailureOr<RankedTensorType> ReduceOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  ArrayRef<int64_t> dims = adaptor.getDims();
  ReduceKind kind = adaptor.getKind();
  StringRef kindName = stringifyReduceKind(kind);
  bool isLogical = kind == ReduceKind::Any || kind == ReduceKind::All;
  if (isLogical != type.getElementType().isInteger(1))
    return ctx.error("`kind` ", kindName, isLogical ? " takes i1" : " takes numbers", ", got ",
                     type.getElementType(),
                     isLogical ? "; compare with zero first" : "; insert graph.cast");
  for (auto [index, dim] : llvm::enumerate(dims)) {
    if (failed(checkDim(ctx, "dims", dim, type.getRank())))
      return failure();
    if (index && dims[index - 1] >= dim)
      return ctx.error("`dims` must be sorted and distinct, got ", dims[index - 1], " before ",
                       dim);
    bool needsElement = kind == ReduceKind::Max || kind == ReduceKind::Min;
    if (needsElement && type.getDimSize(dim) == 0)
      return ctx.error("`kind` ", kindName, " has no value over the empty dimension ", dim);
  }
  return type.clone(reducedShape(type, dims, adaptor.getKeepdim()));
}

FailureOr<RankedTensorType> ArgReduceOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  int64_t dim = adaptor.getDim();
  if (failed(checkDim(ctx, "dim", dim, type.getRank())))
    return failure();
  if (type.getDimSize(dim) == 0)
    return ctx.error("`kind` ", stringifyArgReduceKind(adaptor.getKind()),
                     " has no position in the empty dimension ", dim);
  return RankedTensorType::get(reducedShape(type, dim, adaptor.getKeepdim()),
                               IntegerType::get(ctx.getContext(), 64));
}

FailureOr<RankedTensorType> RunningReduceOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  ReduceKind kind = adaptor.getKind();
  if (failed(checkDim(ctx, "dim", adaptor.getDim(), type.getRank())))
    return failure();
  if (kind != ReduceKind::Sum && kind != ReduceKind::Prod)
    return ctx.error("`kind` ", stringifyReduceKind(kind),
                     " has no partial results here; use sum or prod, or graph.running_extremum");
  if (type.getElementType().isF16() || type.getElementType().isBF16())
    return ctx.error("`operand` of ", type.getElementType(),
                     " would lose what it adds up; insert graph.cast to f32");
  return type;
}
