//===- PointAccess.cpp - loads, stores and failure at a point --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Buffers are addressed by element offset, through views made once at the
// function's entry: flat for neighbouring lanes, with a column of the lanes'
// stride for all others.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointEmitter.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

/// Elements from the lowest to one past the highest a strided buffer reaches.
static int64_t spanOf(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset = 0, span = 1;
  if (failed(type.getStridesAndOffset(strides, offset)))
    llvm_unreachable("kernel buffers are strided");
  for (auto [size, stride] : llvm::zip_equal(type.getShape(), strides)) {
    if (size == 0)
      return 0;
    span += (size - 1) * std::abs(stride);
  }
  return span;
}

static bool isFlat(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset = 0;
  return type.getRank() == 1 && succeeded(type.getStridesAndOffset(strides, offset)) &&
         strides.front() == 1;
}

Value PointEmitter::flatView(Value buffer, int64_t step) {
  auto type = cast<MemRefType>(buffer.getType());
  if (step == 1 && isFlat(type))
    return buffer;
  Value &view = views[{buffer, step}];
  if (view)
    return view;
  OpBuilder &b = frame.b;
  OpBuilder::InsertionGuard guard(b);
  if (Operation *def = buffer.getDefiningOp())
    b.setInsertionPointAfter(def);
  else
    b.setInsertionPointToStart(&frame.function.getBody().front());
  SmallVector<int64_t> sizes{spanOf(type)}, viewStrides{1};
  if (step != 1) {
    sizes.push_back(std::max<int64_t>(1, sizes[0] / std::max<int64_t>(std::abs(step), 1)));
    viewStrides.push_back(step);
  }
  auto layout = StridedLayoutAttr::get(b.getContext(), 0, viewStrides);
  auto viewType = MemRefType::get(sizes, type.getElementType(), layout);
  return view = memref::ReinterpretCastOp::create(b, buffer.getLoc(), viewType, buffer, 0, sizes,
                                                  viewStrides);
}

/// The indices of element `offset` in a buffer's view for `step`.
static SmallVector<Value> viewIndices(PointEmitter &emitter, Location loc, Value offset,
                                      int64_t step) {
  if (step == 1)
    return {offset};
  return {offset, emitter.index(loc, 0)};
}

Value PointEmitter::loadAt(Location loc, Value buffer, Type element, Value offset, int64_t step,
                           const PointScope &scope) {
  OpBuilder &b = frame.b;
  Type storage = storageType(element);
  Value value;
  if (step == 0) {
    value = memref::LoadOp::create(b, loc, flatView(buffer, 1), ValueRange{offset});
  } else {
    value = tile::LoadOp::create(b, loc, VectorType::get({scope.lanes}, storage),
                                 flatView(buffer, step), viewIndices(*this, loc, offset, step),
                                 scope.valid);
  }
  if (element.isInteger(1)) {
    ScalarBuilder s(loc, b);
    return s.compare(arith::CmpIPredicate::ne, value, s.integer(value, 0));
  }
  if (storage != registerType(element))
    return arith::ExtFOp::create(b, loc, withElement(value.getType(), registerType(element)),
                                 value);
  return value;
}

void PointEmitter::storeAt(Location loc, Value value, Value buffer, Type element, Value offset,
                           int64_t step, const PointScope &scope, bool stream) {
  OpBuilder &b = frame.b;
  Type storage = storageType(element), target = withElement(value.getType(), storage);
  if (element.isInteger(1))
    value = arith::ExtUIOp::create(b, loc, target, value);
  else if (storage != registerType(element))
    value = arith::TruncFOp::create(b, loc, target, value);
  if (!isa<VectorType>(value.getType())) {
    memref::StoreOp::create(b, loc, value, flatView(buffer, 1), ValueRange{offset});
    return;
  }
  auto op = tile::StoreOp::create(b, loc, value, flatView(buffer, step),
                                  viewIndices(*this, loc, offset, step), scope.valid);
  op.setNontemporal(stream);
}

/// Whether a vector of `store` writes whole cache lines: results start on one, so every step must
/// be a multiple of a line.
static bool writesWholeLines(const PointStore &store, const PointScope &scope) {
  Type storage = storageType(elementOf(store.node->value));
  int64_t perLine = cacheLineBytes * 8 / storage.getIntOrFloatBitWidth();
  auto isWhole = [&](int64_t count) { return count % perLine == 0; };
  if (scope.laneDim < 0 || scope.valid || !isWhole(scope.lanes) ||
      store.form.dims[scope.laneDim] != 1 || !isWhole(store.form.base) ||
      !store.form.symbols.empty())
    return false;
  // Vectors start at multiples of their lanes along their own dimension.
  for (auto [d, step] : llvm::enumerate(store.form.dims))
    if (static_cast<int>(d) != scope.laneDim && !isWhole(step))
      return false;
  return true;
}

void PointEmitter::store(const PointStore &store, PointScope &scope, bool stream) {
  Location loc = store.node->value.getLoc();
  int64_t step = scope.laneDim < 0 ? 0 : store.form.dims[scope.laneDim];
  Value value = step == 0 ? emit(store.node, scope) : emitVector(store.node, scope);
  Value offset = emitIndex(loc, store.form, scope);
  storeAt(loc, value, frame.outputs[store.output], elementOf(store.node->value), offset, step,
          scope, stream && writesWholeLines(store, scope));
}

void PointEmitter::copyRun(const PointStore &store, int64_t count, PointScope &scope) {
  OpBuilder &b = frame.b;
  Location loc = store.node->value.getLoc();
  auto window = [&](Value buffer, const LinearForm &form) -> Value {
    Value flat = flatView(buffer, 1), offset = emitIndex(loc, form, scope);
    auto layout = StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, {1});
    Type element = cast<MemRefType>(flat.getType()).getElementType();
    return memref::ReinterpretCastOp::create(
        b, loc, MemRefType::get({count}, element, layout), flat, OpFoldResult(offset),
        OpFoldResult(b.getIndexAttr(count)), OpFoldResult(b.getIndexAttr(1)));
  };
  memref::CopyOp::create(b, loc, window(store.node->buffer, store.node->form),
                         window(frame.outputs[store.output], store.form));
}

void PointEmitter::prefetch(Location loc, Value buffer, Value offset, bool isWrite) {
  memref::PrefetchOp::create(frame.b, loc, flatView(buffer, 1), ValueRange{offset}, isWrite,
                             /*localityHint=*/3, /*isDataCache=*/true);
}

//===----------------------------------------------------------------------===//
// Failure
//===----------------------------------------------------------------------===//

/// A number in scratch that the function returns in place of its 0.
Value PointEmitter::statusFlag() {
  OpBuilder &b = frame.b;
  Operation *ret = frame.function.getBody().front().getTerminator();
  if (auto load = ret->getOperand(0).getDefiningOp<memref::LoadOp>()) {
    // Loops may have been added since.
    load->moveBefore(ret);
    return load.getMemRef();
  }
  OpBuilder::InsertionGuard guard(b);
  Location loc = frame.kernel.getLoc();
  Value flag = frame.allocScratch(loc, MemRefType::get({1}, b.getI32Type()));
  b.setInsertionPointAfterValue(flag);
  Value first = index(loc, 0), ok = arith::ConstantIntOp::create(b, loc, TESSERA_OK, 32);
  memref::StoreOp::create(b, loc, ok, flag, ValueRange{first});
  b.setInsertionPoint(ret);
  Value result = memref::LoadOp::create(b, loc, flag, ValueRange{index(loc, 0)});
  ret->setOperand(0, result);
  return flag;
}

void PointEmitter::raise(Location loc, Value condition, TesseraStatus status,
                         const PointScope &scope) {
  OpBuilder &b = frame.b;
  if (isa<VectorType>(condition.getType())) {
    if (scope.valid)
      condition = arith::AndIOp::create(b, loc, condition, laneMask(loc, scope));
    condition = vector::ReductionOp::create(b, loc, vector::CombiningKind::OR, condition);
  }
  Value flag = statusFlag();
  scf::IfOp::create(b, loc, condition, [&](OpBuilder &inner, Location innerLoc) {
    Value code = arith::ConstantIntOp::create(inner, innerLoc, status, 32);
    Value first = arith::ConstantIndexOp::create(inner, innerLoc, 0);
    memref::StoreOp::create(inner, innerLoc, code, flag, ValueRange{first});
    scf::YieldOp::create(inner, innerLoc);
  });
}
