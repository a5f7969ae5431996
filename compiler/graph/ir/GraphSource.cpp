//===- GraphSource.cpp - constants, progressions and parameters -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

FailureOr<RankedTensorType> ConstantOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  auto type = dyn_cast<RankedTensorType>(adaptor.getValue().getType());
  if (!type)
    return ctx.error("`value` must be a tensor, got ", adaptor.getValue().getType());
  return type;
}

OpFoldResult ConstantOp::fold(FoldAdaptor adaptor) { return getValue(); }

FailureOr<RankedTensorType> IotaOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  Type dtype = adaptor.getDtype();
  if (!isLegalElementType(dtype) || dtype.isInteger(1))
    return ctx.error("`dtype` is ", dtype, "; use f32, f64, f16, bf16, i8, i16, i32, i64 or ui8");
  FailureOr<SmallVector<int64_t>> shape = shapeFromAttribute(ctx, adaptor.getShape());
  if (failed(shape) || failed(checkDim(ctx, "dim", adaptor.getDim(), shape->size())))
    return failure();
  bool isFloat = isa<FloatAttr>(adaptor.getStart()) || isa<FloatAttr>(adaptor.getStep());
  if (isFloat && !isa<FloatType>(dtype))
    return ctx.error("`start` and `step` must be integers for the integer dtype ", dtype);
  return RankedTensorType::get(*shape, dtype);
}

LogicalResult ParameterOp::verify() {
  if (getName().empty())
    return emitOpError("[parameter] `name` must not be empty");
  return success();
}
