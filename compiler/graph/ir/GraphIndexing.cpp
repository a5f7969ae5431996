//===- GraphIndexing.cpp - indexing ops: inference ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

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
