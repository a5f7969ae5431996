//===- ExpandConvolutions.cpp - convolutions as what has kernels ----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: graph.convolution, where no kernel of its own has claimed it. To, with
// channels last:
//
//   kernels of one element   a product of the pixels, in place
//   one group                windows side by side, one row each (one copy), times the
//                            kernels as columns: [N·O…, K…·C] x [O, K…·C]
//   several groups           the same a group: a batch of products, and the elementwise ops
//                            behind it in their shape
//   a channel a group        itself, also with 2, 4 or 8; where the kernels of that class do not
//                            take one channel, windows times kernels, summed: nothing copied
//
// An image times a number a channel, before a product, scales the weights instead.
//
// Windows are views of the input with its border of zeros. Weights are rearranged
// by kernels that run once.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/support/Sizes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace tessera::graph {

#define GEN_PASS_DEF_GRAPHEXPANDCONVOLUTIONS
#include "compiler/graph/transforms/Passes.h.inc"

using Dims = SmallVector<int64_t>;

static Dims range(int64_t begin, int64_t end) {
  return llvm::to_vector(llvm::seq<int64_t>(begin, end));
}

static Dims joined(std::initializer_list<ArrayRef<int64_t>> parts) {
  Dims all;
  for (ArrayRef<int64_t> part : parts)
    all.append(part.begin(), part.end());
  return all;
}

namespace {

/// Writes one convolution anew. Shapes are known.
class Expansion {
public:
  explicit Expansion(ConvolutionOp op);
  Value emit();

private:
  Value paddedInput();
  Value windows(Value input);
  Value dense();
  Value takeScale();
  Value grouped();
  Value channelwise();
  Value whole();

  Value reshape(Value value, ArrayRef<int64_t> shape);
  Value permute(Value value, ArrayRef<int64_t> dims);
  Value convert(Value value, Type element);
  Value product(Value lhs, Value rhs, ArrayRef<int64_t> shape);

  ConvolutionOp op;
  ImplicitLocOpBuilder b;
  int64_t dims, batch, channels, outputs, groups, perGroup, outputsPerGroup;
  Dims kernel, places; ///< sizes of the kernel, and how many windows there are
};

} // namespace

Expansion::Expansion(ConvolutionOp op) : op(op), b(op.getLoc(), op) {
  RankedTensorType weight = rankedType(op.getWeight()), result = rankedType(op.getResult());
  dims = weight.getRank() - 2;
  groups = op.getGroups();
  outputs = weight.getDimSize(0);
  perGroup = weight.getDimSize(1);
  channels = perGroup * groups;
  outputsPerGroup = outputs / groups;
  batch = result.getDimSize(0);
  llvm::append_range(kernel, weight.getShape().drop_front(2));
  ArrayRef<int64_t> spatial = result.getShape().drop_front(op.getChannelsLast() ? 1 : 2);
  llvm::append_range(places, spatial.take_front(dims));
}

Value Expansion::reshape(Value value, ArrayRef<int64_t> shape) {
  return ReshapeOp::create(b, rankedType(value).clone(shape), value, shape);
}

Value Expansion::permute(Value value, ArrayRef<int64_t> order) {
  if (llvm::is_sorted(order))
    return value;
  Dims shape;
  for (int64_t d : order)
    shape.push_back(rankedType(value).getDimSize(d));
  return PermuteOp::create(b, rankedType(value).clone(shape), value, order);
}

Value Expansion::convert(Value value, Type element) {
  if (rankedType(value).getElementType() == element)
    return value;
  auto type = RankedTensorType::get(rankedType(value).getShape(), element);
  return CastOp::create(b, type, value, element);
}

Value Expansion::product(Value lhs, Value rhs, ArrayRef<int64_t> shape) {
  return MatmulOp::create(b, rankedType(lhs).clone(shape), lhs, rhs, /*transpose_a=*/false,
                          /*transpose_b=*/true);
}

/// The input as [N, spatial…, C] with its border.
Value Expansion::paddedInput() {
  Value input = op.getInput();
  if (!op.getChannelsLast())
    input = permute(input, joined({0, range(2, dims + 2), 1}));
  ArrayRef<int64_t> low = op.getPaddingLow(), high = op.getPaddingHigh();
  auto isZero = [](int64_t amount) { return amount == 0; };
  if (llvm::all_of(low, isZero) && llvm::all_of(high, isZero))
    return input;
  Type element = rankedType(input).getElementType();
  auto scalar = RankedTensorType::get({}, element);
  Value zero = ConstantOp::create(
      b, scalar, DenseElementsAttr::get(scalar, Attribute(b.getZeroAttr(element))));
  Dims shape(rankedType(input).getShape());
  for (int64_t d = 0; d < dims; ++d)
    shape[d + 1] += low[d] + high[d];
  return PadOp::create(b, rankedType(input).clone(shape), input, zero, joined({0, low, 0}),
                       joined({0, high, 0}));
}

/// [N, places…, kernel…, C], a view.
Value Expansion::windows(Value input) {
  Dims shape = joined({batch, places, channels, kernel});
  Value result = WindowOp::create(b, rankedType(input).clone(shape), input, range(1, dims + 1),
                                  kernel, op.getStride(), op.getDilation());
  return permute(result, joined({range(0, dims + 1), range(dims + 2, 2 * dims + 2), dims + 1}));
}

Value Expansion::dense() {
  Value scale = takeScale();
  int64_t pixels = productOf(places), depth = productOf(kernel) * channels;
  Dims leading{batch * pixels};
  Value lhs = paddedInput();
  bool inPlace = rankedType(lhs).getShape() == ArrayRef(joined({batch, places, depth}));
  // Pixels of an image stored by channels are at one distance from each other, images are not.
  if (inPlace && lhs.getDefiningOp<PermuteOp>())
    leading = {batch, pixels};
  if (!inPlace)
    lhs = windows(lhs);
  lhs = reshape(lhs, joined({leading, depth}));
  Value rhs = permute(op.getWeight(), joined({0, range(2, dims + 2), 1}));
  if (scale)
    rhs = MulOp::create(b, rankedType(rhs), rhs, reshape(scale, {channels}));
  Value result = product(lhs, reshape(rhs, {outputs, depth}), joined({leading, outputs}));
  return reshape(result, joined({batch, places, outputs}));
}

/// Rows of a product an output column must have for its weights to be worth scaling in every call.
static constexpr int64_t rowsWorthScaling = 4;

/// Where the input is an image times a number a channel, as behind squeeze and excitation: those
/// numbers, to be multiplied into the weights, which are far fewer. The input is then the image.
Value Expansion::takeScale() {
  auto scaled = op.getInput().getDefiningOp<MulOp>();
  if (!scaled || !scaled->hasOneUse() || !op.getChannelsLast() ||
      !isa<FloatType>(rankedType(scaled).getElementType()) ||
      batch * productOf(places) < rowsWorthScaling * productOf(kernel) * outputs)
    return {};
  for (auto [image, numbers] :
       {std::pair(scaled.getLhs(), scaled.getRhs()), std::pair(scaled.getRhs(), scaled.getLhs())}) {
    ArrayRef<int64_t> shape = rankedType(numbers).getShape();
    if (rankedType(image) != rankedType(scaled) || shape.empty() || shape.back() != channels ||
        rankedType(numbers).getNumElements() != channels)
      continue;
    op.getInputMutable().set(image);
    scaled.erase();
    return numbers;
  }
  return {};
}

Value Expansion::grouped() {
  int64_t rows = batch * productOf(places), depth = productOf(kernel) * perGroup;
  // [groups, N, places…, kernel…, C/groups]
  Value split = reshape(windows(paddedInput()), joined({batch, places, kernel, groups, perGroup}));
  Value lhs = permute(split, joined({2 * dims + 1, range(0, 2 * dims + 1), 2 * dims + 2}));
  Value weight = reshape(op.getWeight(), joined({groups, outputsPerGroup, perGroup, kernel}));
  Value rhs = permute(weight, joined({0, 1, range(3, dims + 3), 2}));
  Value result =
      product(reshape(lhs, {groups, rows, depth}), reshape(rhs, {groups, outputsPerGroup, depth}),
              {groups, rows, outputsPerGroup});
  return reshape(permute(result, {1, 0, 2}), joined({batch, places, outputs}));
}

//===----------------------------------------------------------------------===//
// What follows a batch of products
//===----------------------------------------------------------------------===//

/// `operand` of an elementwise op on [leading…, groups·C], for the same op on [groups, rows, C];
/// null where it is neither the whole nor a row of channels.
static Value byGroup(OpBuilder &b, Value operand, ArrayRef<int64_t> whole,
                     ArrayRef<int64_t> groups) {
  RankedTensorType type = rankedType(operand);
  auto reshaped = [&](ArrayRef<int64_t> shape) -> Value {
    return ReshapeOp::create(b, operand.getLoc(), type.clone(shape), operand, shape);
  };
  if (type.getRank() == 0)
    return operand;
  if (type.getNumElements() == 1)
    return reshaped({});
  if (type.getShape() == whole) {
    Value split = reshaped({groups[1], groups[0], groups[2]});
    return PermuteOp::create(b, operand.getLoc(), type.clone(groups), split,
                             ArrayRef<int64_t>{1, 0, 2});
  }
  bool isRow = type.getNumElements() == whole.back() && type.getShape().back() == whole.back();
  return isRow ? reshaped({groups[0], 1, groups[2]}) : Value();
}

/// Moves the elementwise ops that follow reshape(permute(product)) in front of both.
static void moveBeforeJoin(ReshapeOp join) {
  while (join->hasOneUse()) {
    auto swap = join.getOperand().getDefiningOp<PermuteOp>();
    Operation *user = *join->user_begin();
    if (!user->hasTrait<Elementwise>() || user->getNumResults() != 1)
      return;
    ArrayRef<int64_t> whole = rankedType(join).getShape();
    ArrayRef<int64_t> groups = rankedType(swap.getOperand()).getShape();
    RankedTensorType type = rankedType(user->getResult(0));
    if (type.getShape() != whole || llvm::is_contained(whole, 0))
      return;
    OpBuilder b(user);
    SmallVector<Value> operands;
    for (Value operand : user->getOperands())
      operands.push_back(operand == join.getResult() ? swap.getOperand()
                                                     : byGroup(b, operand, whole, groups));
    if (llvm::is_contained(operands, Value()))
      return;
    Operation *moved = b.clone(*user);
    moved->setOperands(operands);
    moved->getResult(0).setType(type.clone(groups));
    Value swapped = PermuteOp::create(b, user->getLoc(), type.clone(rankedType(swap).getShape()),
                                      moved->getResult(0), swap.getDims());
    auto joined = ReshapeOp::create(b, user->getLoc(), type, swapped, whole);
    user->getResult(0).replaceAllUsesWith(joined.getResult());
    user->erase();
    join->erase();
    swap->erase();
    join = joined;
  }
}

/// Kernels with more columns than this, of all channels of a group, have too much code when they
/// are unrolled.
static constexpr int64_t mostKernelColumns = 32;

bool hasDepthwiseKernel(ConvolutionOp op) {
  ArrayRef<int64_t> weight = rankedType(op.getWeight()).getShape();
  int64_t groups = op.getGroups(), inputs = weight[1];
  if (groups == 1 || !op.getChannelsLast() || weight.back() * inputs > mostKernelColumns ||
      !isa<FloatType>(rankedType(op.getInput()).getElementType()))
    return false;
  // The lanes of a vector then hold whole groups.
  int64_t outputs = weight[0] / groups;
  return inputs == 1 ? outputs == 1 || outputs == 2 || outputs == 4
                     : inputs == outputs && (inputs == 2 || inputs == 4 || inputs == 8);
}

/// The convolution as it is, on an input whose channels lie side by side and contiguous kernels.
Value Expansion::whole() {
  // Joining one part copies it.
  auto copied = [&](Value value) -> Value {
    return ConcatOp::create(b, value.getType(), value, /*dim=*/0);
  };
  if (op.getInput().getDefiningOp<PermuteOp>())
    op.getInputMutable().set(copied(op.getInput()));
  Operation *made = op.getWeight().getDefiningOp();
  if (made && made->hasTrait<Movement>())
    op.getWeightMutable().set(copied(op.getWeight()));
  return op.getResult();
}

Value Expansion::channelwise() {
  Type element = rankedType(op.getResult()).getElementType();
  Type wide = element.isF16() || element.isBF16() ? Type(b.getF32Type()) : element;
  // [N, places…, kernel…, C, outputs a channel]; the last one only where there are several.
  Dims tail{channels};
  if (outputsPerGroup != 1)
    tail.push_back(outputsPerGroup);
  Value input = windows(paddedInput());
  if (outputsPerGroup != 1)
    input = reshape(input, joined({batch, places, kernel, channels, 1}));
  // The kernels as [kernel…, C, outputs]. Joining one part copies it, so that channels lie side by
  // side.
  Value weight = reshape(op.getWeight(), joined({channels, outputsPerGroup, kernel}));
  weight = permute(weight, joined({range(2, dims + 2), 0, 1}));
  weight = ConcatOp::create(b, weight.getType(), weight, /*dim=*/0);
  weight = reshape(weight, joined({kernel, tail}));
  Dims shape = joined({batch, places, kernel, tail});
  auto type = RankedTensorType::get(shape, wide);
  Value products = MulOp::create(b, type, convert(input, wide), convert(weight, wide));
  Dims summed = range(dims + 1, 2 * dims + 1);
  for (int64_t d : summed)
    shape[d] = 1;
  Value sums =
      ReduceOp::create(b, type.clone(shape), ReduceKind::Sum, products, summed, /*keepdim=*/true);
  return convert(reshape(sums, joined({batch, places, outputs})), element);
}

Value Expansion::emit() {
  Value result;
  if (groups == 1)
    result = dense();
  else if (hasDepthwiseKernel(op))
    return whole();
  else if (perGroup == 1)
    result = channelwise();
  else
    result = grouped();
  if (!op.getChannelsLast())
    result = permute(result, joined({0, dims + 1, range(1, dims + 1)}));
  return result;
}

namespace {
struct GraphExpandConvolutions : impl::GraphExpandConvolutionsBase<GraphExpandConvolutions> {
  void runOnOperation() override {
    SmallVector<ConvolutionOp> convolutions;
    getOperation().walk([&](ConvolutionOp op) {
      if (!op->hasAttr(kClaimed))
        convolutions.push_back(op);
    });
    for (ConvolutionOp op : convolutions) {
      if (!rankedType(op.getInput()).hasStaticShape() ||
          !rankedType(op.getWeight()).hasStaticShape()) {
        op.emitOpError("[expand-convolutions] needs sizes known when it is compiled, got ")
            << op.getInput().getType() << " and " << op.getWeight().getType()
            << "; compile for each size that occurs";
        return signalPassFailure();
      }
      Value result = Expansion(op).emit();
      if (result == op.getResult())
        continue;
      op.getResult().replaceAllUsesWith(result);
      op.erase();
      if (auto join = result.getDefiningOp<ReshapeOp>();
          join && join.getOperand().getDefiningOp<PermuteOp>())
        moveBeforeJoin(join);
    }
  }
};
} // namespace

} // namespace tessera::graph
