//===- Passes.h - a verifier closing each level ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONTRACTS_PASSES_H
#define TESSERA_CONTRACTS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace tessera {

#define GEN_PASS_DECL
#include "compiler/contracts/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "compiler/contracts/Passes.h.inc"

} // namespace tessera

#endif // TESSERA_CONTRACTS_PASSES_H
