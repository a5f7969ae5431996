//===- TargetToLLVM.cpp - the pass ----------------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From kernel functions on flat buffers and machine vectors to the LLVM dialect.
// All upstream conversions run as one: each pass over a kernel costs as much as
// the conversion itself.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TargetToLLVM/KernelAbi.h"
#include "compiler/conversions/TargetToLLVM/Passes.h"
#include "compiler/target/ir/TargetOps.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVM.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/Dialect/X86Vector/Transforms.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace tessera {
#define GEN_PASS_DEF_TARGETTOLLVM
#include "compiler/conversions/TargetToLLVM/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;

namespace {

/// target.call_math to a call of an external function that touches no memory.
class LowerCallMath : public ConvertOpToLLVMPattern<target::CallMathOp> {
public:
  LowerCallMath(const LLVMTypeConverter &types, SymbolTable &symbols)
      : ConvertOpToLLVMPattern(types), symbols(symbols) {}

  LogicalResult matchAndRewrite(target::CallMathOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto function = symbols.lookup<LLVM::LLVMFuncOp>(op.getCallee());
    if (!function) {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointToStart(cast<ModuleOp>(symbols.getOp()).getBody());
      auto type = LLVM::LLVMFunctionType::get(adaptor.getOperands().front().getType(),
                                              llvm::to_vector(adaptor.getOperands().getTypes()));
      function = LLVM::LLVMFuncOp::create(rewriter, op.getLoc(), op.getCallee(), type);
      function->setAttr("passthrough", rewriter.getStrArrayAttr({"nounwind", "willreturn"}));
      auto none = LLVM::ModRefInfo::NoModRef;
      function.setMemoryEffectsAttr(LLVM::MemoryEffectsAttr::get(
          rewriter.getContext(), {none, none, none, none, none, none}));
      symbols.insert(function);
    }
    rewriter.replaceOpWithNewOp<LLVM::CallOp>(op, function, adaptor.getOperands());
    return success();
  }

private:
  SymbolTable &symbols;
};

class LowerLoadPairs : public ConvertOpToLLVMPattern<target::LoadPairsOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(target::LoadPairsOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Value place = getStridedElementPtr(rewriter, op.getLoc(), op.getBase().getType(),
                                       adaptor.getBase(), adaptor.getIndex());
    rewriter.replaceOpWithNewOp<LLVM::LoadOp>(op, op.getType(), place, kPairAlignment);
    return success();
  }

  /// A pair may begin at any element.
  static constexpr unsigned kPairAlignment = 2;
};

class LowerStorePairs : public ConvertOpToLLVMPattern<target::StorePairsOp> {
public:
  using ConvertOpToLLVMPattern::ConvertOpToLLVMPattern;

  LogicalResult matchAndRewrite(target::StorePairsOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Value place = getStridedElementPtr(rewriter, op.getLoc(), op.getBase().getType(),
                                       adaptor.getBase(), adaptor.getIndex());
    rewriter.replaceOpWithNewOp<LLVM::StoreOp>(op, adaptor.getValue(), place,
                                               LowerLoadPairs::kPairAlignment);
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

/// Lanes of bf16 behind a mask go as i16: machines that mask no lanes of 16 bits move them one by
/// one, for which LLVM would call a run-time library to make bf16 of each.
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
                                              rest, kHalfAlignment);
    rewriter.replaceOpWithNewOp<LLVM::BitcastOp>(op, op.getVectorType(), loaded);
    return success();
  }

  static constexpr unsigned kHalfAlignment = 2;
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
                                                     MaskedLoadBits::kHalfAlignment);
    return success();
  }
};

class TargetToLLVM : public tessera::impl::TargetToLLVMBase<TargetToLLVM> {
public:
  using TargetToLLVMBase::TargetToLLVMBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    settleSizes(module);
    SmallVector<KernelBody> bodies;
    for (auto function : module.getOps<func::FuncOp>()) {
      FailureOr<KernelBody> body = prepareBody(function);
      if (failed(body))
        return signalPassFailure();
      bodies.push_back(std::move(*body));
    }
    if (failed(flattenControl(module)) || failed(convert(module)))
      return signalPassFailure();
    for (auto function : module.getOps<LLVM::LLVMFuncOp>())
      fenceStreams(function);
    auto b = OpBuilder::atBlockEnd(module.getBody());
    for (const KernelBody &body : bodies)
      buildEntry(b, body, module.lookupSymbol<LLVM::LLVMFuncOp>(body.name + ".body"));
  }

private:
  /// From here on sizes are constants like all others.
  static void settleSizes(ModuleOp module) {
    module.walk([](target::SizeOp op) {
      OpBuilder b(op);
      op.replaceAllUsesWith(
          arith::ConstantIndexOp::create(b, op.getLoc(), op.getValue()).getResult());
      op.erase();
    });
  }

  /// Streamed stores may overtake the store that tells other threads the kernel is done.
  static void fenceStreams(LLVM::LLVMFuncOp function) {
    SmallVector<LLVM::ReturnOp> returns;
    bool streams = false;
    function.walk([&](Operation *op) {
      if (auto store = dyn_cast<LLVM::StoreOp>(op))
        streams |= store.getNontemporal();
      else if (auto ret = dyn_cast<LLVM::ReturnOp>(op))
        returns.push_back(ret);
    });
    if (!streams)
      return;
    for (LLVM::ReturnOp ret : returns) {
      OpBuilder b(ret);
      LLVM::CallIntrinsicOp::create(b, ret.getLoc(), b.getStringAttr("llvm.x86.sse.sfence"),
                                    ValueRange());
    }
  }

  /// Loops and branches first: the conversion below wants their block arguments as they will stay.
  LogicalResult flattenControl(ModuleOp module) {
    RewritePatternSet patterns(&getContext());
    populateSCFToControlFlowConversionPatterns(patterns);
    ConversionTarget legal(getContext());
    legal.addIllegalDialect<scf::SCFDialect>();
    legal.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    ConversionConfig config;
    config.foldingMode = DialectConversionFoldingMode::Never;
    return applyPartialConversion(module, legal, std::move(patterns), config);
  }

  LogicalResult convert(ModuleOp module) {
    LowerToLLVMOptions options(&getContext());
    options.useBarePtrCallConv = true;
    LLVMTypeConverter types(&getContext(), options);
    LLVMConversionTarget legal(getContext());
    SymbolTable symbols(module);
    RewritePatternSet patterns(&getContext());
    arith::populateArithToLLVMConversionPatterns(types, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(types, patterns);
    index::populateIndexToLLVMConversionPatterns(types, patterns);
    populateMathToLLVMConversionPatterns(types, patterns);
    populateFinalizeMemRefToLLVMConversionPatterns(types, patterns);
    populateFuncToLLVMConversionPatterns(types, patterns);
    ub::populateUBToLLVMConversionPatterns(types, patterns);
    populateVectorToLLVMConversionPatterns(types, patterns, /*reassociateFPReductions=*/true,
                                           /*force32BitVectorIndices=*/true);
    populateX86VectorLegalizeForLLVMExportPatterns(types, patterns);
    configureX86VectorLegalizeForExportTarget(legal);
    patterns.add<LowerCallMath>(types, symbols);
    patterns.add<MaskedLoadBits, MaskedStoreBits>(types, /*benefit=*/2);
    patterns.add<LowerLoadPairs, LowerStorePairs, LowerDotPairs>(types);
    populateLibraryCallPatterns(types, symbols, patterns);
    legal.addLegalOp<ModuleOp>();
    ConversionConfig config;
    config.foldingMode = DialectConversionFoldingMode::Never;
    return applyFullConversion(module, legal, std::move(patterns), config);
  }
};

} // namespace
