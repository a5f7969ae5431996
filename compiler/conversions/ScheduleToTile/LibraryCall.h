//===- LibraryCall.h - how an op calls the runtime's library ----*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_LIBRARYCALL_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_LIBRARYCALL_H

#include "mlir/IR/Operation.h"
#include "llvm/ADT/SmallVector.h"

#include <optional>

namespace tessera {

/// A function and how it is called.
struct LibraryCall {
  llvm::StringRef callee;
  llvm::SmallVector<int64_t> parameters;
  int64_t units = 1;        ///< in all
  int64_t unitElements = 1; ///< elements a unit handles, about
  int64_t scratchBytes = 0;
};

/// The call of a factorization or what solves by one; nothing for other ops.
std::optional<LibraryCall> callOnMatrices(mlir::Operation *op);

/// The call of a Fourier transform; nothing for other ops.
std::optional<LibraryCall> callFourier(mlir::Operation *op);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_LIBRARYCALL_H
