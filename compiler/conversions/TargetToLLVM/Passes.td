//===- Passes.td - from Target IR to the LLVM dialect ---------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_TARGETTOLLVM_PASSES
#define TESSERA_TARGETTOLLVM_PASSES

include "mlir/Pass/PassBase.td"

def TargetToLLVM : Pass<"tessera-target-to-llvm", "::mlir::ModuleOp"> {
  let summary = "turn kernel functions into LLVM functions behind the kernel ABI";
  let description = [{
    Each function `@k` becomes an internal `@k.body` on bare pointers, which carry what is known of their
    aliasing, and an entry `@k` with the signature of runtime/abi/Kernel.h that reads the pointers from
    `buffers`. The order of a floating-point vector.reduction is left to LLVM.

    Before:
    ```mlir
    func.func @k(%x: memref<8xf32> {llvm.readonly}, %y: memref<8xf32> {llvm.noalias}, %scratch: memref<?xi8>,
                 %begin: index, %end: index) -> i32
    ```
    After:
    ```mlir
    llvm.func internal @k.body(!llvm.ptr {llvm.readonly}, !llvm.ptr {llvm.noalias}, !llvm.ptr, i64, i64) -> i32
    llvm.func @k(%buffers: !llvm.ptr, %symbols: !llvm.ptr, %scratch: !llvm.ptr, %begin: i64, %end: i64) -> i32
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect"];
}

#endif // TESSERA_TARGETTOLLVM_PASSES
