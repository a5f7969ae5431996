//===- Library.cpp - calls of the runtime's library -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From target.call_library to a call of the C function, by the signature of
// runtime/abi/Library.h: addresses in an array on the stack, the description in a
// constant.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TargetToLLVM/KernelAbi.h"
#include "compiler/target/ir/TargetOps.h"

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/Pattern.h"

using namespace mlir;
using namespace tessera;

namespace {

class LowerCallLibrary : public ConvertOpToLLVMPattern<target::CallLibraryOp> {
public:
  LowerCallLibrary(const LLVMTypeConverter &types, SymbolTable &symbols)
      : ConvertOpToLLVMPattern(types), symbols(symbols) {}

  LogicalResult matchAndRewrite(target::CallLibraryOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Type pointer = LLVM::LLVMPointerType::get(rewriter.getContext());
    Value scratch = op.getScratch()
                        ? MemRefDescriptor(adaptor.getScratch()).alignedPtr(rewriter, loc)
                        : LLVM::ZeroOp::create(rewriter, loc, pointer).getResult();
    Value arguments[] = {storeAddresses(op, adaptor, rewriter), describe(op, rewriter), scratch,
                         adaptor.getBegin(), adaptor.getEnd()};
    rewriter.replaceOpWithNewOp<LLVM::CallOp>(op, declare(op, rewriter), arguments);
    return success();
  }

private:
  /// The address of each buffer's first element, in an array that lives as long as the function.
  Value storeAddresses(target::CallLibraryOp op, OpAdaptor adaptor,
                       ConversionPatternRewriter &rewriter) const {
    Location loc = op.getLoc();
    Type pointer = LLVM::LLVMPointerType::get(rewriter.getContext());
    Value array;
    {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointToStart(&op->getParentRegion()->front());
      Value count = LLVM::ConstantOp::create(rewriter, loc, rewriter.getI64Type(),
                                             static_cast<int64_t>(op.getBuffers().size()));
      array = LLVM::AllocaOp::create(rewriter, loc, pointer, pointer, count);
    }
    for (auto [i, buffer] : llvm::enumerate(op.getBuffers())) {
      Type element = cast<MemRefType>(buffer.getType()).getElementType();
      Value address = MemRefDescriptor(adaptor.getBuffers()[i]).alignedPtr(rewriter, loc);
      address = LLVM::GEPOp::create(rewriter, loc, pointer, element, address,
                                    ValueRange(adaptor.getOffsets()[i]));
      Value slot = LLVM::GEPOp::create(rewriter, loc, pointer, pointer, array,
                                       ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
      LLVM::StoreOp::create(rewriter, loc, address, slot);
    }
    return array;
  }

  Value describe(target::CallLibraryOp op, ConversionPatternRewriter &rewriter) const {
    ArrayRef<int64_t> numbers = op.getDescription();
    auto type = LLVM::LLVMArrayType::get(rewriter.getI64Type(), numbers.size());
    LLVM::GlobalOp global;
    {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointToStart(cast<ModuleOp>(symbols.getOp()).getBody());
      global = LLVM::GlobalOp::create(rewriter, op.getLoc(), type, /*isConstant=*/true,
                                      LLVM::Linkage::Internal, "description",
                                      rewriter.getI64TensorAttr(numbers));
      symbols.insert(global); // gives it a name of its own
    }
    return LLVM::AddressOfOp::create(rewriter, op.getLoc(), global);
  }

  LLVM::LLVMFuncOp declare(target::CallLibraryOp op, ConversionPatternRewriter &rewriter) const {
    if (auto function = symbols.lookup<LLVM::LLVMFuncOp>(op.getCallee()))
      return function;
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPointToStart(cast<ModuleOp>(symbols.getOp()).getBody());
    Type pointer = LLVM::LLVMPointerType::get(rewriter.getContext()), i64 = rewriter.getI64Type();
    auto type =
        LLVM::LLVMFunctionType::get(rewriter.getI32Type(), {pointer, pointer, pointer, i64, i64});
    auto function = LLVM::LLVMFuncOp::create(rewriter, op.getLoc(), op.getCallee(), type);
    function->setAttr("passthrough", rewriter.getStrArrayAttr({"nounwind", "willreturn"}));
    symbols.insert(function);
    return function;
  }

  SymbolTable &symbols;
};

} // namespace

void tessera::populateLibraryCallPatterns(const LLVMTypeConverter &types, SymbolTable &symbols,
                                          RewritePatternSet &patterns) {
  patterns.add<LowerCallLibrary>(types, symbols);
}
