//===- TileOps.cpp - builders and verifiers of the tile dialect -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/tile/ir/TileOps.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera::tile;

#include "compiler/tile/ir/TileDialect.cpp.inc"

#define GET_OP_CLASSES
#include "compiler/tile/ir/TileOps.cpp.inc"

void TileDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "compiler/tile/ir/TileOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// What the verifiers share
//===----------------------------------------------------------------------===//

/// One index a dimension.
static LogicalResult verifyIndices(Operation *op, StringRef what, MemRefType buffer,
                                   unsigned count) {
  if (count != static_cast<unsigned>(buffer.getRank()))
    return op->emitOpError("[") << op->getName().stripDialect() << "] " << what << " " << buffer
                                << " has rank " << buffer.getRank() << " but got " << count
                                << " indices";
  return success();
}

static LogicalResult verifyLanes(Operation *op, MemRefType base, VectorType lanes, unsigned indices,
                                 std::optional<int64_t> dim) {
  StringRef name = op->getName().stripDialect();
  if (base.getRank() == 0)
    return op->emitOpError("[") << name
                                << "] needs a buffer with at least one dimension; use memref."
                                << name << " for " << base;
  if (failed(verifyIndices(op, "buffer", base, indices)))
    return failure();
  if (base.getElementType() != lanes.getElementType())
    return op->emitOpError("[") << name << "] lanes of type " << lanes.getElementType()
                                << " differ from the buffer's elements of type "
                                << base.getElementType() << "; convert in registers";
  if (dim && (*dim < 0 || *dim >= base.getRank()))
    return op->emitOpError("[") << name << "] dim " << *dim << " is outside the buffer's rank "
                                << base.getRank();
  return success();
}

/// The stride of dimension `dim`, or none when the layout does not give it.
static std::optional<int64_t> staticStride(MemRefType type, int64_t dim) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || ShapedType::isDynamic(strides[dim]))
    return std::nullopt;
  return strides[dim];
}

//===----------------------------------------------------------------------===//
// load, store
//===----------------------------------------------------------------------===//

void LoadOp::build(OpBuilder &b, OperationState &state, Type result, Value base, ValueRange indices,
                   Value valid, Value pad) {
  build(b, state, result, base, indices, valid, pad, IntegerAttr());
}

LogicalResult LoadOp::verify() {
  auto base = cast<MemRefType>(getBase().getType());
  if (failed(verifyLanes(*this, base, cast<VectorType>(getType()), getIndices().size(), getDim())))
    return failure();
  if (!getPad())
    return success();
  if (!getValid())
    return emitOpError("[load] a pad needs `valid`: without it every lane is read");
  if (getPad().getType() != base.getElementType())
    return emitOpError("[load] pad of type ")
           << getPad().getType() << " differs from the buffer's elements of type "
           << base.getElementType();
  return success();
}

void StoreOp::build(OpBuilder &b, OperationState &state, Value value, Value base,
                    ValueRange indices, Value valid) {
  build(b, state, value, base, indices, valid, IntegerAttr());
}

LogicalResult StoreOp::verify() {
  auto base = cast<MemRefType>(getBase().getType());
  auto lanes = cast<VectorType>(getValue().getType());
  if (failed(verifyLanes(*this, base, lanes, getIndices().size(), getDim())))
    return failure();
  int64_t dim = getDim().value_or(base.getRank() - 1);
  if (lanes.getNumElements() > 1 && staticStride(base, dim) == 0)
    return emitOpError("[store] dimension ")
           << dim << " of " << base << " has stride 0: its lanes are one element";
  return success();
}

//===----------------------------------------------------------------------===//
// call_library
//===----------------------------------------------------------------------===//

/// bool and ui8 are stored as i8.
static bool isStoredAs(Type element, Type storage) {
  return element == storage || (storage.isSignlessInteger(8) &&
                                (element.isSignlessInteger(1) || element.isUnsignedInteger(8)));
}

LogicalResult CallLibraryOp::verify() {
  size_t buffers = getInputs().size() + getOutputs().size();
  if (getTypes().size() != buffers)
    return emitOpError("[call_library] has ")
           << getTypes().size() << " element types for " << buffers << " buffers";
  for (auto [buffer, type] : llvm::zip_equal(llvm::concat<Value>(getInputs(), getOutputs()),
                                             getTypes().getAsValueRange<TypeAttr>()))
    if (Type stored = cast<MemRefType>(buffer.getType()).getElementType();
        !isStoredAs(type, stored))
      return emitOpError("[call_library] a buffer of ")
             << stored << " does not hold elements of type " << type;
  return success();
}

//===----------------------------------------------------------------------===//
// mma, pack
//===----------------------------------------------------------------------===//

/// Operands are multiplied in the accumulators' type: floats widen to f32 or f64, integers to
/// integers.
static bool accumulates(Type operand, Type acc) {
  if (operand == acc)
    return isa<IntegerType>(acc) || acc.isF32() || acc.isF64();
  if (isa<FloatType>(operand))
    return acc.isF32() && (operand.isF16() || operand.isBF16());
  return isa<IntegerType>(acc) && isa<IntegerType>(operand) &&
         operand.getIntOrFloatBitWidth() < acc.getIntOrFloatBitWidth();
}

/// Whether the last dimension holds two neighbours of bf16.
static bool holdsPairs(MemRefType type) {
  return type.getRank() >= 3 && type.getElementType().isBF16() && type.getShape().back() == 2 &&
         staticStride(type, type.getRank() - 1) == 1;
}

LogicalResult MmaOp::verify() {
  auto a = cast<MemRefType>(getA().getType()), b = cast<MemRefType>(getB().getType());
  if (a.getRank() < 2 || b.getRank() < 2)
    return emitOpError("[mma] operands need at least two dimensions, got ") << a << " and " << b;
  if (getPairs() && !(holdsPairs(a) && holdsPairs(b)))
    return emitOpError("[mma] pairs are the last dimension of bf16 operands, got ")
           << a << " and " << b;
  if (failed(verifyIndices(*this, "A", a, getAIndices().size())) ||
      failed(verifyIndices(*this, "B", b, getBIndices().size())))
    return failure();
  if (!getPrefetchIndices().empty() &&
      failed(verifyIndices(*this, "prefetch of B", b, getPrefetchIndices().size())))
    return failure();
  Type acc = cast<VectorType>(getAcc().getType()).getElementType();
  // A may have been computed as wide as the sums are.
  bool agree = a.getElementType() == b.getElementType() || a.getElementType() == acc;
  if (!agree || !accumulates(a.getElementType(), acc) || !accumulates(b.getElementType(), acc))
    return emitOpError("[mma] cannot accumulate ")
           << a.getElementType() << " times " << b.getElementType() << " in " << acc;
  if (getPairs() && staticStride(b, b.getRank() - 2) != 2)
    return emitOpError("[mma] the pairs of B must be contiguous, got ") << b << "; pack it";
  if (staticStride(b, b.getRank() - 1) != 1)
    return emitOpError("[mma] the lanes of B must be contiguous, got ") << b << "; pack it";
  int64_t unroll = getUnroll(), step = getPrefetchStep(), locality = getLocality();
  if (unroll < 1)
    return emitOpError("[mma] unroll must be positive, got ") << unroll;
  if (step < 1)
    return emitOpError("[mma] prefetchStep must be positive, got ") << step;
  if (locality < 0 || locality > 3)
    return emitOpError("[mma] locality must be 0 to 3, got ") << locality;
  return success();
}

LogicalResult PackOp::verify() {
  auto src = cast<MemRefType>(getSrc().getType()), dst = cast<MemRefType>(getDst().getType());
  if (src.getRank() < 2 || dst.getRank() < 2)
    return emitOpError("[pack] buffers need at least two dimensions, got ")
           << src << " and " << dst;
  if (failed(verifyIndices(*this, "source", src, getSrcIndices().size())) ||
      failed(verifyIndices(*this, "destination", dst, getDstIndices().size())))
    return failure();
  if (getPairs() && !holdsPairs(dst))
    return emitOpError("[pack] pairs are the last dimension of a panel of bf16, got ") << dst;
  bool rounds = getPairs() && src.getElementType().isF32();
  if (src.getElementType() != dst.getElementType() && !rounds)
    return emitOpError("[pack] cannot convert ")
           << src.getElementType() << " to " << dst.getElementType();
  if (dst.isDynamicDim(dst.getRank() - (getPairs() ? 2 : 1)) ||
      staticStride(dst, dst.getRank() - 1) != 1)
    return emitOpError("[pack] the panel's last dimension must be static and contiguous, got ")
           << dst;
  return success();
}
