//===- Immediates.h - the numbers in a kernel's code -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels for different sizes of the same tensors often are the same code with
// other numbers in it. Here a kernel is taken apart into the two: its skeleton,
// and the numbers in the order in which they are used. Chosen numbers can become
// symbols, which the kernel reads when it is called: one piece of machine code
// then serves every size with that skeleton.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_TARGET_TRANSFORMS_IMMEDIATES_H
#define TESSERA_TARGET_TRANSFORMS_IMMEDIATES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <string>
#include <vector>

namespace tessera::target {

/// One use of a constant, and where its numbers begin among all.
struct Immediate {
  enum Kind {
    Scalar,      ///< an integer, an index, or the bits of a float
    Splat,       ///< the same in every lane
    Progression, ///< two numbers: lane i holds first + i * second
    Mask,        ///< so many leading lanes are set
  };
  mlir::OpOperand *use;
  Kind kind;
  unsigned first;

  unsigned count() const { return kind == Progression ? 2 : 1; }
};

/// A kernel function of Target IR, taken apart.
class Immediates {
public:
  explicit Immediates(mlir::func::FuncOp function);

  /// Digest of everything but the numbers. Sizes of flat buffers do not count: code only has their
  /// addresses.
  const std::string &getSkeleton() const { return skeleton; }
  const std::vector<int64_t> &getNumbers() const { return numbers; }

  /// Reads the numbers whose entry in `symbols` is not negative from the kernel's symbols, in place
  /// of having them in its code: number i becomes symbol symbols[i].
  void parametrize(llvm::ArrayRef<int> symbols);

private:
  class Reader;

  mlir::func::FuncOp function;
  std::string skeleton;
  std::vector<int64_t> numbers;
  std::vector<Immediate> uses;
};

/// On a kernel function: its argument before scratch points to its symbols.
inline constexpr llvm::StringLiteral kSymbolsAttr = "target.symbols";

} // namespace tessera::target

#endif // TESSERA_TARGET_TRANSFORMS_IMMEDIATES_H
