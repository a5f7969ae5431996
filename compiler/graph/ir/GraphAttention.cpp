//===- GraphAttention.cpp - attention: inference and building -------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphBuild.h"
#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

Attribute AttentionOp::coerceAttribute(StringRef name, Attribute given, std::string &) {
  return name == "scale" ? coerceFloat(given) : given;
}

namespace {
/// Dimensions counted from the end, as attention names them.
struct HeadShape {
  explicit HeadShape(RankedTensorType type)
      : type(type), batch(type.getShape().drop_back(3)), heads(size(3)), length(size(2)),
        width(size(1)) {}
  int64_t size(int64_t fromEnd) const { return type.getDimSize(type.getRank() - fromEnd); }

  RankedTensorType type;
  ArrayRef<int64_t> batch;
  int64_t heads, length, width;
};
} // namespace

static LogicalResult checkMask(const InferContext &ctx, Value mask, Type element,
                               ArrayRef<int64_t> scores) {
  if (!mask)
    return success();
  RankedTensorType type = rankedType(mask);
  bool isWider = type.getElementType().isF32() && element.isBF16();
  if (!type.getElementType().isInteger(1) && type.getElementType() != element && !isWider)
    return ctx.error("mask must have element type i1 or that of query, ", element, ", got ",
                     type.getElementType(), "; insert graph.cast");
  if (!isBroadcastableTo(type.getShape(), scores))
    return ctx.error("mask of shape ", formatShape(type.getShape()),
                     " does not broadcast to the scores' shape ", formatShape(scores));
  return success();
}

FailureOr<RankedTensorType> AttentionOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType types[] = {rankedType(adaptor.getQuery()), rankedType(adaptor.getKey()),
                              rankedType(adaptor.getValue())};
  for (RankedTensorType type : types) {
    if (type.getRank() < 3 || type.getRank() != types[0].getRank())
      return ctx.error("query, key and value need the same rank of at least 3, got ",
                       types[0].getRank(), ", ", types[1].getRank(), " and ", types[2].getRank());
    if (type.getElementType() != types[0].getElementType())
      return ctx.error("query, key and value must have one element type, got ",
                       types[0].getElementType(), " and ", type.getElementType(),
                       "; insert graph.cast");
  }
  HeadShape query(types[0]), key(types[1]), value(types[2]);
  for (const HeadShape *other : {&key, &value})
    if (failed(verifyCompatibleShape(query.batch, other->batch)))
      return ctx.error("leading dimensions of query ", formatShape(types[0].getShape()), ", key ",
                       formatShape(types[1].getShape()), " and value ",
                       formatShape(types[2].getShape()), " must be equal");
  if (!sizesAgree(query.width, key.width))
    return ctx.error("last dimension of query (", query.width, ") must equal that of key (",
                     key.width, ")");
  if (!sizesAgree(key.length, value.length) || !sizesAgree(key.heads, value.heads))
    return ctx.error("key and value must have the same heads and length, got ", key.heads, "x",
                     key.length, " and ", value.heads, "x", value.length);
  bool headsKnown = !ShapedType::isDynamic(query.heads) && !ShapedType::isDynamic(key.heads);
  bool headsFit = key.heads == 0 ? query.heads == 0 : query.heads % key.heads == 0;
  if (headsKnown && !headsFit)
    return ctx.error("the heads of query (", query.heads,
                     ") must be a multiple of those of key and value (", key.heads, ")");
  SmallVector<int64_t> shape(query.batch);
  shape.append({query.heads, query.length, key.length});
  if (failed(checkMask(ctx, adaptor.getMask(), types[0].getElementType(), shape)))
    return failure();
  shape.back() = value.width;
  return types[0].clone(shape);
}
