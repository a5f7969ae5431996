//===- Buffers.cpp - flat buffers and addresses ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;

//===----------------------------------------------------------------------===//
// Address, FlatBuffer
//===----------------------------------------------------------------------===//

Value tessera::indexConstant(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

// Addresses never leave the address space, so their arithmetic cannot wrap.
static constexpr auto kNoWrap = arith::IntegerOverflowFlags::nsw;

Address Address::plus(OpBuilder &b, Location loc, Value other, int64_t stride) const {
  if (stride == 0)
    return *this;
  if (std::optional<int64_t> known = getConstantIntValue(other))
    return *this + *known * stride;
  Value scaled = other;
  if (stride != 1)
    scaled = arith::MulIOp::create(b, loc, other, indexConstant(b, loc, stride), kNoWrap);
  if (index)
    scaled = arith::AddIOp::create(b, loc, index, scaled, kNoWrap);
  return {scaled, constant};
}

Value Address::materialize(OpBuilder &b, Location loc) const {
  if (!index)
    return indexConstant(b, loc, constant);
  if (constant == 0)
    return index;
  return arith::AddIOp::create(b, loc, index, indexConstant(b, loc, constant), kNoWrap);
}

Address FlatBuffer::at(OpBuilder &b, Location loc, ValueRange indices) const {
  Address address = start;
  for (auto [index, stride] : llvm::zip_equal(indices, strides))
    address = address.plus(b, loc, index, stride);
  return address;
}

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

const FlatBuffer &Buffers::operator[](Value buffer) const {
  auto it = buffers.find(buffer);
  assert(it != buffers.end() && "every buffer was flattened");
  return it->second;
}

// Flattened accesses are memref ops as well: what is left to do carries a mark.
static constexpr StringLiteral kAccess = "tile.access";

bool Buffers::isTileAccess(Operation *op) { return op->hasAttr(kAccess); }

void Buffers::eraseDead() {
  for (Operation *view : llvm::reverse(views))
    if (view->use_empty())
      view->erase();
}

/// Strides of a type, all static.
static FailureOr<SmallVector<int64_t>> staticStrides(Location loc, MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) ||
      llvm::any_of(strides, ShapedType::isDynamic))
    return emitError(loc, "[tile] buffer ")
           << type << " needs static strides; only the outermost size may be dynamic";
  return strides;
}

LogicalResult Buffers::flattenArgument(func::FuncOp function, unsigned index) {
  BlockArgument argument = function.getArgument(index);
  auto type = cast<MemRefType>(argument.getType());
  FailureOr<SmallVector<int64_t>> strides = staticStrides(argument.getLoc(), type);
  if (failed(strides))
    return failure();
  if (!type.hasStaticShape()) {
    // Scratch: its views say how much of it they use.
    if (type.getRank() != 1)
      return emitError(argument.getLoc(), "[tile] argument ")
             << index << " of type " << type << " needs static sizes";
    buffers[argument] = {argument, {}, llvm::to_vector(type.getShape()), *strides};
    return success();
  }
  int64_t low = 0, high = 0;
  for (auto [size, stride] : llvm::zip_equal(type.getShape(), *strides))
    (stride < 0 ? low : high) += (size - 1) * stride;
  int64_t span = type.getNumElements() == 0 ? 0 : high - low + 1;
  if (span == 0)
    low = 0;
  argument.setType(MemRefType::get({span}, type.getElementType()));
  if (low != 0)
    function.setArgAttr(index, "target.low", Builder(function).getI64IntegerAttr(low));
  buffers[argument] = {argument, {Value(), -low}, llvm::to_vector(type.getShape()), *strides};
  return success();
}

/// memref.view and memref.alloca of a contiguous shape, as one dimension.
static Value flatView(OpBuilder &b, memref::ViewOp op, ArrayRef<int64_t> strides) {
  MemRefType type = op.getType();
  if (type.hasStaticShape()) {
    auto flat = MemRefType::get({type.getNumElements()}, type.getElementType());
    return memref::ViewOp::create(b, op.getLoc(), flat, op.getSource(), op.getByteShift(),
                                  ValueRange());
  }
  Value size = indexConstant(b, op.getLoc(), strides.front());
  size = arith::MulIOp::create(b, op.getLoc(), op.getSizes().front(), size, kNoWrap);
  auto flat = MemRefType::get({ShapedType::kDynamic}, type.getElementType());
  return memref::ViewOp::create(b, op.getLoc(), flat, op.getSource(), op.getByteShift(), size);
}

/// A view's offset as a value that stays: loops that carry vectors are made anew, with other
/// arguments, and what is remembered of a buffer here does not hear of it.
static Value lastingOffset(OpBuilder &b, Location loc, OpFoldResult offset) {
  Value value = getValueOrCreateConstantIndexOp(b, loc, offset);
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || isa<func::FuncOp>(argument.getOwner()->getParentOp()))
    return value;
  return arith::AddIOp::create(b, loc, value, indexConstant(b, loc, 0), kNoWrap);
}

LogicalResult Buffers::flattenView(Operation *op) {
  auto type = cast<MemRefType>(op->getResult(0).getType());
  FailureOr<SmallVector<int64_t>> strides = staticStrides(op->getLoc(), type);
  if (failed(strides))
    return failure();
  OpBuilder b(op->getContext());
  b.setInsertionPointAfter(op);
  FlatBuffer flat;
  flat.sizes = llvm::to_vector(type.getShape());
  flat.strides = *strides;
  bool known =
      TypeSwitch<Operation *, bool>(op)
          .Case([&](memref::ViewOp view) {
            flat.base = flatView(b, view, *strides);
            return isa<BlockArgument>(view.getSource());
          })
          .Case([&](memref::AllocaOp alloca) {
            if (!type.hasStaticShape() || !type.getLayout().isIdentity())
              return false;
            auto one = MemRefType::get({type.getNumElements()}, type.getElementType());
            flat.base = memref::AllocaOp::create(b, op->getLoc(), one, ValueRange(),
                                                 alloca.getAlignmentAttr());
            return true;
          })
          .Case([&](memref::SubViewOp view) {
            const FlatBuffer &source = (*this)[view.getSource()];
            flat.base = source.base;
            flat.start = source.start;
            for (auto [offset, stride] : llvm::zip_equal(view.getMixedOffsets(), source.strides))
              flat.start =
                  flat.start.plus(b, op->getLoc(), lastingOffset(b, op->getLoc(), offset), stride);
            return true;
          })
          .Case([&](memref::ReinterpretCastOp view) {
            const FlatBuffer &source = (*this)[view.getSource()];
            flat.base = source.base;
            Value offset = lastingOffset(b, op->getLoc(), view.getMixedOffsets().front());
            flat.start = source.start.plus(b, op->getLoc(), offset, 1);
            return true;
          })
          .Case<memref::CastOp, memref::CollapseShapeOp, memref::ExpandShapeOp>([&](auto view) {
            const FlatBuffer &source = (*this)[view->getOperand(0)];
            flat.base = source.base;
            flat.start = source.start;
            return true;
          })
          .Default([](Operation *) { return false; });
  if (!known)
    return op->emitOpError(
        "[tile] cannot make a kernel's buffer: use arguments and memref.view, subview, "
        "reinterpret_cast, cast, collapse_shape, expand_shape or alloca of them");
  buffers[op->getResult(0)] = std::move(flat);
  views.push_back(op);
  return success();
}

/// Marks who reads and writes which argument, for alias analysis.
static void markAliasing(func::FuncOp function, const llvm::DenseSet<Value> &written) {
  for (BlockArgument argument : function.getArguments()) {
    if (!isa<MemRefType>(argument.getType()))
      continue;
    unsigned index = argument.getArgNumber();
    auto unit = UnitAttr::get(function.getContext());
    if (!written.contains(argument))
      function.setArgAttr(index, LLVM::LLVMDialect::getReadonlyAttrName(), unit);
    else if (!function.getArgAttr(index, "tile.inplace"))
      function.setArgAttr(index, LLVM::LLVMDialect::getNoAliasAttrName(), unit);
    function.removeArgAttr(index, "tile.inplace");
  }
}

/// The argument or allocation behind a flat buffer.
static Value rootOf(Value base) {
  if (auto view = base.getDefiningOp<memref::ViewOp>())
    return view.getSource();
  return base;
}

FailureOr<Buffers> Buffers::flatten(func::FuncOp function) {
  Buffers result;
  for (unsigned i = 0, e = function.getNumArguments(); i < e; ++i)
    if (isa<MemRefType>(function.getArgument(i).getType()) &&
        failed(result.flattenArgument(function, i)))
      return failure();
  function.setFunctionType(FunctionType::get(function.getContext(),
                                             function.getBody().getArgumentTypes(),
                                             function.getFunctionType().getResults()));
  SmallVector<Operation *> producers, accesses;
  function.walk([&](Operation *op) {
    if (llvm::any_of(op->getResultTypes(), llvm::IsaPred<BaseMemRefType>))
      producers.push_back(op);
    else if (llvm::any_of(op->getOperandTypes(), llvm::IsaPred<BaseMemRefType>))
      accesses.push_back(op);
  });
  for (Operation *op : producers)
    if (failed(result.flattenView(op)))
      return failure();
  llvm::DenseSet<Value> written;
  for (Operation *op : accesses) {
    op->setAttr(kAccess, UnitAttr::get(op->getContext()));
    if (isa<memref::PrefetchOp>(op)) // counts as a write only to keep its place
      continue;
    auto effects = dyn_cast<MemoryEffectOpInterface>(op);
    if (!effects)
      return op->emitOpError("[tile] does not say how it uses a buffer");
    SmallVector<MemoryEffects::EffectInstance> instances;
    effects.getEffects(instances);
    for (const MemoryEffects::EffectInstance &effect : instances)
      if (isa<MemoryEffects::Write>(effect.getEffect()) && effect.getValue())
        written.insert(rootOf(result[effect.getValue()].base));
  }
  markAliasing(function, written);
  return result;
}
