//===- GraphRandom.cpp - random numbers -----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphBuild.h"
#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

FailureOr<RankedTensorType> RandomBitsOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  Type dtype = adaptor.getDtype();
  if (!dtype.isSignlessInteger(32) && !dtype.isSignlessInteger(64))
    return ctx.error("`dtype` is ", dtype, "; use i32 or i64, and graph.cast behind it");
  FailureOr<SmallVector<int64_t>> shape = shapeFromAttribute(ctx, adaptor.getShape());
  if (failed(shape))
    return failure();
  return RankedTensorType::get(*shape, dtype);
}

Attribute RequireOp::coerceAttribute(StringRef name, Attribute given, std::string &allowed) {
  return coerceEnum<RequirementAttr>(given, symbolizeRequirement, "probability, deviation, weights",
                                     allowed);
}

FailureOr<RankedTensorType> RequireOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType value = rankedType(adaptor.getValue());
  ArrayRef<int64_t> condition = rankedType(adaptor.getCondition()).getShape();
  std::optional<SmallVector<int64_t>> shape = broadcastShapes(condition, value.getShape());
  if (!shape)
    return ctx.error("the condition's shape ", formatShape(condition),
                     " does not broadcast with the value's shape ", formatShape(value.getShape()));
  return value.clone(*shape);
}
