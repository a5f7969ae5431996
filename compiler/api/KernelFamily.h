//===- KernelFamily.h - code shared by programs of different sizes ---------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model with dynamic shapes is compiled size by size, down to Target IR, which
// takes milliseconds. What takes longer, machine code, is made once for all
// kernels that differ in their numbers only (see target/transforms/Immediates.h).
// Which numbers differ is learned from the kernels seen, and every kernel is
// compared with the code it gets in all the others: code never serves a kernel
// it was not made for.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_API_KERNELFAMILY_H
#define TESSERA_COMPILER_API_KERNELFAMILY_H

#include "compiler/jit/Jit.h"
#include "compiler/jit/ObjectCache.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringMap.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace tessera {

/// Machine code of one skeleton with some of its numbers.
struct FamilyCode {
  TesseraKernelFn entry = nullptr; ///< valid as long as the family
  std::string object;
  std::string target; ///< the Target IR it was made from
};

/// What a kernel of one size runs.
struct FamilyKernel {
  std::shared_ptr<const FamilyCode> code;
  std::vector<int64_t> symbols;
  bool isNew = false; ///< the code was made for this kernel, or comes out of the object cache
};

/// A kernel that was compiled, and what a launch needs to know of it besides.
struct SeenKernel {
  FamilyKernel kernel;
  int64_t units, grain, scratchBytes;
};

class KernelFamily {
public:
  /// The kernel with this key of Schedule IR, if it was met before: nothing has to be written to
  /// find its code. That is so for what does not depend on the sizes that change.
  std::optional<SeenKernel> seen(llvm::StringRef key);
  void remember(llvm::StringRef key, SeenKernel kernel);

  /// Learns from a kernel of Target IR, which is not compiled.
  void note(mlir::func::FuncOp kernel);

  /// The code for the kernel function in `module`, which is changed. `compile` makes an object of
  /// Target IR; `cacheKey` names what else code depends on.
  llvm::Expected<FamilyKernel>
  codeFor(mlir::ModuleOp module, const jit::ObjectCache &cache, llvm::StringRef cacheKey,
          llvm::function_ref<llvm::Expected<std::string>(mlir::ModuleOp)> compile);

private:
  /// The kernels of one skeleton. Numbers that were always equal to one another share a symbol.
  struct Template {
    std::vector<int64_t> first; ///< the numbers of the first kernel
    std::vector<int> symbols;   ///< by number; -1: the same in all kernels seen
    int count = 0;              ///< of symbols
    int version = 0;            ///< counts what was learned
    std::shared_ptr<const FamilyCode> code;

    bool fits(const std::vector<int64_t> &numbers) const;
    void learn(const std::vector<int64_t> &numbers);
    std::vector<int64_t> read(const std::vector<int64_t> &numbers) const;
  };
  Template &templateOf(const std::string &skeleton, const std::vector<int64_t> &numbers);
  llvm::Expected<TesseraKernelFn> link(const std::string &object);

  std::mutex mutex;
  std::shared_ptr<jit::CodeImage> image;
  std::map<std::string, Template> templates;
  llvm::StringMap<SeenKernel> known; ///< by key
};

} // namespace tessera

#endif // TESSERA_COMPILER_API_KERNELFAMILY_H
