//===- ChannelsLastNorm.cpp - group_norm of channels that come last -------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From: the norm of x as [N, pixels, C] over pixels and the channels of a group, whose
// elements lie far apart. To: mean and squared deviation of every channel, side by side
// in vectors; of these few numbers those of the groups, as Chan et al. combine
// variances; and x·scale + shift with a pair of numbers a channel.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/ChannelsLastNorm.h"
#include "compiler/support/Sizes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace tessera::graph {
namespace {

/// Arithmetic on tensors of one element type and rank.
class NormBuilder : public ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  Value reshape(Value x, ArrayRef<int64_t> shape) {
    return ReshapeOp::create(*this, rankedType(x).clone(shape), x, shape);
  }
  Value cast(Value x, Type element) {
    if (rankedType(x).getElementType() == element)
      return x;
    auto type = RankedTensorType::get(rankedType(x).getShape(), element);
    return CastOp::create(*this, type, x, element);
  }
  template <typename OpT> Value binary(Value x, Value y) {
    auto shape = broadcastShapes(rankedType(x).getShape(), rankedType(y).getShape());
    return OpT::create(*this, rankedType(x).clone(*shape), x, y);
  }
  Value sum(Value x, int64_t dim) {
    SmallVector<int64_t> shape(rankedType(x).getShape());
    shape[dim] = 1;
    return ReduceOp::create(*this, rankedType(x).clone(shape), ReduceKind::Sum, x, dim,
                            /*keepdim=*/true);
  }
  Value number(Type element, double value) {
    auto type = RankedTensorType::get({}, element);
    return ConstantOp::create(
        *this, type, DenseElementsAttr::get(type, Attribute(getFloatAttr(element, value))));
  }
};

} // namespace

Value normalizeGroups(OpBuilder &builder, GroupNormOp op, Value stored) {
  NormBuilder b(op.getLoc(), builder);
  RankedTensorType type = rankedType(stored);
  Type element = type.getElementType();
  Type wide = element.getIntOrFloatBitWidth() < 32 ? Type(b.getF32Type()) : element;
  int64_t groups = op.getGroups(), channels = type.getShape().back() / groups;
  int64_t pixels = productOf(type.getShape().drop_front().drop_back());
  int64_t batch = type.getDimSize(0), all = type.getShape().back();
  // Of one image the rows that a product left: a dimension of one would only part them.
  SmallVector<int64_t> lead;
  if (batch != 1)
    lead.push_back(batch);
  int64_t pixelDim = lead.size(), channelDim = pixelDim + 2;
  auto shape = [&](std::initializer_list<int64_t> sizes) {
    SmallVector<int64_t> result(lead);
    llvm::append_range(result, sizes);
    return result;
  };
  Value x = b.cast(b.reshape(stored, shape({pixels, all})), wide);
  Value perPixel = b.number(wide, static_cast<double>(pixels));
  Value perChannel = b.number(wide, static_cast<double>(channels));
  auto overPixels = [&](Value of) { return b.binary<DivOp>(b.sum(of, pixelDim), perPixel); };
  // The mean over the channels of each group, of a value of each channel.
  auto overChannels = [&](Value of) { return b.binary<DivOp>(b.sum(of, channelDim), perChannel); };
  auto byGroup = [&](Value of) { return b.reshape(of, shape({1, groups, channels})); };
  auto square = [&](Value of) { return b.binary<MulOp>(of, of); };
  auto affine = [&](Value of) { return b.cast(b.reshape(of, {groups, channels}), wide); };

  Value center = overPixels(x);
  Value deviation = overPixels(square(b.binary<SubOp>(x, center)));
  Value own = byGroup(center), mean = overChannels(own);
  Value variance = b.binary<AddOp>(overChannels(byGroup(deviation)),
                                   overChannels(square(b.binary<SubOp>(own, mean))));
  Value spread = b.binary<AddOp>(variance, b.number(wide, op.getEps().convertToDouble()));
  Value scale = RsqrtOp::create(b, spread.getType(), spread);
  if (Value weight = op.getWeight())
    scale = b.binary<MulOp>(scale, affine(weight));
  Value moved = b.binary<MulOp>(mean, scale);
  Value shift = op.getBias() ? b.binary<SubOp>(affine(op.getBias()), moved)
                             : Value(NegOp::create(b, moved.getType(), moved));
  auto ofChannels = [&](Value of) {
    SmallVector<int64_t> whole = shape({1, groups, channels});
    if (rankedType(of).getShape() != ArrayRef(whole))
      of = BroadcastOp::create(b, rankedType(of).clone(whole), of, whole);
    return b.reshape(of, shape({1, all}));
  };
  Value result = b.binary<AddOp>(b.binary<MulOp>(x, ofChannels(scale)), ofChannels(shift));
  return b.reshape(b.cast(result, element), type.getShape());
}

} // namespace tessera::graph
