//===- PrepackWeights.cpp - column panels of parameters, packed once -------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: contractions and convolutions reading parameters in place. To: pack
// kernels marked prepare, and kernels reading their panels.
//
// From: depthwise convolutions. To: the same reading panels of channels, each with
// all elements of the kernel one after the other: channels as such would lie at
// distances that share few sets of the first cache.
//
// Weights of convolutions that are computed by every call are packed by every call.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/GraphToSchedule/Passes.h"
#include "compiler/conversions/GraphToSchedule/Prepacking.h"
#include "compiler/conversions/GraphToSchedule/Prepared.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/support/Sizes.h"

#include "llvm/ADT/STLExtras.h"

namespace tessera {
#define GEN_PASS_DEF_PREPACKWEIGHTS
#include "compiler/conversions/GraphToSchedule/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;
using namespace tessera::schedule;

/// `input` as […, K, N]: itself, or a view with the last two dimensions swapped.
static Value orientedKN(OpBuilder &b, KernelOp kernel, unsigned index, bool transposed) {
  Value input = kernel.getInputs()[index];
  if (!transposed)
    return input;
  SmallVector<int64_t> strides = kernel.getInputStrides(index);
  auto type = cast<RankedTensorType>(input.getType());
  SmallVector<int64_t> shape(type.getShape());
  std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  std::swap(strides[strides.size() - 1], strides[strides.size() - 2]);
  auto view = input.getDefiningOp<ViewOp>();
  return ViewOp::create(b, kernel.getLoc(), type.clone(shape), view ? view.getSource() : input,
                        b.getI64IntegerAttr(view ? view.getOffset() : 0),
                        b.getDenseI64ArrayAttr(strides));
}

/// What a prepare kernel rounds to bf16 and does nothing else with, where it lies contiguous:
/// packing pairs does as much.
static Value roundedSource(Value value) {
  auto kernel = value.getDefiningOp<KernelOp>();
  if (!kernel || !kernel.getPrepare() || kernel.getInputs().size() != 1 ||
      kernel.getOutputs().size() != 1 || kernel.getResultPermsAttr())
    return {};
  Value source = kernel.getInputs().front();
  auto rounding = kernel.getYield().getValues().front().getDefiningOp<graph::CastOp>();
  bool isPlain = rounding && rounding.getOperand() == kernel.getBody().front().getArgument(0) &&
                 !source.getDefiningOp<ViewOp>();
  return isPlain && cast<RankedTensorType>(source.getType()).getElementType().isF32() ? source
                                                                                      : Value();
}

Value tessera::unrounded(OpBuilder &b, Value matrix) {
  auto view = matrix.getDefiningOp<ViewOp>();
  Value source = roundedSource(view ? view.getSource() : matrix);
  if (!source || !view)
    return source ? source : matrix;
  auto type = cast<RankedTensorType>(view.getType()).clone(b.getF32Type());
  return ViewOp::create(b, view.getLoc(), type, source, view.getOffsetAttr(),
                        view.getStridesAttr());
}

Value tessera::packPanels(OpBuilder &b, Location loc, Value matrix, int64_t nr, bool pairs,
                          bool prepare) {
  if (pairs)
    matrix = unrounded(b, matrix);
  auto type = cast<RankedTensorType>(matrix.getType());
  SmallVector<int64_t> shape(type.getShape().drop_back(2));
  int64_t k = type.getDimSize(type.getRank() - 2), n = type.getDimSize(type.getRank() - 1);
  int64_t count = (n + nr - 1) / nr;
  if (pairs)
    shape.append({count, (k + 1) / 2, nr, 2});
  else
    shape.append({count, k, nr});
  auto packedType = type.clone(shape);
  if (pairs)
    packedType = packedType.clone(b.getBF16Type());
  auto pack = KernelOp::create(b, loc, TypeRange(packedType), KernelKind::Pack, ValueRange(matrix),
                               {}, {}, prepare, {}, {});
  Block &body = pack.getBody().emplaceBlock();
  OpBuilder inner = OpBuilder::atBlockEnd(&body);
  Value panels = PackOp::create(inner, loc, packedType, body.addArgument(type, loc));
  YieldOp::create(inner, loc, panels);
  return pack.getOutputs()[0];
}

/// The kernels of a depthwise convolution, [O, I, kernel…], as [elements of I kernels, O]; null
/// where no strides say that.
static Value channelColumns(OpBuilder &b, KernelOp kernel, unsigned index) {
  Value input = kernel.getInputs()[index];
  auto type = cast<RankedTensorType>(input.getType());
  SmallVector<int64_t> strides = kernel.getInputStrides(index);
  SmallVector<int64_t> shape(type.getShape());
  int64_t taps = productOf(ArrayRef(shape).drop_front()), step = strides.back();
  auto expected = rowMajorStrides(ArrayRef(shape).drop_front());
  for (auto [have, want, size] :
       llvm::zip_equal(ArrayRef(strides).drop_front(), expected, ArrayRef(shape).drop_front()))
    if (size != 1 && have != want * step)
      return {};
  auto view = input.getDefiningOp<ViewOp>();
  return ViewOp::create(
      b, kernel.getLoc(), type.clone({taps, shape[0]}), view ? view.getSource() : input,
      b.getI64IntegerAttr(view ? view.getOffset() : 0), b.getDenseI64ArrayAttr({step, strides[0]}));
}

/// [elements of I kernels, O] as [O, I, kernel…].
static Value asKernels(OpBuilder &b, Value columns, ArrayRef<int64_t> shape) {
  auto type = cast<RankedTensorType>(columns.getType());
  SmallVector<int64_t> split(shape.drop_front()), order;
  int64_t dims = split.size();
  split.push_back(shape[0]);
  order.push_back(dims);
  llvm::append_range(order, llvm::seq<int64_t>(0, dims));
  Value kernels = graph::ReshapeOp::create(b, columns.getLoc(), type.clone(split), columns, split);
  return graph::PermuteOp::create(b, columns.getLoc(), type.clone(shape), kernels, order);
}

/// The op of class `Op` that makes `kernel` what it is, where its point is a `Point`; else null.
template <typename Op, typename Point> static Op rootOf(KernelOp kernel, Point &point) {
  point = dyn_cast_or_null<Point>(kernel.getPointAttr());
  auto ops = kernel.getBody().front().getOps<Op>();
  return point && !ops.empty() ? *ops.begin() : Op();
}

static BlockArgument addInput(KernelOp kernel, Value input) {
  kernel.getInputsMutable().append(input);
  return kernel.getBody().addArgument(input.getType(), kernel.getLoc());
}

/// Something else in the kernel may read the weights as well.
static void dropUnused(KernelOp kernel, BlockArgument argument) {
  if (!argument.use_empty())
    return;
  unsigned index = argument.getArgNumber();
  kernel.getInputsMutable().erase(index);
  kernel.getBody().eraseArgument(index);
}

namespace {
struct PrepackWeights : tessera::impl::PrepackWeightsBase<PrepackWeights> {
  void runOnOperation() override {
    for (auto kernel : llvm::make_early_inc_range(getOperation().getOps<KernelOp>())) {
      if (kernel.getKind() == KernelKind::Contraction)
        prepack(kernel);
      else if (kernel.getKind() == KernelKind::Depthwise)
        packChannels(kernel);
      else if (kernel.getKind() == KernelKind::Convolution)
        packConvolution(kernel);
    }
    // Copies that only packing read.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(getOperation().front())))
      if (auto kernel = dyn_cast<KernelOp>(op); kernel && kernel.getPrepare() && op.use_empty())
        op.erase();
      else if (isa<ViewOp>(op) && op.use_empty())
        op.erase();
  }

  void packConvolution(KernelOp kernel) {
    ConvolutionAttr point;
    auto convolution = rootOf<graph::ConvolutionOp>(kernel, point);
    if (!convolution)
      return;
    Block &body = kernel.getBody().front();
    auto argument = dyn_cast<BlockArgument>(convolution.getWeight());
    if (!argument) // its panels
      return;
    unsigned index = argument.getArgNumber();
    OpBuilder b(kernel);
    Value panels = packKernels(b, kernel, index, convolution.getGroups(), point,
                               isPrepared(kernel.getInputs()[index]));
    BlockArgument packed = addInput(kernel, panels);
    OpBuilder inner = OpBuilder::atBlockBegin(&body);
    convolution.getWeightMutable().set(
        UnpackKernelsOp::create(inner, kernel.getLoc(), argument.getType(), packed));
    dropUnused(kernel, argument);
  }

  void prepack(KernelOp kernel) {
    ContractionAttr point;
    auto matmul = rootOf<graph::MatmulOp>(kernel, point);
    if (!matmul)
      return;
    Block &body = kernel.getBody().front();
    auto argument = dyn_cast<BlockArgument>(matmul.getRhs());
    // The panels replace the argument: every use must be this product.
    if (!argument || !argument.hasOneUse() ||
        !isPrepared(kernel.getInputs()[argument.getArgNumber()]))
      return;
    if (cast<RankedTensorType>(argument.getType()).getRank() < 2 ||
        cast<RankedTensorType>(argument.getType()).getNumElements() == 0)
      return;
    unsigned index = argument.getArgNumber();
    OpBuilder b(kernel);
    bool transposed = matmul.getTransposeB();
    Value matrix = orientedKN(b, kernel, index, transposed);
    Value panels = packPanels(b, kernel.getLoc(), matrix, point.getNr(), point.getPairs());
    kernel.getInputsMutable()[index].set(panels);
    argument.setType(panels.getType());
    OpBuilder inner = OpBuilder::atBlockBegin(&body);
    Value logical = UnpackOp::create(inner, kernel.getLoc(), matrix.getType(), argument);
    matmul.getRhsMutable().set(logical);
    matmul.setTransposeB(false);
  }

  void packChannels(KernelOp kernel) {
    DepthwiseAttr point;
    auto convolution = rootOf<graph::ConvolutionOp>(kernel, point);
    if (!convolution)
      return;
    Block &body = kernel.getBody().front();
    auto argument = dyn_cast<BlockArgument>(convolution.getWeight());
    if (!argument)
      return;
    OpBuilder b(kernel);
    Value input = kernel.getInputs()[argument.getArgNumber()];
    Value matrix = channelColumns(b, kernel, argument.getArgNumber());
    if (!matrix)
      return;
    Value panels = packPanels(b, kernel.getLoc(), matrix, point.getLanes() * point.getVectors(),
                              /*pairs=*/false, isPrepared(input));
    BlockArgument packed = addInput(kernel, panels);
    OpBuilder inner = OpBuilder::atBlockBegin(&body);
    Value columns = UnpackOp::create(inner, kernel.getLoc(), matrix.getType(), packed);
    convolution.getWeightMutable().set(
        asKernels(inner, columns, cast<RankedTensorType>(argument.getType()).getShape()));
    dropUnused(kernel, argument);
  }
};
} // namespace
