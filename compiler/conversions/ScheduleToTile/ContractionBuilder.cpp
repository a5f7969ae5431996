//===- ContractionBuilder.cpp - building blocks of the matrix kernels ------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/ContractionBuilder.h"

#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace tessera {

//===----------------------------------------------------------------------===//
// Index arithmetic
//===----------------------------------------------------------------------===//

Value TileBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

Value TileBuilder::size(int64_t value) {
  return anySizes ? tile::SizeOp::create(b, loc, value).getResult() : index(value);
}

Value TileBuilder::add(Value x, Value y) { return b.createOrFold<arith::AddIOp>(loc, x, y); }

Value TileBuilder::sub(Value x, Value y) { return b.createOrFold<arith::SubIOp>(loc, x, y); }

Value TileBuilder::mul(Value x, Value y) { return b.createOrFold<arith::MulIOp>(loc, x, y); }

Value TileBuilder::mul(Value x, int64_t y) { return mul(x, index(y)); }

// Indices are never negative, and the unsigned forms need no sign fix-up.
Value TileBuilder::div(Value x, Value y) { return b.createOrFold<arith::DivUIOp>(loc, x, y); }

Value TileBuilder::div(Value x, int64_t y) { return div(x, index(y)); }

Value TileBuilder::rem(Value x, Value y) { return b.createOrFold<arith::RemUIOp>(loc, x, y); }

Value TileBuilder::rem(Value x, int64_t y) {
  return y == 1 ? index(0) : b.createOrFold<arith::RemUIOp>(loc, x, index(y));
}

Value TileBuilder::ceilDiv(Value x, int64_t y) { return div(add(x, y - 1), y); }

Value TileBuilder::min(Value x, Value y) { return b.createOrFold<arith::MinSIOp>(loc, x, y); }

Value TileBuilder::max(Value x, Value y) { return b.createOrFold<arith::MaxSIOp>(loc, x, y); }

Value TileBuilder::less(Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::slt, x, y);
}

Value TileBuilder::equal(Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::eq, x, y);
}

SmallVector<Value> TileBuilder::delinearize(Value linear, ArrayRef<int64_t> sizes) {
  SmallVector<Value> digits(sizes.size());
  for (int64_t d = static_cast<int64_t>(sizes.size()) - 1; d >= 0; --d) {
    // The outermost digit needs no remainder: the index is in range.
    digits[d] = d == 0 ? linear : rem(linear, sizes[d]);
    if (sizes[d] == 1)
      digits[d] = index(0);
    linear = div(linear, sizes[d]);
  }
  return digits;
}

Value TileBuilder::linearize(ValueRange indices, ArrayRef<int64_t> strides) {
  Value sum = index(0);
  for (auto [i, stride] : llvm::zip_equal(indices, strides))
    if (stride != 0)
      sum = add(sum, mul(i, stride));
  return sum;
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

void TileBuilder::loop(Value low, Value high, int64_t step, Body body) {
  auto from = getConstantIntValue(low), to = getConstantIntValue(high);
  if (from && to && *to <= *from + step) {
    if (*from < *to)
      body(low);
    return;
  }
  auto loop = scf::ForOp::create(b, loc, low, high, index(step));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

SmallVector<Value> TileBuilder::loop(Value low, Value high, int64_t step, ValueRange init,
                                     CarryBody body) {
  auto loop = scf::ForOp::create(b, loc, low, high, index(step), init);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  scf::YieldOp::create(b, loc, next);
  return llvm::to_vector_of<Value>(loop.getResults());
}

void TileBuilder::when(Value condition, llvm::function_ref<void()> body) {
  if (auto known = getConstantIntValue(condition)) {
    if (*known)
      body();
    return;
  }
  auto branch = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  body();
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

Value TileBuilder::window(Value memref, Value offset, ArrayRef<int64_t> sizes,
                          ArrayRef<int64_t> strides) {
  auto type = cast<MemRefType>(memref.getType());
  auto [baseStrides, baseOffset] = type.getStridesAndOffset();
  // A reinterpret_cast states its offset from the allocation, not from the view.
  Value from = offset;
  if (ShapedType::isDynamic(baseOffset))
    from = add(offset, memref::ExtractStridedMetadataOp::create(b, loc, memref).getOffset());
  else if (baseOffset != 0)
    from = add(offset, baseOffset);
  OpFoldResult start = from;
  int64_t staticStart = ShapedType::kDynamic;
  if (auto known = getConstantIntValue(from)) {
    start = b.getIndexAttr(*known);
    staticStart = *known;
  }
  auto layout = StridedLayoutAttr::get(b.getContext(), staticStart, strides);
  auto result = MemRefType::get(sizes, type.getElementType(), layout, type.getMemorySpace());
  SmallVector<OpFoldResult> sizeAttrs, strideAttrs;
  for (auto [size, stride] : llvm::zip_equal(sizes, strides)) {
    sizeAttrs.push_back(b.getIndexAttr(size));
    strideAttrs.push_back(b.getIndexAttr(stride));
  }
  return memref::ReinterpretCastOp::create(b, loc, result, memref, start, sizeAttrs, strideAttrs);
}

Value TileBuilder::load(VectorType type, Value memref, ValueRange indices, Value valid, Value pad) {
  return tile::LoadOp::create(b, loc, type, memref, indices, valid, pad);
}

void TileBuilder::store(Value vector, Value memref, ValueRange indices, Value valid,
                        bool nontemporal) {
  tile::StoreOp::create(b, loc, vector, memref, indices, valid).setNontemporal(nontemporal);
}

void TileBuilder::prefetch(Value memref, ValueRange indices, int locality) {
  memref::PrefetchOp::create(b, loc, memref, indices, /*isWrite=*/false, locality,
                             /*isDataCache=*/true);
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

Value TileBuilder::constant(Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr scalar = isa<FloatType>(element)
                         ? cast<TypedAttr>(b.getFloatAttr(element, value))
                         : cast<TypedAttr>(b.getIntegerAttr(element, static_cast<int64_t>(value)));
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(vector, Attribute(scalar)));
  return arith::ConstantOp::create(b, loc, scalar);
}

Value TileBuilder::zero(Type type) {
  return arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
}

Value TileBuilder::broadcast(Value scalar, VectorType type) {
  return vector::BroadcastOp::create(b, loc, type, scalar);
}

Value TileBuilder::slice(Value vector, int64_t offset, int64_t lanes) {
  if (cast<VectorType>(vector.getType()).getDimSize(0) == lanes)
    return vector;
  return vector::ExtractStridedSliceOp::create(b, loc, vector, ArrayRef<int64_t>{offset},
                                               ArrayRef<int64_t>{lanes}, ArrayRef<int64_t>{1});
}

Value TileBuilder::row(Value tile, int64_t i) { return vector::ExtractOp::create(b, loc, tile, i); }

Value TileBuilder::roundFactors(Value vector) {
  auto type = cast<VectorType>(vector.getType()).clone(b.getBF16Type());
  return tile::RoundFactorsOp::create(b, loc, type, vector);
}

Value TileBuilder::tileOfRows(ArrayRef<Value> rows) {
  auto rowType = cast<VectorType>(rows.front().getType());
  auto type = VectorType::get({static_cast<int64_t>(rows.size()), rowType.getDimSize(0)},
                              rowType.getElementType());
  Value tile = ub::PoisonOp::create(b, loc, type);
  for (auto [i, row] : llvm::enumerate(rows))
    tile = vector::InsertOp::create(b, loc, row, tile, static_cast<int64_t>(i));
  return tile;
}

//===----------------------------------------------------------------------===//
// Tile ops
//===----------------------------------------------------------------------===//

Value TileBuilder::mma(Value acc, Value a, ValueRange aIndices, Value bPanel, ValueRange bIndices,
                       Value depth, int64_t unroll, const Prefetch &prefetch, bool pairs) {
  return tile::MmaOp::create(b, loc, acc.getType(), acc, a, aIndices, bPanel, bIndices, depth,
                             prefetch.indices, unroll, prefetch.step, prefetch.locality, pairs);
}

void TileBuilder::pack(Value src, ValueRange srcIndices, Value dst, ValueRange dstIndices,
                       Value depth, Value valid, bool pairs) {
  tile::PackOp::create(b, loc, src, srcIndices, dst, dstIndices, depth, valid, pairs);
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

int64_t chunkLanes(int64_t columns) {
  int64_t lanes = 16;
  while (columns % lanes != 0)
    lanes /= 2;
  return lanes;
}

} // namespace tessera
