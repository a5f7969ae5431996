//===- GraphRandom.cpp - random numbers -----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

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
