//===- Jit.h - machine code from LLVM-dialect kernels -----------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Four nouns: the machine code is made for, the object file of one kernel, the
// image that holds loaded objects, and the cache of objects on disk. A kernel
// module holds one kernel function and what it calls; it arrives here in the
// LLVM dialect (as tessera-target-to-llvm left it) and carries `target.machine`.
//
// Everything here may be called from several threads at once. Modules that are
// compiled at the same time must either live in different MLIRContexts or in one
// that has multithreading enabled.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_JIT_JIT_H
#define TESSERA_COMPILER_JIT_JIT_H

#include "runtime/abi/Kernel.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace tessera::jit {

/// What code is made for; becomes `#target.machine<…>`.
struct Machine {
  std::string cpu;         ///< LLVM's name: "znver5", "x86-64-v4"
  std::string features;    ///< "+avx512f,+avx512bf16,…"
  int vectorBits = 0;      ///< 512 or 256
  std::string mathLibrary; ///< vector maths: "libmvec-2.35", "libmvec-2.22" or "none"

  /// The attribute `target.machine` of a kernel module.
  mlir::Attribute attribute(mlir::MLIRContext *context) const;
  /// One line that names everything that can change code: part of a cache key.
  std::string key() const;
};

/// `spec` is empty for the host, "avx2" or "avx512" for that baseline, else an LLVM CPU name. An
/// error when the host cannot run the code or has neither AVX-512 nor AVX2.
llvm::Expected<Machine> machineFor(llvm::StringRef spec = "");

/// Registers the translations to LLVM IR; call before the first `compileKernelToObject`.
void registerTranslations(mlir::DialectRegistry &registry);

/// Compiles one kernel module to an ELF object. The module is not changed.
llvm::Expected<std::string> compileKernelToObject(mlir::ModuleOp kernelModule);

/// The optimised LLVM IR of a kernel module: what `compileKernelToObject` turns into code.
llvm::Expected<std::string> printLLVM(mlir::ModuleOp kernelModule);

/// Assembly text of an object from `compileKernelToObject` or the cache.
llvm::Expected<std::string> disassemble(llvm::StringRef object);

/// Loaded machine code. Entries stay valid as long as the image lives.
class CodeImage {
public:
  static llvm::Expected<std::shared_ptr<CodeImage>> create();
  ~CodeImage();

  /// Links `object` and returns the address of `symbol` in it. Symbols of different objects do not
  /// clash, so that one kernel name may be loaded more than once.
  llvm::Expected<TesseraKernelFn> add(llvm::StringRef object, llvm::StringRef symbol);

private:
  struct Impl;
  explicit CodeImage(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace tessera::jit

#endif // TESSERA_COMPILER_JIT_JIT_H
