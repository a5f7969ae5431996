//===- Convolution.cpp - kernels of class convolution ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: a kernel of class convolution and its point. To: loops around tile.mma, by
// the point's algorithm. What the algorithms share is here.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ConvolutionProblem.h"

#include "compiler/graph/ir/GraphOps.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace tessera {

FailureOr<ConvolutionProblem> readConvolution(KernelFrame &frame) {
  ConvolutionProblem p;
  auto op = findOnly<graph::ConvolutionOp>(frame.kernel);
  if (!op || !op.getChannelsLast())
    return frame.kernel.emitOpError(
        "[convolution] body must hold exactly one graph.convolution, with channels last");
  auto image = dyn_cast<BlockArgument>(op.getInput());
  auto unpack = op.getWeight().getDefiningOp<schedule::UnpackKernelsOp>();
  auto panels = unpack ? dyn_cast<BlockArgument>(unpack.getSource()) : BlockArgument();
  if (!image || !panels)
    return frame.kernel.emitOpError("[convolution] reads an input and schedule.unpack_kernels of "
                                    "another; run tessera-schedule-prepack");
  auto input = cast<RankedTensorType>(image.getType());
  auto weight = cast<RankedTensorType>(op.getWeight().getType());
  auto packed = cast<RankedTensorType>(panels.getType());
  auto result = cast<RankedTensorType>(op.getType());
  p.input = frame.inputs[image.getArgNumber()];
  p.result = op.getResult();
  p.strides = frame.kernel.getInputStrides(image.getArgNumber());
  p.panels = frame.inputs[panels.getArgNumber()];
  p.panelWidth = packed.getDimSize(3);
  p.pairedPanels = packed.getRank() == 5;
  p.panelDepth = packed.getDimSize(2) * (p.pairedPanels ? 2 : 1);
  p.batch = input.getDimSize(0);
  p.groups = op.getGroups();
  p.channels = weight.getDimSize(1);
  p.outputs = weight.getDimSize(0) / p.groups;
  llvm::append_range(p.sizes, input.getShape().drop_front().drop_back());
  llvm::append_range(p.places, result.getShape().drop_front().drop_back());
  llvm::append_range(p.kernel, weight.getShape().drop_front(2));
  llvm::append_range(p.stride, op.getStride());
  llvm::append_range(p.dilation, op.getDilation());
  llvm::append_range(p.padding, op.getPaddingLow());
  p.accType = registerType(input.getElementType());
  return p;
}

FailureOr<KernelExtent> emitConvolution(KernelFrame &frame) {
  FailureOr<ConvolutionProblem> problem = readConvolution(frame);
  if (failed(problem))
    return failure();
  auto point = dyn_cast_or_null<schedule::ConvolutionAttr>(frame.kernel.getPointAttr());
  if (!point)
    return frame.kernel.emitOpError("[convolution] needs a #schedule.convolution point");
  if (point.getMr() < 1 || point.getNr() < 1 || point.getBlock() < 1 || point.getNSplit() < 0 ||
      point.getUnroll() < 1)
    return frame.kernel.emitOpError("[convolution] tile sizes must be positive, got ") << point;
  if (problem->panelWidth != point.getNr())
    return frame.kernel.emitOpError("[convolution] panels of ")
           << problem->panelWidth << " channels do not fit a register tile of " << point.getNr();
  if (problem->pairedPanels != point.getPairs())
    return frame.kernel.emitOpError("[convolution] panels ")
           << (problem->pairedPanels ? "of pairs do" : "do not") << " fit a point "
           << (point.getPairs() ? "with" : "without") << " `pairs`";
  if (point.getPairs() && (problem->channelStride() != 1 || problem->channels % 2 != 0))
    return frame.kernel.emitOpError("[convolution] pairs need an even number of channels a group "
                                    "that lie side by side, got ")
           << problem->channels << " at a distance of " << problem->channelStride()
           << "; drop pairs";
  if (point.getAlgorithm() == schedule::ConvolutionAlgorithm::Winograd)
    return emitWinograd(frame, *problem, point);
  return emitDirect(frame, *problem, point);
}

//===----------------------------------------------------------------------===//
// Epilogue
//===----------------------------------------------------------------------===//

ConvolutionEpilogue::ConvolutionEpilogue(KernelFrame &frame, const ConvolutionProblem &problem,
                                         TileBuilder &t)
    : p(problem), t(t), body(frame) {
  auto result = cast<RankedTensorType>(p.result.getType());
  for (BlockArgument argument : frame.kernel.getBody().front().getArguments()) {
    unsigned i = argument.getArgNumber();
    auto type = cast<RankedTensorType>(argument.getType());
    if (type.getShape() == result.getShape() && frame.inputs[i] != p.input &&
        frame.kernel.getInputStrides(i).back() == 1)
      images.push_back(frame.inputs[i]);
  }
}

void ConvolutionEpilogue::emit(Value sums, ValueRange pixel, Value channel, Value valid) {
  TilePoint point;
  point.indices.assign(pixel.begin(), pixel.end());
  point.laneDim = point.indices.size();
  point.indices.push_back(channel);
  point.lanes = cast<VectorType>(sums.getType()).getDimSize(0);
  point.valid = valid;
  body.reset();
  body.bind(p.result, sums);
  if (failed(body.storeResults(t.loc, point))) {
    hasError = true;
    return;
  }
}

void ConvolutionEpilogue::prefetch(ValueRange pixel, Value channel, int64_t columns) {
  for (Value image : images) {
    auto type = cast<MemRefType>(image.getType());
    int64_t line = std::max<int64_t>(1, 512 / type.getElementTypeBitWidth());
    SmallVector<Value> indices(pixel);
    indices.push_back({});
    for (int64_t c = 0; c < columns; c += line) {
      indices.back() = t.add(channel, c);
      t.prefetch(image, indices);
    }
  }
}

} // namespace tessera
