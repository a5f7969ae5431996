//===- PrepackKernels.cpp - weights of convolutions as panels --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: a weight [O, C/groups, kernel…]. To: column panels in the order windows are
// read, channels innermost; for Winograd of the transformed kernels.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/Prepacking.h"
#include "compiler/schedule/transforms/ContractionSchedule.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

/// A kernel with the body that `emit` gives for its inputs; with `prepare` it runs once.
static Value weightKernel(OpBuilder &b, Location loc, KernelKind kind, Attribute point,
                          RankedTensorType type, ValueRange inputs, bool prepare,
                          llvm::function_ref<Value(OpBuilder &, ValueRange)> emit) {
  auto kernel = KernelOp::create(b, loc, TypeRange(type), kind, inputs, point, {}, prepare, {}, {});
  Block &body = kernel.getBody().emplaceBlock();
  for (Value input : inputs)
    body.addArgument(input.getType(), loc);
  OpBuilder inner = OpBuilder::atBlockEnd(&body);
  YieldOp::create(inner, loc, emit(inner, body.getArguments()));
  return kernel.getOutputs()[0];
}

/// `source` is stored, or a view of what is stored in one piece.
static Value view(OpBuilder &b, Location loc, Value source, RankedTensorType type, int64_t offset,
                  ArrayRef<int64_t> strides) {
  if (auto whole = source.getDefiningOp<ViewOp>()) {
    source = whole.getSource();
    offset += whole.getOffset();
  }
  return ViewOp::create(b, loc, type, source, b.getI64IntegerAttr(offset),
                        b.getDenseI64ArrayAttr(strides));
}

/// The weight as [O, kernel…, C/groups], stored in that order: to be packed as pairs not rounded
/// yet where a parameter is, to be transformed in f32.
static Value channelsInnermost(OpBuilder &b, KernelOp kernel, unsigned index, bool prepare,
                               ConvolutionAttr point) {
  SmallVector<int64_t> strides = kernel.getInputStrides(index);
  Value weight = kernel.getInputs()[index];
  // Packing pairs rounds.
  if (point.getPairs())
    weight = unrounded(b, weight);
  auto type = cast<RankedTensorType>(weight.getType());
  SmallVector<int64_t> shape(type.getShape());
  std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  std::rotate(strides.begin() + 1, strides.begin() + 2, strides.end());
  auto source = weight.getDefiningOp<ViewOp>();
  Value turned = view(b, kernel.getLoc(), source ? source.getSource() : weight, type.clone(shape),
                      source ? source.getOffset() : 0, strides);
  RankedTensorType stored = type.clone(shape);
  if (point.getAlgorithm() == ConvolutionAlgorithm::Winograd)
    stored = stored.clone(b.getF32Type());
  // Computed in this order already.
  if (stored == turned.getType() && llvm::equal(strides, rowMajorStrides(shape)))
    return turned;
  return weightKernel(b, kernel.getLoc(), KernelKind::Elementwise,
                      ElementwiseAttr::get(b.getContext(), /*lanes=*/64, /*grain=*/16384, false),
                      stored, turned, prepare, [&](OpBuilder &inner, ValueRange inputs) -> Value {
                        if (stored == type.clone(shape))
                          return inputs.front();
                        return graph::CastOp::create(inner, kernel.getLoc(), stored, inputs.front(),
                                                     inner.getF32Type());
                      });
}

/// G ⊗ G of F(2x2, 3x3): the transform of a kernel of nine taps to sixteen.
static DenseElementsAttr kernelTransform(RankedTensorType type) {
  constexpr float g[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
  SmallVector<float> values;
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      for (int r = 0; r < 3; ++r)
        for (int s = 0; s < 3; ++s)
          values.push_back(g[i][r] * g[j][s]);
  return DenseElementsAttr::get(type, ArrayRef<float>(values));
}

/// [O, 3, 3, C] as the transformed kernels [16, C, O], a view of [O, 16, C].
static Value transformed(OpBuilder &b, Location loc, Value weight, bool prepare) {
  auto type = cast<RankedTensorType>(weight.getType());
  int64_t outputs = type.getDimSize(0), channels = type.getDimSize(3);
  auto matrixType = type.clone({16, 9}), tapsType = type.clone({outputs, 9, channels});
  auto resultType = type.clone({outputs, 16, channels});
  Value matrix = graph::ConstantOp::create(b, loc, kernelTransform(matrixType));
  Value taps = view(b, loc, weight, tapsType, 0, {9 * channels, channels, 1});
  ContractionShape shape;
  shape.batch = outputs;
  shape.rows = matrixType.getDimSize(0);
  shape.depth = shape.aRowStride = matrixType.getDimSize(1);
  shape.columns = channels;
  Value kernels = weightKernel(
      b, loc, KernelKind::Contraction, chooseContraction(b.getContext(), shape, {}), resultType,
      {matrix, taps}, prepare, [&](OpBuilder &inner, ValueRange inputs) -> Value {
        return graph::MatmulOp::create(inner, loc, resultType, inputs[0], inputs[1],
                                       /*transpose_a=*/false, /*transpose_b=*/false);
      });
  return view(b, loc, kernels, type.clone({16, channels, outputs}), 0,
              {channels, 1, 16 * channels});
}

Value tessera::packKernels(OpBuilder &b, KernelOp kernel, unsigned index, int64_t groups,
                           ConvolutionAttr point, bool prepare) {
  Location loc = kernel.getLoc();
  Value weight = channelsInnermost(b, kernel, index, prepare, point), matrices;
  auto type = cast<RankedTensorType>(weight.getType());
  if (point.getAlgorithm() == ConvolutionAlgorithm::Winograd) {
    matrices = transformed(b, loc, weight, prepare);
  } else {
    int64_t depth = productOf(type.getShape().drop_front());
    int64_t outputs = type.getDimSize(0) / groups;
    matrices =
        view(b, loc, weight, type.clone({groups, depth, outputs}), 0, {outputs * depth, 1, depth});
  }
  return packPanels(b, loc, matrices, point.getNr(), point.getPairs(), prepare);
}
