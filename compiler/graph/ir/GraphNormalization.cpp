//===- GraphNormalization.cpp - normalizations and softmax: inference and building ===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphBuild.h"
#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

// A missing weight may be followed by a bias, hence one group each for operand, weight and bias.
unsigned LayerNormOp::getNumOperandGroups() { return 3; }
unsigned GroupNormOp::getNumOperandGroups() { return 3; }

static Attribute coerceNormAttribute(StringRef name, Attribute given) {
  return name == "eps" ? coerceFloat(given) : given;
}
Attribute LayerNormOp::coerceAttribute(StringRef name, Attribute given, std::string &) {
  return coerceNormAttribute(name, given);
}
Attribute RmsNormOp::coerceAttribute(StringRef name, Attribute given, std::string &) {
  return coerceNormAttribute(name, given);
}
Attribute GroupNormOp::coerceAttribute(StringRef name, Attribute given, std::string &) {
  return coerceNormAttribute(name, given);
}

/// Errors unless weight or bias, where present, has this shape and the operand's element type.
static LogicalResult checkAffine(const InferContext &ctx, StringRef name, Value affine,
                                 ArrayRef<int64_t> shape, Type element) {
  if (!affine)
    return success();
  RankedTensorType type = rankedType(affine);
  if (succeeded(verifyCompatibleShape(type.getShape(), shape)) && type.getElementType() == element)
    return success();
  return ctx.error(name, " must be ", RankedTensorType::get(shape, element), ", got ", type);
}

static LogicalResult checkAxes(const InferContext &ctx, RankedTensorType type, int64_t axes) {
  if (axes >= 1 && axes <= type.getRank())
    return success();
  return ctx.error("`axes` is ", axes, "; it counts trailing dimensions, from 1 to ",
                   type.getRank());
}

FailureOr<RankedTensorType> LayerNormOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  int64_t axes = adaptor.getAxes();
  if (failed(checkAxes(ctx, type, axes)))
    return failure();
  ArrayRef<int64_t> shape = type.getShape().take_back(axes);
  if (failed(checkAffine(ctx, "weight", adaptor.getWeight(), shape, type.getElementType())) ||
      failed(checkAffine(ctx, "bias", adaptor.getBias(), shape, type.getElementType())))
    return failure();
  return type;
}

FailureOr<RankedTensorType> RmsNormOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  int64_t axes = adaptor.getAxes();
  if (failed(checkAxes(ctx, type, axes)) ||
      failed(checkAffine(ctx, "weight", adaptor.getWeight(), type.getShape().take_back(axes),
                         type.getElementType())))
    return failure();
  return type;
}

FailureOr<RankedTensorType> GroupNormOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (type.getRank() < 2)
    return ctx.error("operand must be [N, C, ...], got ", type);
  int64_t channels = type.getDimSize(1), groups = adaptor.getGroups();
  if (groups < 1 || (!ShapedType::isDynamic(channels) && channels % groups != 0))
    return ctx.error("`groups` (", groups, ") must divide the ",
                     formatShape(ArrayRef<int64_t>(channels)), " channels of dimension 1");
  if (failed(checkAffine(ctx, "weight", adaptor.getWeight(), channels, type.getElementType())) ||
      failed(checkAffine(ctx, "bias", adaptor.getBias(), channels, type.getElementType())))
    return failure();
  return type;
}

FailureOr<RankedTensorType> SoftmaxOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkDim(ctx, "dim", adaptor.getDim(), type.getRank())))
    return failure();
  return type;
}

FailureOr<RankedTensorType> LogSoftmaxOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkDim(ctx, "dim", adaptor.getDim(), type.getRank())))
    return failure();
  return type;
}
