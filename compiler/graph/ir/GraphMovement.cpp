//===- GraphMovement.cpp - movement ops: inference ------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"

#include "llvm/ADT/SmallBitVector.h"

using namespace mlir;
using namespace tessera::graph;

FailureOr<RankedTensorType> ReshapeOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  FailureOr<SmallVector<int64_t>> shape = shapeFromAttribute(ctx, adaptor.getShape());
  if (failed(shape))
    return failure();
  auto result = RankedTensorType::get(*shape, type.getElementType());
  if (type.hasStaticShape() && result.hasStaticShape() &&
      type.getNumElements() != result.getNumElements())
    return ctx.error("shape ", formatShape(type.getShape()), " has ", type.getNumElements(),
                     " elements, `shape` ", formatShape(*shape), " has ", result.getNumElements());
  return result;
}

/// Errors unless `dims` are distinct dimensions of a tensor of this rank.
static LogicalResult checkDistinctDims(const InferContext &ctx, ArrayRef<int64_t> dims,
                                       int64_t rank) {
  llvm::SmallBitVector seen(rank);
  for (int64_t dim : dims) {
    if (failed(checkDim(ctx, "dims", dim, rank)))
      return failure();
    if (seen.test(dim))
      return ctx.error("`dims` names dimension ", dim, " twice");
    seen.set(dim);
  }
  return success();
}

FailureOr<RankedTensorType> PermuteOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  ArrayRef<int64_t> dims = adaptor.getDims();
  if (static_cast<int64_t>(dims.size()) != type.getRank())
    return ctx.error("`dims` must name all ", type.getRank(), " dimensions, got ", dims.size());
  if (failed(checkDistinctDims(ctx, dims, type.getRank())))
    return failure();
  return type.clone(llvm::map_to_vector(dims, [&](int64_t dim) { return type.getDimSize(dim); }));
}

FailureOr<RankedTensorType> BroadcastOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  FailureOr<SmallVector<int64_t>> shape = shapeFromAttribute(ctx, adaptor.getShape());
  if (failed(shape))
    return failure();
  if (!isBroadcastableTo(type.getShape(), *shape))
    return ctx.error("shape ", formatShape(type.getShape()), " does not broadcast to `shape` ",
                     formatShape(*shape));
  return type.clone(*shape);
}

FailureOr<RankedTensorType> SliceOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  size_t rank = type.getRank();
  ArrayRef<int64_t> starts = adaptor.getStarts(), limits = adaptor.getLimits(),
                    steps = adaptor.getSteps();
  if (starts.size() != rank || limits.size() != rank || steps.size() != rank)
    return ctx.error("`starts`, `limits` and `steps` need one entry for each of ", rank,
                     " dimensions, got ", starts.size(), ", ", limits.size(), " and ",
                     steps.size());
  SmallVector<int64_t> shape;
  for (size_t dim = 0; dim < rank; ++dim) {
    int64_t start = starts[dim], limit = limits[dim], step = steps[dim];
    int64_t size = type.getDimSize(dim);
    if (step <= 0)
      return ctx.error("`steps` is ", step, " for dimension ", dim,
                       "; steps are positive (graph.reverse goes backwards)");
    if (start < 0 || limit < start || (!ShapedType::isDynamic(size) && limit > size))
      return ctx.error("`starts` ", start, " and `limits` ", limit, " for dimension ", dim,
                       " do not lie in order within its size ",
                       formatShape(ArrayRef<int64_t>(size)));
    shape.push_back((limit - start + step - 1) / step);
  }
  return type.clone(shape);
}

FailureOr<RankedTensorType> ConcatOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  if (adaptor.getInputs().empty())
    return ctx.error("needs at least one input");
  RankedTensorType first = rankedType(adaptor.getInputs().front());
  int64_t dim = adaptor.getDim();
  if (failed(checkDim(ctx, "dim", dim, first.getRank())))
    return failure();
  SmallVector<int64_t> shape(first.getShape());
  for (auto [index, input] : llvm::enumerate(adaptor.getInputs().drop_front())) {
    RankedTensorType type = rankedType(input);
    if (type.getElementType() != first.getElementType())
      return ctx.error("inputs must have one element type, got ", first.getElementType(), " and ",
                       type.getElementType(), "; insert graph.cast");
    bool fits = type.getRank() == first.getRank();
    for (int64_t d = 0; fits && d < type.getRank(); ++d)
      fits = d == dim || sizesAgree(shape[d], type.getDimSize(d));
    if (!fits)
      return ctx.error("input 0 has shape ", formatShape(first.getShape()), " and input ",
                       index + 1, " ", formatShape(type.getShape()),
                       ": they may differ in dimension ", dim, " only");
    for (int64_t d = 0; d < type.getRank(); ++d) {
      int64_t size = type.getDimSize(d);
      if (d == dim)
        shape[d] = ShapedType::isDynamic(shape[d]) || ShapedType::isDynamic(size)
                       ? ShapedType::kDynamic
                       : shape[d] + size;
      else if (ShapedType::isDynamic(shape[d]))
        shape[d] = size;
    }
  }
  return first.clone(shape);
}

FailureOr<RankedTensorType> PadOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  RankedTensorType value = rankedType(adaptor.getValue());
  if (value.getRank() != 0 || value.getElementType() != type.getElementType())
    return ctx.error("the padding value must be a 0-d tensor of ", type.getElementType(), ", got ",
                     value);
  size_t rank = type.getRank();
  ArrayRef<int64_t> low = adaptor.getLow(), high = adaptor.getHigh();
  if (low.size() != rank || high.size() != rank)
    return ctx.error("`low` and `high` need one entry for each of ", rank, " dimensions, got ",
                     low.size(), " and ", high.size());
  SmallVector<int64_t> shape;
  for (size_t dim = 0; dim < rank; ++dim) {
    int64_t size = type.getDimSize(dim);
    if (ShapedType::isDynamic(size)) {
      shape.push_back(size);
      continue;
    }
    // Each side crops on its own: what one side removes the other cannot give back.
    if (size + std::min<int64_t>(low[dim], 0) + std::min<int64_t>(high[dim], 0) < 0)
      return ctx.error("`low` ", low[dim], " and `high` ", high[dim], " crop more than the ", size,
                       " elements of dimension ", dim);
    shape.push_back(size + low[dim] + high[dim]);
  }
  return type.clone(shape);
}

FailureOr<RankedTensorType> ReverseOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  if (failed(checkDistinctDims(ctx, adaptor.getDims(), type.getRank())))
    return failure();
  return type;
}

FailureOr<RankedTensorType> WindowOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType type = rankedType(adaptor.getOperand());
  ArrayRef<int64_t> dims = adaptor.getDims(), sizes = adaptor.getSizes(),
                    steps = adaptor.getSteps(), dilations = adaptor.getDilations();
  if (failed(checkDistinctDims(ctx, dims, type.getRank())))
    return failure();
  if (sizes.size() != dims.size() || steps.size() != dims.size() || dilations.size() != dims.size())
    return ctx.error("`sizes`, `steps` and `dilations` need one entry for each of ", dims.size(),
                     " dimensions in `dims`, got ", sizes.size(), ", ", steps.size(), " and ",
                     dilations.size());
  SmallVector<int64_t> shape(type.getShape());
  for (size_t i = 0; i < dims.size(); ++i) {
    if (sizes[i] < 1 || steps[i] < 1 || dilations[i] < 1)
      return ctx.error("`sizes` ", sizes[i], ", `steps` ", steps[i], " and `dilations` ",
                       dilations[i], " for dimension ", dims[i], " must be positive");
    int64_t &size = shape[dims[i]];
    int64_t span = dilations[i] * (sizes[i] - 1) + 1;
    if (ShapedType::isDynamic(size))
      continue;
    if (span > size)
      return ctx.error("a window of ", span, " elements does not fit into the ", size,
                       " of dimension ", dims[i]);
    size = (size - span) / steps[i] + 1;
  }
  llvm::append_range(shape, sizes);
  return type.clone(shape);
}
