//===- GraphContraction.cpp - contractions: inference ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

FailureOr<RankedTensorType> MatmulOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType lhs = rankedType(adaptor.getLhs()), rhs = rankedType(adaptor.getRhs());
  if (lhs.getElementType() != rhs.getElementType())
    return ctx.error("operands must have one element type, got ", lhs.getElementType(), " and ",
                     rhs.getElementType(), "; insert graph.cast");
  if (lhs.getRank() < 2 || rhs.getRank() < 2)
    return ctx.error("operands need at least 2 dimensions, got shapes ",
                     formatShape(lhs.getShape()), " and ", formatShape(rhs.getShape()),
                     "; reshape vectors to matrices first");
  // Position of a matrix dimension from the end: 1 is last.
  int64_t lhsK = adaptor.getTransposeA() ? 2 : 1, rhsK = adaptor.getTransposeB() ? 1 : 2;
  auto size = [](RankedTensorType type, int64_t fromEnd) {
    return type.getDimSize(type.getRank() - fromEnd);
  };
  auto place = [](int64_t fromEnd) { return fromEnd == 1 ? "last" : "second to last"; };
  if (!sizesAgree(size(lhs, lhsK), size(rhs, rhsK)))
    return ctx.error(place(lhsK), " dimension of lhs (", size(lhs, lhsK), ") must equal the ",
                     place(rhsK), " dimension of rhs (", size(rhs, rhsK), "); shapes are ",
                     formatShape(lhs.getShape()), " and ", formatShape(rhs.getShape()));
  std::optional<SmallVector<int64_t>> shape =
      broadcastShapes(lhs.getShape().drop_back(2), rhs.getShape().drop_back(2));
  if (!shape)
    return ctx.error("batch dimensions of shapes ", formatShape(lhs.getShape()), " and ",
                     formatShape(rhs.getShape()), " do not broadcast");
  shape->push_back(size(lhs, 3 - lhsK));
  shape->push_back(size(rhs, 3 - rhsK));
  return lhs.clone(*shape);
}

FailureOr<RankedTensorType> GroupedMatmulOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType lhs = rankedType(adaptor.getLhs()), rhs = rankedType(adaptor.getRhs());
  RankedTensorType ends = rankedType(adaptor.getEnds());
  if (lhs.getElementType() != rhs.getElementType())
    return ctx.error("operands must have one element type, got ", lhs.getElementType(), " and ",
                     rhs.getElementType(), "; insert graph.cast");
  bool perGroup = rhs.getRank() == 3;
  if (lhs.getRank() != 2 || (!perGroup && rhs.getRank() != 2) || ends.getRank() != 1)
    return ctx.error("lhs needs 2 dimensions, rhs 2 or 3 and ends 1, got shapes ",
                     formatShape(lhs.getShape()), ", ", formatShape(rhs.getShape()), " and ",
                     formatShape(ends.getShape()));
  int64_t depth = rhs.getDimSize(perGroup ? 1 : 0), columns = rhs.getShape().back();
  if (!sizesAgree(lhs.getDimSize(1), depth))
    return ctx.error("last dimension of lhs (", lhs.getDimSize(1),
                     ") must equal the summed one of ", "rhs (", depth, "); shapes are ",
                     formatShape(lhs.getShape()), " and ", formatShape(rhs.getShape()));
  if (perGroup && !sizesAgree(rhs.getDimSize(0), ends.getDimSize(0)))
    return ctx.error("rhs has matrices for ", rhs.getDimSize(0), " groups, but there are ",
                     ends.getDimSize(0), " ends");
  if (perGroup)
    return lhs.clone({lhs.getDimSize(0), columns});
  return lhs.clone({ends.getDimSize(0), lhs.getDimSize(0), columns});
}
