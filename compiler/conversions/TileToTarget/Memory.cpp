//===- Memory.cpp - lanes and scalars of flat buffers ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From tile.load and tile.store to whole, masked, broadcast or gathered machine
// vectors, by the stride; from memref accesses to the same on flat buffers. Lanes
// a few elements apart are picked from, or spread over, whole vectors: gathers and
// scatters take a cycle or more a lane.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"
#include "compiler/support/Sizes.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

/// The narrowest register there are non-temporal stores of.
constexpr int64_t minStreamedBytes = 16;
/// Lanes at most so many elements apart are read and written by whole vectors.
constexpr int64_t maxSpread = 4;
/// Machines move narrower elements across a vector in many steps.
constexpr unsigned minSpreadBits = 16;

namespace {

/// Offsets 0, stride, 2·stride, … of the lanes; 32 bits where they fit, since gathers then take
/// half the registers.
Value laneOffsets(OpBuilder &b, Location loc, int64_t lanes, int64_t stride) {
  bool narrow = std::abs(stride) < (int64_t{1} << 26);
  Type element = narrow ? b.getI32Type() : b.getI64Type();
  auto offsets = llvm::map_to_vector(llvm::seq<int64_t>(0, lanes), [&](int64_t lane) -> Attribute {
    return b.getIntegerAttr(element, lane * stride);
  });
  return arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(VectorType::get({lanes}, element), offsets));
}

/// The lanes of one piece that exist: a mask, or none of it where that is known before.
struct Extent {
  enum Kind { All, Some, None } kind = All;
  Value mask;
  Value valid; ///< how many there are, where they have a mask
};

Extent extentOf(OpBuilder &b, Location loc, Value valid, int64_t start, int64_t lanes) {
  if (!valid)
    return {};
  if (std::optional<int64_t> known = getConstantIntValue(valid)) {
    if (*known >= start + lanes)
      return {};
    if (*known <= start)
      return {Extent::None, Value(), Value()};
  }
  Value mask = laneMask(b, loc, valid, start, lanes);
  Value first = arith::ConstantIndexOp::create(b, loc, start);
  return {Extent::Some, mask, b.createOrFold<arith::SubIOp>(loc, valid, first)};
}

Value allLanes(OpBuilder &b, Location loc, int64_t lanes) {
  auto type = VectorType::get({lanes}, b.getI1Type());
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(type, true));
}

/// Neighbouring elements, `pad` for those that do not exist.
Value loadWhole(OpBuilder &b, Location loc, VectorType type, Value base, Value index,
                const Extent &extent, Value pad) {
  if (!extent.mask)
    return vector::LoadOp::create(b, loc, type, base, index);
  // The hardware's prefetcher does not see masked loads.
  memref::PrefetchOp::create(b, loc, base, index, /*isWrite=*/false, /*localityHint=*/3,
                             /*isDataCache=*/true);
  return vector::MaskedLoadOp::create(b, loc, type, base, index, extent.mask, pad);
}

/// Lanes `stride` apart, in vectors that hold nothing before the first or behind the last of them.
struct Spread {
  Spread(VectorType type, int64_t stride)
      : lanes(type.getNumElements()), stride(stride), span((lanes - 1) * stride + 1) {}

  static bool suits(VectorType type, int64_t stride) {
    return stride > 1 && stride <= maxSpread && type.getNumElements() > 1 &&
           type.getElementTypeBitWidth() >= minSpreadBits;
  }

  /// Where the `part`-th of `stride` vectors starts.
  int64_t startOf(int64_t part) const { return std::min(part * lanes, span - lanes); }
  /// Which vector holds a lane: of two the first.
  int64_t partOf(int64_t lane) const { return lane * stride / lanes; }

  /// Elements up to the last of `valid` lanes; null where all exist.
  Value reachOf(OpBuilder &b, Location loc, Value valid) const {
    if (!valid)
      return Value();
    Value step = arith::ConstantIndexOp::create(b, loc, stride);
    Value behind = arith::ConstantIndexOp::create(b, loc, stride - 1);
    return b.createOrFold<arith::SubIOp>(loc, b.createOrFold<arith::MulIOp>(loc, valid, step),
                                         behind);
  }

  /// Of the lanes only `valid` exist, where that is given; the others are `pad`.
  Value load(OpBuilder &b, Location loc, VectorType type, Value base, Address address, Value valid,
             Value pad) const {
    Value reach = reachOf(b, loc, valid);
    Value result = pad;
    for (int64_t part = 0; part < stride; ++part) {
      int64_t start = valid ? part * lanes : startOf(part);
      Extent extent = extentOf(b, loc, reach, start, lanes);
      Value whole = pad;
      if (extent.kind != Extent::None)
        whole = loadWhole(b, loc, type, base, (address + start).materialize(b, loc), extent, pad);
      SmallVector<int64_t> picked;
      for (int64_t lane = 0; lane < lanes; ++lane)
        picked.push_back(partOf(lane) == part ? lanes + lane * stride - start : lane);
      result = vector::ShuffleOp::create(b, loc, result, whole, picked);
    }
    return result;
  }

  void store(OpBuilder &b, Location loc, Value value, Value base, Address address,
             Value valid) const {
    Value reach = reachOf(b, loc, valid);
    for (int64_t part = 0; part < stride; ++part) {
      int64_t start = valid ? part * lanes : startOf(part);
      Extent extent = extentOf(b, loc, reach, start, lanes);
      if (extent.kind == Extent::None)
        continue;
      SmallVector<int64_t> source(lanes, 0);
      SmallVector<bool> isWritten(lanes, false);
      for (int64_t lane = 0; lane < lanes; ++lane)
        if (partOf(lane) == part) {
          source[lane * stride - start] = lane;
          isWritten[lane * stride - start] = true;
        }
      auto maskType = VectorType::get({lanes}, b.getI1Type());
      Value mask = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(maskType, isWritten));
      if (extent.mask)
        mask = arith::AndIOp::create(b, loc, mask, extent.mask);
      Value spread = vector::ShuffleOp::create(b, loc, value, value, source);
      Value index = (address + start).materialize(b, loc);
      vector::MaskedStoreOp::create(b, loc, base, index, mask, spread);
    }
  }

  int64_t lanes, stride, span;
};

Value reversed(OpBuilder &b, Location loc, Value value) {
  int64_t lanes = cast<VectorType>(value.getType()).getNumElements();
  auto order = llvm::to_vector(llvm::reverse(llvm::seq<int64_t>(0, lanes)));
  return vector::ShuffleOp::create(b, loc, value, value, order);
}

class LowerLoad : public LoweringPattern<tile::LoadOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(tile::LoadOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    const FlatBuffer &buffer = lowering.buffers[op.getBase()];
    Address address = buffer.at(rewriter, op.getLoc(), adaptor.getIndices());
    int64_t stride = buffer.strides[op.getDim().value_or(buffer.strides.size() - 1)];
    replaceWithPieces(rewriter, op, lowering.types, [&](VectorType piece, int64_t start) {
      Extent extent =
          extentOf(rewriter, op.getLoc(), adaptor.getValid(), start, piece.getNumElements());
      return load(rewriter, op.getLoc(), piece, buffer.base, address + start * stride, stride,
                  extent, adaptor.getPad());
    });
    return success();
  }

private:
  static Value load(OpBuilder &b, Location loc, VectorType type, Value base, Address address,
                    int64_t stride, Extent extent, Value padding) {
    auto pad = [&]() -> Value {
      if (padding)
        return vector::BroadcastOp::create(b, loc, type, padding);
      return arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    };
    if (extent.kind == Extent::None)
      return pad();
    int64_t lanes = type.getNumElements();
    if (stride == -1 && lanes > 1 && !extent.mask) {
      Value index = (address + (1 - lanes)).materialize(b, loc);
      return reversed(b, loc, vector::LoadOp::create(b, loc, type, base, index));
    }
    if (Spread::suits(type, stride))
      return Spread(type, stride).load(b, loc, type, base, address, extent.valid, pad());
    Value index = address.materialize(b, loc);
    if (stride == 0) {
      Value scalar = memref::LoadOp::create(b, loc, base, index);
      Value all = vector::BroadcastOp::create(b, loc, type, scalar);
      return extent.mask ? arith::SelectOp::create(b, loc, extent.mask, all, pad()).getResult()
                         : all;
    }
    if (stride == 1 || lanes == 1)
      return loadWhole(b, loc, type, base, index, extent, pad());
    Value mask = extent.mask ? extent.mask : allLanes(b, loc, lanes);
    return vector::GatherOp::create(b, loc, type, base, index, laneOffsets(b, loc, lanes, stride),
                                    mask, pad());
  }
};

class LowerStore : public LoweringPattern<tile::StoreOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(tile::StoreOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    const FlatBuffer &buffer = lowering.buffers[op.getBase()];
    Address address = buffer.at(rewriter, op.getLoc(), firsts(adaptor.getIndices()));
    Value valid = adaptor.getValid().empty() ? Value() : adaptor.getValid().front();
    int64_t stride = buffer.strides[op.getDim().value_or(buffer.strides.size() - 1)];
    int64_t start = 0;
    for (Value piece : adaptor.getValue()) {
      int64_t lanes = cast<VectorType>(piece.getType()).getNumElements();
      Extent extent = extentOf(rewriter, op.getLoc(), valid, start, lanes);
      if (extent.kind != Extent::None)
        store(rewriter, op.getLoc(), piece, buffer.base, address + start * stride, stride, extent,
              op.getNontemporal());
      start += lanes;
    }
    rewriter.eraseOp(op);
    return success();
  }

private:
  static void stream(vector::StoreOp store) {
    int64_t bytes =
        store.getVectorType().getNumElements() * store.getVectorType().getElementTypeBitWidth() / 8;
    if (bytes < minStreamedBytes)
      return;
    store.setNontemporal(true);
    store.setAlignment(bytes);
  }

  static void store(OpBuilder &b, Location loc, Value piece, Value base, Address address,
                    int64_t stride, const Extent &extent, bool nontemporal) {
    auto type = cast<VectorType>(piece.getType());
    int64_t lanes = type.getNumElements();
    Value mask = extent.mask;
    if (Spread::suits(type, stride))
      return Spread(type, stride).store(b, loc, piece, base, address, extent.valid);
    Value index = address.materialize(b, loc);
    if (stride != 1 && lanes > 1) {
      Value offsets = laneOffsets(b, loc, lanes, stride);
      vector::ScatterOp::create(b, loc, Type(), base, index, offsets,
                                mask ? mask : allLanes(b, loc, lanes), piece);
    } else if (mask) {
      vector::MaskedStoreOp::create(b, loc, base, index, mask, piece);
    } else {
      auto store = vector::StoreOp::create(b, loc, piece, base, index);
      if (nontemporal)
        stream(store);
    }
  }
};

/// The place of an access that is neither vector nor tile: a flat buffer and an index.
std::pair<Value, Value> placeOf(const Lowering &lowering, OpBuilder &b, Location loc, Value memref,
                                ValueRange indices) {
  const FlatBuffer &buffer = lowering.buffers[memref];
  return {buffer.base, buffer.at(b, loc, indices).materialize(b, loc)};
}

struct LowerSize : LoweringPattern<tile::SizeOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(tile::SizeOp op, OpAdaptor,
                                ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<target::SizeOp>(op, op.getType(), op.getValue());
    return success();
  }
};

struct FlattenLoad : LoweringPattern<memref::LoadOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(memref::LoadOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto [base, index] =
        placeOf(lowering, rewriter, op.getLoc(), op.getMemRef(), adaptor.getIndices());
    rewriter.replaceOpWithNewOp<memref::LoadOp>(op, base, index);
    return success();
  }
};

struct FlattenStore : LoweringPattern<memref::StoreOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(memref::StoreOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto [base, index] =
        placeOf(lowering, rewriter, op.getLoc(), op.getMemRef(), adaptor.getIndices());
    rewriter.replaceOpWithNewOp<memref::StoreOp>(op, adaptor.getValue(), base, index);
    return success();
  }
};

/// Of neighbouring elements: a call of the C library.
struct LowerCopy : LoweringPattern<memref::CopyOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(memref::CopyOp op, OpAdaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type = cast<MemRefType>(op.getSource().getType());
    if (type.getRank() != 1 || !type.hasStaticShape() || !type.isLastDimUnitStride())
      return rewriter.notifyMatchFailure(op, "not of neighbouring elements");
    int64_t width = byteWidth(type.getElementType());
    auto pointer = [&](Value memref) -> Value {
      Value zero = indexConstant(rewriter, loc, 0);
      auto [base, index] = placeOf(lowering, rewriter, loc, memref, zero);
      Value begin = memref::ExtractAlignedPointerAsIndexOp::create(rewriter, loc, base);
      Value bytes =
          arith::MulIOp::create(rewriter, loc, index, indexConstant(rewriter, loc, width));
      Value address = arith::AddIOp::create(rewriter, loc, begin, bytes);
      Value number = arith::IndexCastOp::create(rewriter, loc, rewriter.getI64Type(), address);
      auto pointerType = LLVM::LLVMPointerType::get(rewriter.getContext());
      return LLVM::IntToPtrOp::create(rewriter, loc, pointerType, number);
    };
    Value from = pointer(op.getSource()), to = pointer(op.getTarget());
    Value count = arith::ConstantIntOp::create(rewriter, loc, rewriter.getI64Type(),
                                               type.getNumElements() * width);
    rewriter.replaceOpWithNewOp<LLVM::MemcpyOp>(op, to, from, count, /*isVolatile=*/false);
    return success();
  }
};

struct FlattenPrefetch : LoweringPattern<memref::PrefetchOp> {
  using LoweringPattern::LoweringPattern;
  LogicalResult matchAndRewrite(memref::PrefetchOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto [base, index] =
        placeOf(lowering, rewriter, op.getLoc(), op.getMemref(), adaptor.getIndices());
    rewriter.replaceOpWithNewOp<memref::PrefetchOp>(op, base, index, op.getIsWrite(),
                                                    op.getLocalityHint(), op.getIsDataCache());
    return success();
  }
};

} // namespace

void tessera::populateMemoryPatterns(RewritePatternSet &patterns, const Lowering &lowering) {
  patterns
      .add<LowerLoad, LowerStore, LowerSize, FlattenLoad, FlattenStore, FlattenPrefetch, LowerCopy>(
          lowering);
}
