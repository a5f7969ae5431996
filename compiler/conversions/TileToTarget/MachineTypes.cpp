//===- MachineTypes.cpp - which vectors a machine has ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

MachineTypes::MachineTypes(int64_t lanes) : lanes(lanes) {
  addConversion([](Type type) { return type; });
  addConversion(
      [this](VectorType type, SmallVectorImpl<Type> &result) -> std::optional<LogicalResult> {
        if (type.isScalable() || type.getRank() < 1 || type.getRank() > 2)
          return failure();
        llvm::append_range(result, split(type));
        return success();
      });
}

SmallVector<VectorType> MachineTypes::split(VectorType type) const {
  int64_t rows = type.getRank() == 2 ? type.getDimSize(0) : 1;
  int64_t n = type.getShape().back();
  SmallVector<VectorType> result;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t lane = 0; lane < n; lane += lanes)
      result.push_back(VectorType::get({std::min(lanes, n - lane)}, type.getElementType()));
  return result;
}

void tessera::replaceWithPieces(ConversionPatternRewriter &rewriter, Operation *op,
                                const MachineTypes &types,
                                function_ref<Value(VectorType, int64_t)> make) {
  SmallVector<Value> results;
  int64_t start = 0;
  for (VectorType piece : types.split(cast<VectorType>(op->getResult(0).getType()))) {
    results.push_back(make(piece, start));
    start += piece.getNumElements();
  }
  rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
}

Value tessera::splatConstant(OpBuilder &b, Location loc, Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr scalar;
  if (isa<FloatType>(element))
    scalar = b.getFloatAttr(element, value);
  else
    scalar = b.getIntegerAttr(element, static_cast<int64_t>(value));
  if (auto vector = dyn_cast<VectorType>(type))
    scalar = DenseElementsAttr::get(vector, scalar);
  return arith::ConstantOp::create(b, loc, scalar);
}

Value tessera::laneMask(OpBuilder &b, Location loc, Value valid, int64_t start, int64_t lanes) {
  auto maskType = VectorType::get({lanes}, b.getI1Type());
  if (std::optional<int64_t> known = getConstantIntValue(valid)) {
    SmallVector<bool> set(lanes);
    for (int64_t l = 0; l < lanes; ++l)
      set[l] = start + l < *known;
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(maskType, ArrayRef<bool>(set)));
  }
  // The comparison runs on 32 bits; a larger count means all lanes.
  Value count = arith::MinSIOp::create(b, loc, valid, indexConstant(b, loc, start + lanes));
  count = arith::IndexCastOp::create(b, loc, b.getI32Type(), count);
  auto type = VectorType::get({lanes}, b.getI32Type());
  SmallVector<int32_t> numbers(lanes);
  for (int64_t l = 0; l < lanes; ++l)
    numbers[l] = static_cast<int32_t>(start + l);
  Value lane =
      arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(numbers)));
  Value limit = vector::BroadcastOp::create(b, loc, type, count);
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lane, limit);
}

/// bf16 is the upper half of f32.
static Value widenBF16(OpBuilder &b, Location loc, Value x) {
  auto typed = [&](Type element) -> Type {
    auto vector = dyn_cast<VectorType>(x.getType());
    return vector ? Type(vector.clone(element)) : element;
  };
  Value bits = arith::BitcastOp::create(b, loc, typed(b.getI16Type()), x);
  bits = arith::ExtUIOp::create(b, loc, typed(b.getI32Type()), bits);
  Type i32 = bits.getType();
  bits = arith::ShLIOp::create(b, loc, bits, splatConstant(b, loc, i32, 16));
  return arith::BitcastOp::create(b, loc, typed(b.getF32Type()), bits);
}

Value tessera::widen(OpBuilder &b, Location loc, Value x, Type element) {
  if (getElementTypeOrSelf(x.getType()).isBF16() && isa<FloatType>(element) && !element.isBF16())
    x = widenBF16(b, loc, x);
  Type from = getElementTypeOrSelf(x.getType());
  if (from == element)
    return x;
  Type to = element;
  if (auto vector = dyn_cast<VectorType>(x.getType()))
    to = vector.clone(element);
  if (isa<FloatType>(element))
    return arith::ExtFOp::create(b, loc, to, x);
  return arith::ExtSIOp::create(b, loc, to, x);
}

SmallVector<Value> tessera::firsts(ArrayRef<ValueRange> operands) {
  return llvm::map_to_vector(operands, [](ValueRange values) -> Value { return values.front(); });
}
