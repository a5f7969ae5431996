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
    populateBF16Patterns(types, patterns);
    populateLibraryCallPatterns(types, symbols, patterns);
    legal.addLegalOp<ModuleOp>();
    ConversionConfig config;
    config.foldingMode = DialectConversionFoldingMode::Never;
    return applyFullConversion(module, legal, std::move(patterns), config);
  }
};

} // namespace
