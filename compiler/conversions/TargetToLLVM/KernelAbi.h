//===- KernelAbi.h - kernel functions and their entries ---------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_TARGETTOLLVM_KERNELABI_H
#define TESSERA_CONVERSIONS_TARGETTOLLVM_KERNELABI_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Transforms/DialectConversion.h"

#include <string>

namespace mlir {
class LLVMTypeConverter;
} // namespace mlir

namespace tessera {

/// What an entry needs to know of the function behind it.
struct KernelBody {
  std::string name;               ///< of the entry
  llvm::SmallVector<int64_t> low; ///< bytes each buffer begins before its first element, 0 or less
  mlir::Location loc;
  bool readsSymbols = false;
};

/// Checks that `function` has a kernel's signature, renames it to `<name>.body` and gives its
/// buffers types that convert to bare pointers.
mlir::FailureOr<KernelBody> prepareBody(mlir::func::FuncOp function);

/// Builds the entry `body.name` that calls `function`.
void buildEntry(mlir::OpBuilder &b, const KernelBody &body, mlir::LLVM::LLVMFuncOp function);

/// Lowers calls of the runtime's library; declares its functions in `symbols`.
void populateLibraryCallPatterns(const mlir::LLVMTypeConverter &types, mlir::SymbolTable &symbols,
                                 mlir::RewritePatternSet &patterns);

/// Lowers pairs of bf16, and moves masked lanes of it as bits.
void populateBF16Patterns(const mlir::LLVMTypeConverter &types, mlir::RewritePatternSet &patterns);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_TARGETTOLLVM_KERNELABI_H
