//===- BFloat16.cpp - pairs of bf16, and lanes of it behind masks ----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From target.load_pairs and its like to 32 bits and the machine's product. From
// masked and gathered lanes of bf16 to such of i16: where a machine moves them one
// by one, LLVM would call a run-time library to make bf16 of each.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TargetToLLVM/KernelAbi.h"
#include "compiler/target/ir/TargetOps.h"

#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;
using namespace tessera;

/// A pair, as a single one, may begin at any element.
static constexpr unsigned kAlignment = 2;

namespace {

class LowerLoadPairs : public ConvertOpToLLVMPattern<target::LoadPairsOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(target::LoadPairsOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Value place = getStridedElementPtr(rewriter, op.getLoc(), op.getBase().getType(),
                                       adaptor.getBase(), adaptor.getIndex());
    rewriter.replaceOpWithNewOp<LLVM::LoadOp>(op, op.getType(), place, kAlignment);
    return success();
  }
};

class LowerStorePairs : public ConvertOpToLLVMPattern<target::StorePairsOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(target::StorePairsOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Value place = getStridedElementPtr(rewriter, op.getLoc(), op.getBase().getType(),
                                       adaptor.getBase(), adaptor.getIndex());
    rewriter.replaceOpWithNewOp<LLVM::StoreOp>(op, adaptor.getValue(), place, kAlignment);
    return success();
  }
};

class LowerDotPairs : public ConvertOpToLLVMPattern<target::DotPairsOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(target::DotPairsOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto type = cast<VectorType>(op.getType());
    auto halves = VectorType::get({2 * type.getNumElements()}, rewriter.getBF16Type());
    Value a = LLVM::BitcastOp::create(rewriter, op.getLoc(), halves, adaptor.getA());
    Value b = LLVM::BitcastOp::create(rewriter, op.getLoc(), halves, adaptor.getB());
    rewriter.replaceOpWithNewOp<x86vector::DotBF16Op>(op, type, adaptor.getAcc(), a, b);
    return success();
  }
};

/// On a machine with that product, LLVM has one instruction for it.
class LowerRoundFactors : public ConvertOpToLLVMPattern<target::RoundFactorsOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(target::RoundFactorsOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<LLVM::FPTruncOp>(op, op.getType(), adaptor.getX());
    return success();
  }
};

VectorType asBits(VectorType type) {
  return type.getElementType().isBF16() ? type.clone(IntegerType::get(type.getContext(), 16))
                                        : VectorType();
}

class MaskedLoadBits : public ConvertOpToLLVMPattern<vector::MaskedLoadOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(vector::MaskedLoadOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    VectorType bits = asBits(op.getVectorType());
    if (!bits)
      return rewriter.notifyMatchFailure(op, "expected lanes of bf16");
    Value place = getStridedElementPtr(rewriter, op.getLoc(), op.getMemRefType(), adaptor.getBase(),
                                       adaptor.getIndices());
    Value rest = LLVM::BitcastOp::create(rewriter, op.getLoc(), bits, adaptor.getPassThru());
    Value loaded = LLVM::MaskedLoadOp::create(rewriter, op.getLoc(), bits, place, adaptor.getMask(),
                                              rest, kAlignment);
    rewriter.replaceOpWithNewOp<LLVM::BitcastOp>(op, op.getVectorType(), loaded);
    return success();
  }
};

class MaskedStoreBits : public ConvertOpToLLVMPattern<vector::MaskedStoreOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(vector::MaskedStoreOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    VectorType bits = asBits(op.getVectorType());
    if (!bits)
      return rewriter.notifyMatchFailure(op, "expected lanes of bf16");
    Value place = getStridedElementPtr(rewriter, op.getLoc(), op.getMemRefType(), adaptor.getBase(),
                                       adaptor.getIndices());
    Value value = LLVM::BitcastOp::create(rewriter, op.getLoc(), bits, adaptor.getValueToStore());
    rewriter.replaceOpWithNewOp<LLVM::MaskedStoreOp>(op, value, place, adaptor.getMask(),
                                                     kAlignment);
    return success();
  }
};

/// Where the lanes of an access by indices lie.
Value lanePlaces(ConversionPatternRewriter &rewriter, Location loc, Value base, Value indices) {
  auto pointers = VectorType::get(cast<VectorType>(indices.getType()).getShape(), base.getType());
  return LLVM::GEPOp::create(rewriter, loc, pointers, rewriter.getI16Type(), base, indices);
}

class GatherBits : public ConvertOpToLLVMPattern<vector::GatherOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(vector::GatherOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    VectorType bits = asBits(op.getVectorType());
    auto buffer = dyn_cast<MemRefType>(op.getBaseType());
    if (!bits || !buffer)
      return rewriter.notifyMatchFailure(op, "expected lanes of bf16 of a buffer");
    Location loc = op.getLoc();
    Value base =
        getStridedElementPtr(rewriter, loc, buffer, adaptor.getBase(), adaptor.getOffsets());
    Value places = lanePlaces(rewriter, loc, base, adaptor.getIndices());
    Value rest = LLVM::BitcastOp::create(rewriter, loc, bits, adaptor.getPassThru());
    Value loaded = LLVM::masked_gather::create(rewriter, loc, bits, places, adaptor.getMask(), rest,
                                               rewriter.getI32IntegerAttr(kAlignment));
    rewriter.replaceOpWithNewOp<LLVM::BitcastOp>(op, op.getVectorType(), loaded);
    return success();
  }
};

class ScatterBits : public ConvertOpToLLVMPattern<vector::ScatterOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(vector::ScatterOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    VectorType bits = asBits(op.getVectorType());
    auto buffer = dyn_cast<MemRefType>(op.getBase().getType());
    if (!bits || !buffer)
      return rewriter.notifyMatchFailure(op, "expected lanes of bf16 of a buffer");
    Location loc = op.getLoc();
    Value base =
        getStridedElementPtr(rewriter, loc, buffer, adaptor.getBase(), adaptor.getOffsets());
    Value places = lanePlaces(rewriter, loc, base, adaptor.getIndices());
    Value value = LLVM::BitcastOp::create(rewriter, loc, bits, adaptor.getValueToStore());
    rewriter.replaceOpWithNewOp<LLVM::masked_scatter>(op, value, places, adaptor.getMask(),
                                                      rewriter.getI32IntegerAttr(kAlignment));
    return success();
  }
};

} // namespace

void tessera::populateBF16Patterns(const LLVMTypeConverter &types, RewritePatternSet &patterns) {
  patterns.add<LowerLoadPairs, LowerStorePairs, LowerDotPairs, LowerRoundFactors>(types);
  patterns.add<MaskedLoadBits, MaskedStoreBits, GatherBits, ScatterBits>(types, /*benefit=*/2);
}
