//===- PointEmitter.cpp - nodes of a point graph as tile code --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Values; memory access and failure are in PointAccess.cpp.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointEmitter.h"
#include "compiler/graph/ir/GraphOps.h"

#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <algorithm>

using namespace mlir;
using namespace tessera;

Value PointScope::lookup(const PointNode *node) const {
  for (const PointScope *scope = this; scope; scope = scope->parent)
    if (auto it = scope->values.find(node); it != scope->values.end())
      return it->second;
  return nullptr;
}

Value PointScope::lookupSymbol(unsigned symbol) const {
  for (const PointScope *scope = this; scope; scope = scope->parent)
    if (auto it = scope->symbols.find(symbol); it != scope->symbols.end())
      return it->second;
  return nullptr;
}

Value PointEmitter::index(Location loc, int64_t value) {
  return arith::ConstantIndexOp::create(frame.b, loc, value);
}

ScalarBuilder PointEmitter::scalars(Location loc, const PointScope &scope) {
  ScalarBuilder b(loc, frame.b);
  b.raise = [this, loc, &scope](Value condition, TesseraStatus status) {
    raise(loc, condition, status, scope);
  };
  return b;
}

Value PointEmitter::splat(Location loc, Value scalar, int64_t lanes) {
  auto type = VectorType::get({lanes}, scalar.getType());
  return vector::BroadcastOp::create(frame.b, loc, type, scalar);
}

Value PointEmitter::laneMask(Location loc, const PointScope &scope) {
  auto type = VectorType::get({scope.lanes}, frame.b.getI1Type());
  if (std::optional<int64_t> valid = getConstantIntValue(scope.valid)) {
    SmallVector<bool> exists(scope.lanes);
    std::fill_n(exists.begin(), std::clamp<int64_t>(*valid, 0, scope.lanes), true);
    return arith::ConstantOp::create(frame.b, loc, DenseElementsAttr::get(type, exists));
  }
  return vector::CreateMaskOp::create(frame.b, loc, type, ValueRange{scope.valid});
}

Value PointEmitter::emitVector(const PointNode *node, PointScope &scope) {
  Value value = emit(node, scope);
  if (isa<VectorType>(value.getType()))
    return value;
  return splat(node->value.getLoc(), value, scope.lanes);
}

void PointEmitter::hoist(ArrayRef<const PointNode *> roots, uint64_t innerDims, PointScope &scope) {
  llvm::SmallPtrSet<const PointNode *, 16> seen;
  SmallVector<const PointNode *> stack(roots);
  while (!stack.empty()) {
    const PointNode *node = stack.pop_back_val();
    if (!seen.insert(node).second || scope.lookup(node))
      continue;
    if ((node->varies & innerDims) == 0) {
      if (node->kind != PointNode::Constant)
        emit(node, scope);
      continue;
    }
    for (auto [symbol, coefficient] : node->form.symbols)
      if ((graph.getSymbols()[symbol].varies & innerDims) == 0)
        emitSymbol(node->value.getLoc(), symbol, scope);
    llvm::append_range(stack, node->operands);
  }
}

Value PointEmitter::emit(const PointNode *node, PointScope &scope) {
  if (Value known = scope.lookup(node))
    return known;
  Value value = scope.reload ? scope.reload(node) : Value();
  if (value)
    return scope.values[node] = value;
  switch (node->kind) {
  case PointNode::Load:
    value = emitLoad(node, scope);
    break;
  case PointNode::Iota:
    value = emitIota(node, scope);
    break;
  case PointNode::Random:
    value = emitRandom(node, scope);
    break;
  case PointNode::Constant:
    value = emitConstant(node);
    break;
  case PointNode::Apply:
    value = emitApply(node, scope);
    break;
  case PointNode::Reduce:
  case PointNode::Given:
    llvm_unreachable("bound before it is used");
  }
  scope.values[node] = value;
  return value;
}

Value PointEmitter::emitLoad(const PointNode *node, PointScope &scope) {
  for (auto [symbol, coefficient] : node->form.symbols)
    if (variesOverLanes(symbol, scope))
      return emitGather(node, scope);
  Location loc = node->value.getLoc();
  Value offset = emitIndex(loc, node->form, scope);
  int64_t step = scope.laneDim < 0 ? 0 : node->form.dims[scope.laneDim];
  return loadAt(loc, node->buffer, elementOf(node->value), offset, step, scope);
}

Value PointEmitter::emitGather(const PointNode *node, PointScope &scope) {
  OpBuilder &b = frame.b;
  Location loc = node->value.getLoc();
  // The part all lanes share, and the numbers that differ.
  LinearForm shared = node->form;
  SmallVector<std::pair<Value, int64_t>> perLane;
  shared.symbols.clear();
  for (auto [symbol, coefficient] : node->form.symbols) {
    if (variesOverLanes(symbol, scope))
      perLane.push_back({emitSymbol(loc, symbol, scope), coefficient});
    else
      shared.addSymbol(symbol, coefficient);
  }
  Value start = emitIndex(loc, shared, scope);
  PointScope single(&scope);
  single.laneDim = -1;
  SmallVector<Value> elements;
  for (int64_t lane = 0; lane < scope.lanes; ++lane) {
    int64_t step = lane * node->form.dims[scope.laneDim];
    Value offset = b.createOrFold<arith::AddIOp>(loc, start, index(loc, step));
    for (auto [numbers, coefficient] : perLane) {
      Value number = vector::ExtractOp::create(b, loc, numbers, ArrayRef<int64_t>{lane});
      number = arith::IndexCastOp::create(b, loc, b.getIndexType(), number);
      number = b.createOrFold<arith::MulIOp>(loc, number, index(loc, coefficient));
      offset = b.createOrFold<arith::AddIOp>(loc, offset, number);
    }
    elements.push_back(loadAt(loc, node->buffer, elementOf(node->value), offset, 0, single));
  }
  auto type = VectorType::get({scope.lanes}, elements.front().getType());
  return vector::FromElementsOp::create(b, loc, type, elements);
}

Value PointEmitter::emitConstant(const PointNode *node) {
  Type type = registerType(elementOf(node->value));
  ScalarBuilder b(node->value.getLoc(), frame.b);
  if (auto real = dyn_cast<FloatAttr>(node->constant))
    return b.real(type, real.getValueAsDouble());
  APInt integer = cast<IntegerAttr>(node->constant).getValue();
  return b.integer(type,
                   integer.getBitWidth() == 1 ? integer.getZExtValue() : integer.getSExtValue());
}

/// The attribute of an iota, an integer or a float, as a number of `type`.
static Value progressionConstant(ScalarBuilder &b, Type type, Attribute attr) {
  if (isa<FloatType>(getElementTypeOrSelf(type))) {
    if (auto real = dyn_cast<FloatAttr>(attr))
      return b.real(type, real.getValueAsDouble());
    return b.real(type, static_cast<double>(cast<IntegerAttr>(attr).getInt()));
  }
  if (auto integer = dyn_cast<IntegerAttr>(attr))
    return b.integer(type, integer.getInt());
  return b.integer(type, static_cast<int64_t>(cast<FloatAttr>(attr).getValueAsDouble()));
}

Value PointEmitter::emitPosition(ScalarBuilder &b, const PointNode *node, PointScope &scope) {
  Type i64 = b.getI64Type();
  Value position = arith::IndexCastOp::create(b, i64, emitIndex(b.getLoc(), node->form, scope));
  if (!scope.isVector(node))
    return position;
  SmallVector<int64_t> steps;
  for (int64_t lane = 0; lane < scope.lanes; ++lane)
    steps.push_back(lane * node->form.dims[scope.laneDim]);
  Value lanes = arith::ConstantOp::create(
      b, DenseElementsAttr::get(VectorType::get({scope.lanes}, i64), ArrayRef(steps)));
  return arith::AddIOp::create(b, splat(b.getLoc(), position, scope.lanes), lanes);
}

Value PointEmitter::emitIota(const PointNode *node, PointScope &scope) {
  auto iota = cast<graph::IotaOp>(node->op);
  ScalarBuilder b = scalars(node->op->getLoc(), scope);
  Type i64 = b.getI64Type();
  Value position = emitPosition(b, node, scope);
  // torch computes a progression of floats in double precision.
  Type element = elementOf(node->value), wide = isa<FloatType>(element) ? b.getF64Type() : i64;
  position = convertElement(b, position, i64, wide);
  Value start = progressionConstant(b, position.getType(), iota.getStart());
  Value step = progressionConstant(b, position.getType(), iota.getStep());
  Value value =
      isa<FloatType>(wide)
          ? b.addF(start, b.mulF(position, step))
          : Value(arith::AddIOp::create(b, start, arith::MulIOp::create(b, position, step)));
  return convertElement(b, value, wide, element);
}

Value PointEmitter::emitApply(const PointNode *node, PointScope &scope) {
  SmallVector<Value> operands;
  for (const PointNode *operand : node->operands)
    operands.push_back(emit(operand, scope));
  Location loc = node->op->getLoc();
  if (llvm::any_of(operands, [](Value v) { return isa<VectorType>(v.getType()); }))
    for (Value &operand : operands)
      if (!isa<VectorType>(operand.getType()))
        operand = splat(loc, operand, scope.lanes);
  ScalarBuilder b = scalars(loc, scope);
  if (node->op->hasAttr(kContractAttr))
    b.fastMath = arith::FastMathFlags::contract;
  return findScalarOp(node->op).emit(b, node->op, operands);
}

//===----------------------------------------------------------------------===//
// Indices
//===----------------------------------------------------------------------===//

Value PointEmitter::emitIndex(Location loc, const LinearForm &form, PointScope &scope) {
  OpBuilder &b = frame.b;
  Value sum;
  auto add = [&](Value term, int64_t coefficient) {
    if (coefficient != 1)
      term = b.createOrFold<arith::MulIOp>(loc, term, index(loc, coefficient));
    sum = sum ? b.createOrFold<arith::AddIOp>(loc, sum, term) : term;
  };
  for (auto [d, coefficient] : llvm::enumerate(form.dims)) {
    if (coefficient == 0)
      continue;
    assert(scope.indices[d] && "no loop walks this dimension here");
    add(scope.indices[d], coefficient);
  }
  for (auto [symbol, coefficient] : form.symbols)
    add(emitSymbol(loc, symbol, scope), coefficient);
  if (form.base != 0 || !sum)
    add(index(loc, form.base), 1);
  return sum;
}

bool PointEmitter::variesOverLanes(unsigned symbol, const PointScope &scope) const {
  return scope.laneDim >= 0 && (graph.getSymbols()[symbol].varies >> scope.laneDim & 1);
}

Value PointEmitter::emitSymbol(Location loc, unsigned id, PointScope &scope) {
  if (Value known = scope.lookupSymbol(id))
    return known;
  return scope.symbols[id] = computeSymbol(loc, graph.getSymbols()[id], scope);
}

/// An index, or, for a gathered one that varies over the lanes, a vector of i64.
Value PointEmitter::computeSymbol(Location loc, const IndexSymbol &symbol, PointScope &scope) {
  OpBuilder &b = frame.b;
  if (!symbol.index) {
    Value operand = emitIndex(loc, symbol.operand, scope), divisor = index(loc, symbol.divisor);
    if (symbol.kind == IndexSymbol::FloorDiv)
      return b.createOrFold<arith::DivUIOp>(loc, operand, divisor);
    return b.createOrFold<arith::RemUIOp>(loc, operand, divisor);
  }
  ScalarBuilder s = scalars(loc, scope);
  Value chosen = emit(symbol.index, scope);
  Type wide = withElement(chosen.getType(), b.getI64Type());
  if (chosen.getType() != wide)
    chosen = arith::ExtSIOp::create(s, wide, chosen);
  // As unsigned numbers, negative indices are too large as well.
  Value outside = s.compare(arith::CmpIPredicate::uge, chosen, s.integer(chosen, symbol.extent));
  raise(loc, outside, TESSERA_INDEX_OUT_OF_RANGE, scope);
  Value position = s.select(outside, s.integer(chosen, 0), chosen);
  if (isa<VectorType>(wide))
    return position;
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), position);
}
