//===- RowsExpand.cpp - normalizations as reductions -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes softmax, log_softmax, layer_norm, rms_norm and group_norm and leaves
// graph.reduce and elementwise ops, computed in f32 for f16 and bf16.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/RowsExpand.h"
#include "compiler/conversions/ScheduleToTile/IterationSpace.h"
#include "compiler/conversions/ScheduleToTile/ScalarOps.h"
#include "compiler/graph/ir/GraphOps.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;

namespace {
/// Builds graph ops, marking sums and products that may fuse.
class RowBuilder : public ImplicitLocOpBuilder {
public:
  explicit RowBuilder(Operation *op) : ImplicitLocOpBuilder(op->getLoc(), op) {}

  Value scalar(Type element, double value) {
    auto type = RankedTensorType::get({}, element);
    return graph::ConstantOp::create(
        *this, type, DenseElementsAttr::get(type, Attribute(getFloatAttr(element, value))));
  }
  Value reshape(Value x, ArrayRef<int64_t> shape) {
    return graph::ReshapeOp::create(*this, typeOf(x).clone(shape), x, getDenseI64ArrayAttr(shape));
  }
  Value cast(Value x, Type element) {
    if (typeOf(x).getElementType() == element)
      return x;
    auto type = RankedTensorType::get(typeOf(x).getShape(), element);
    return graph::CastOp::create(*this, type, x, TypeAttr::get(element));
  }
  /// To the type it is computed in.
  Value widen(Value x) {
    Type element = typeOf(x).getElementType();
    return cast(x, element.getIntOrFloatBitWidth() < 32 ? Type(getF32Type()) : element);
  }
  template <typename OpTy> Value binary(Value x, Value y) {
    auto op = OpTy::create(*this, broadcast(x, y), x, y);
    op->setAttr(kContractAttr, getUnitAttr());
    return op;
  }
  Value add(Value x, Value y) { return binary<graph::AddOp>(x, y); }
  Value sub(Value x, Value y) { return binary<graph::SubOp>(x, y); }
  Value mul(Value x, Value y) { return binary<graph::MulOp>(x, y); }
  template <typename OpTy> Value unary(Value x) { return OpTy::create(*this, x.getType(), x); }

  graph::ReduceOp reduce(graph::ReduceKind kind, Value x, ArrayRef<int64_t> dims) {
    SmallVector<int64_t> shape(typeOf(x).getShape());
    for (int64_t d : dims)
      shape[d] = 1;
    return graph::ReduceOp::create(*this, typeOf(x).clone(shape), kind, x, dims, /*keepdim=*/true);
  }
  Value mean(Value x, ArrayRef<int64_t> dims) {
    double count = 1;
    for (int64_t d : dims)
      count *= typeOf(x).getDimSize(d);
    Value sum = reduce(graph::ReduceKind::Sum, x, dims);
    return graph::DivOp::create(*this, sum.getType(), sum,
                                scalar(typeOf(x).getElementType(), count));
  }
  /// 1 / sqrt(mean square of x + eps).
  Value inverseNorm(Value x, ArrayRef<int64_t> dims, double eps) {
    Value square = mean(mul(x, x), dims);
    return unary<graph::RsqrtOp>(add(square, scalar(typeOf(x).getElementType(), eps)));
  }

  static RankedTensorType typeOf(Value x) { return llvm::cast<RankedTensorType>(x.getType()); }

private:
  static RankedTensorType broadcast(Value x, Value y) {
    RankedTensorType longer = typeOf(x), other = typeOf(y);
    if (longer.getRank() < other.getRank())
      std::swap(longer, other);
    SmallVector<int64_t> shape(longer.getShape());
    int64_t lead = longer.getRank() - other.getRank();
    for (auto [d, size] : llvm::enumerate(other.getShape()))
      if (size != 1)
        shape[lead + d] = size;
    return longer.clone(shape);
  }
};
} // namespace

static SmallVector<int64_t> trailingDims(Value x, int64_t count) {
  int64_t rank = RowBuilder::typeOf(x).getRank();
  return llvm::to_vector(llvm::seq<int64_t>(rank - count, rank));
}

static Value expandSoftmax(RowBuilder &b, Value operand, int64_t dim, bool isLog) {
  Value x = b.widen(operand);
  auto maximum = b.reduce(graph::ReduceKind::Max, x, dim);
  // A NaN reaches every element through the sum.
  maximum->setAttr(kIgnoreNanAttr, b.getUnitAttr());
  Value shifted = b.sub(x, maximum);
  Value power = b.unary<graph::ExpOp>(shifted);
  Value sum = b.reduce(graph::ReduceKind::Sum, power, dim);
  if (isLog)
    return b.sub(shifted, b.unary<graph::LogOp>(sum));
  return b.mul(power, b.unary<graph::ReciprocalOp>(sum));
}

/// (x - mean) / sqrt(variance + eps).
static Value standardize(RowBuilder &b, Value x, ArrayRef<int64_t> dims, double eps) {
  Value centered = b.sub(x, b.mean(x, dims));
  return b.mul(centered, b.inverseNorm(centered, dims, eps));
}

static Value applyAffine(RowBuilder &b, Value x, Value weight, Value bias) {
  if (weight)
    x = b.mul(x, b.widen(weight));
  if (bias)
    x = b.add(x, b.widen(bias));
  return x;
}

static Value expandGroupNorm(RowBuilder &b, graph::GroupNormOp op) {
  ArrayRef<int64_t> shape = RowBuilder::typeOf(op.getOperand()).getShape();
  int64_t groups = op.getGroups();
  // [N, C, …] as [N, groups, C / groups, …]; the channel of weight and bias goes with it.
  SmallVector<int64_t> split{shape[0], groups, shape[1] / groups};
  llvm::append_range(split, shape.drop_front(2));
  SmallVector<int64_t> affine(split.size() - 1, 1);
  affine[0] = groups;
  affine[1] = shape[1] / groups;
  auto channelwise = [&](Value v) { return v ? b.reshape(v, affine) : v; };
  Value x = b.reshape(b.widen(op.getOperand()), split);
  Value y = standardize(b, x, trailingDims(x, split.size() - 2), op.getEps().convertToDouble());
  y = applyAffine(b, y, channelwise(op.getWeight()), channelwise(op.getBias()));
  return b.reshape(y, shape);
}

/// The replacement of a row op, or null for other ops.
static Value expandOp(RowBuilder &b, Operation *op) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case([&](graph::SoftmaxOp softmax) {
        return expandSoftmax(b, softmax.getOperand(), softmax.getDim(), /*isLog=*/false);
      })
      .Case([&](graph::LogSoftmaxOp softmax) {
        return expandSoftmax(b, softmax.getOperand(), softmax.getDim(), /*isLog=*/true);
      })
      .Case([&](graph::LayerNormOp norm) {
        Value x = b.widen(norm.getOperand());
        Value y =
            standardize(b, x, trailingDims(x, norm.getAxes()), norm.getEps().convertToDouble());
        return applyAffine(b, y, norm.getWeight(), norm.getBias());
      })
      .Case([&](graph::RmsNormOp norm) {
        Value x = b.widen(norm.getOperand());
        SmallVector<int64_t> dims = trailingDims(x, norm.getAxes());
        Value y = b.mul(x, b.inverseNorm(x, dims, norm.getEps().convertToDouble()));
        return applyAffine(b, y, norm.getWeight(), Value());
      })
      .Case([&](graph::GroupNormOp norm) { return expandGroupNorm(b, norm); })
      .Default([](Operation *) { return Value(); });
}

void tessera::expandRowOps(schedule::KernelOp kernel) {
  for (Operation &op : llvm::make_early_inc_range(kernel.getBody().front())) {
    RowBuilder b(&op);
    Value expanded = expandOp(b, &op);
    if (!expanded)
      continue;
    Type element = RowBuilder::typeOf(op.getResult(0)).getElementType();
    op.getResult(0).replaceAllUsesWith(b.cast(expanded, element));
    op.erase();
  }
}
