//===- GraphConvolution.cpp - convolutions: inference ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera::graph;

/// Errors unless there is one entry of at least `least` a spatial dimension.
static LogicalResult checkEntries(const InferContext &ctx, StringRef name,
                                  ArrayRef<int64_t> entries, size_t dims, int64_t least) {
  if (entries.size() != dims)
    return ctx.error("`", name, "` needs one entry for each of ", dims, " spatial dimensions, got ",
                     entries.size());
  for (int64_t entry : entries)
    if (entry < least)
      return ctx.error("`", name, "` holds ", entry, "; entries are at least ", least);
  return success();
}

/// Errors unless the channels of input and weight fit `groups`.
static LogicalResult checkChannels(const InferContext &ctx, int64_t channels,
                                   RankedTensorType weight, int64_t groups) {
  if (groups < 1)
    return ctx.error("`groups` is ", groups, "; there is at least one group");
  int64_t perGroup = weight.getDimSize(1), outputs = weight.getDimSize(0);
  if (!ShapedType::isDynamic(channels) && !ShapedType::isDynamic(perGroup) &&
      channels != perGroup * groups)
    return ctx.error("input has ", channels, " channels, but ", groups, " groups of weight's ",
                     perGroup, " are ", perGroup * groups);
  if (!ShapedType::isDynamic(outputs) && outputs % groups != 0)
    return ctx.error("weight's ", outputs, " output channels do not divide into ", groups,
                     " groups");
  return success();
}

FailureOr<RankedTensorType> ConvolutionOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType input = rankedType(adaptor.getInput());
  RankedTensorType weight = rankedType(adaptor.getWeight());
  if (input.getElementType() != weight.getElementType())
    return ctx.error("operands must have one element type, got ", input.getElementType(), " and ",
                     weight.getElementType(), "; insert graph.cast");
  if (input.getRank() < 3 || input.getRank() != weight.getRank())
    return ctx.error("input and weight need two dimensions and the spatial ones, got shapes ",
                     formatShape(input.getShape()), " and ", formatShape(weight.getShape()));
  size_t dims = input.getRank() - 2;
  ArrayRef<int64_t> stride = adaptor.getStride(), dilation = adaptor.getDilation();
  ArrayRef<int64_t> low = adaptor.getPaddingLow(), high = adaptor.getPaddingHigh();
  if (failed(checkEntries(ctx, "stride", stride, dims, 1)) ||
      failed(checkEntries(ctx, "padding_low", low, dims, 0)) ||
      failed(checkEntries(ctx, "padding_high", high, dims, 0)) ||
      failed(checkEntries(ctx, "dilation", dilation, dims, 1)))
    return failure();
  bool channelsLast = adaptor.getChannelsLast();
  int64_t channels = input.getDimSize(channelsLast ? dims + 1 : 1);
  if (failed(checkChannels(ctx, channels, weight, adaptor.getGroups())))
    return failure();

  SmallVector<int64_t> shape{input.getDimSize(0)};
  if (!channelsLast)
    shape.push_back(weight.getDimSize(0));
  for (size_t d = 0; d < dims; ++d) {
    int64_t size = input.getDimSize(d + (channelsLast ? 1 : 2)), kernel = weight.getDimSize(d + 2);
    if (ShapedType::isDynamic(size) || ShapedType::isDynamic(kernel)) {
      shape.push_back(ShapedType::kDynamic);
      continue;
    }
    int64_t span = dilation[d] * (kernel - 1) + 1, padded = low[d] + size + high[d];
    if (kernel < 1 || span > padded)
      return ctx.error("a window of ", span, " elements does not fit into the ", padded,
                       " of spatial dimension ", d, ", padding included");
    shape.push_back((padded - span) / stride[d] + 1);
  }
  if (channelsLast)
    shape.push_back(weight.getDimSize(0));
  return input.clone(shape);
}
