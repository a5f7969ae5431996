//===- Match.cpp - looking at graph ops -----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/transforms/Match.h"

#include "mlir/IR/BuiltinAttributes.h"

#include <cmath>

using namespace mlir;

namespace tessera::graph {

std::optional<double> splatNumber(Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : nullptr;
  if (!elements || !elements.isSplat())
    return std::nullopt;
  if (isa<FloatType>(elements.getElementType())) {
    APFloat number = elements.getSplatValue<APFloat>();
    bool losesInfo;
    number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
    return number.convertToDouble();
  }
  APInt number = elements.getSplatValue<APInt>();
  bool isUnsigned = elements.getElementType().isUnsignedInteger() || number.getBitWidth() == 1;
  double result = number.roundToDouble(!isUnsigned);
  // Beyond 2^53 the double would be a neighbour, and neighbours are not equal.
  if (std::abs(result) > 9007199254740992.0)
    return std::nullopt;
  return result;
}

double relativeEpsilon(Type element) {
  auto type = dyn_cast<FloatType>(element);
  return type ? std::ldexp(1.0, 1 - static_cast<int>(type.getFPMantissaWidth())) : 0.0;
}

bool isAbout(Value value, double number) {
  std::optional<double> splat = splatNumber(value);
  // Two roundings: the program's own and that of a constant computed in the same type.
  return splat && std::abs(*splat - number) <=
                      2 * relativeEpsilon(rankedType(value).getElementType()) * std::abs(number);
}

bool swapsLastTwo(ArrayRef<int64_t> dims) {
  int64_t rank = dims.size();
  if (rank < 2 || dims[rank - 1] != rank - 2 || dims[rank - 2] != rank - 1)
    return false;
  for (int64_t dim = 0; dim < rank - 2; ++dim)
    if (dims[dim] != dim)
      return false;
  return true;
}

Value createSplat(OpBuilder &builder, Location loc, RankedTensorType type, double number) {
  Type element = type.getElementType();
  Attribute value = isa<FloatType>(element)
                        ? Attribute(FloatAttr::get(element, number))
                        : Attribute(IntegerAttr::get(
                              element, APInt(element.getIntOrFloatBitWidth(),
                                             static_cast<uint64_t>(static_cast<int64_t>(number)),
                                             /*isSigned=*/false, /*implicitTrunc=*/true)));
  return ConstantOp::create(builder, loc, DenseElementsAttr::get(type, value));
}

Scaled matchScaled(Value value) {
  if (auto mul = value.getDefiningOp<MulOp>()) {
    if (std::optional<double> factor = splatNumber(mul.getRhs()))
      return {mul.getLhs(), *factor};
    if (std::optional<double> factor = splatNumber(mul.getLhs()))
      return {mul.getRhs(), *factor};
  }
  if (auto div = value.getDefiningOp<DivOp>())
    if (std::optional<double> divisor = splatNumber(div.getRhs()); divisor && *divisor != 0)
      return {div.getLhs(), 1.0 / *divisor};
  return {value, 1.0};
}

ReduceOp matchKeptReduce(Value value, ReduceKind kind) {
  auto reduce = value.getDefiningOp<ReduceOp>();
  if (reduce && reduce.getKind() == kind && (reduce.getKeepdim() || reduce.getDims().empty()))
    return reduce;
  auto reshape = value.getDefiningOp<ReshapeOp>();
  reduce = reshape ? reshape.getOperand().getDefiningOp<ReduceOp>() : nullptr;
  if (!reduce || reduce.getKind() != kind || reduce.getKeepdim())
    return nullptr;
  SmallVector<int64_t> kept(rankedType(reduce.getOperand()).getShape());
  for (int64_t dim : reduce.getDims())
    kept[dim] = 1;
  return rankedType(value).getShape() == ArrayRef<int64_t>(kept) ? reduce : nullptr;
}

std::optional<Mean> matchMean(Value value) {
  Scaled scaled = matchScaled(value);
  ReduceOp sum = matchKeptReduce(scaled.value, ReduceKind::Sum);
  // The factor may also come before the dims are put back: reshape(sum / n).
  if (!sum)
    if (auto reshape = value.getDefiningOp<ReshapeOp>()) {
      scaled = matchScaled(reshape.getOperand());
      sum = scaled.value.getDefiningOp<ReduceOp>();
      if (!sum || sum.getKind() != ReduceKind::Sum || sum.getKeepdim())
        return std::nullopt;
      SmallVector<int64_t> kept(rankedType(sum.getOperand()).getShape());
      for (int64_t dim : sum.getDims())
        kept[dim] = 1;
      if (rankedType(value).getShape() != ArrayRef<int64_t>(kept))
        return std::nullopt;
    }
  if (!sum)
    return std::nullopt;
  RankedTensorType type = rankedType(sum.getOperand());
  int64_t count = 1;
  for (int64_t dim : sum.getDims()) {
    if (type.isDynamicDim(dim))
      return std::nullopt;
    count *= type.getDimSize(dim);
  }
  double epsilon = relativeEpsilon(type.getElementType());
  if (count == 0 || epsilon == 0 || std::abs(scaled.factor * count - 1.0) > 2 * epsilon)
    return std::nullopt;
  return Mean{sum.getOperand(), SmallVector<int64_t>(sum.getDims())};
}

int64_t countTrailing(ArrayRef<int64_t> dims, int64_t rank) {
  for (auto [index, dim] : llvm::enumerate(dims))
    if (dim != rank - static_cast<int64_t>(dims.size()) + static_cast<int64_t>(index))
      return 0;
  return dims.size();
}

} // namespace tessera::graph
