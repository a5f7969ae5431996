//===- Passes.h - from Tile IR to Target IR ---------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_TILETOTARGET_PASSES_H
#define TESSERA_CONVERSIONS_TILETOTARGET_PASSES_H

#include "mlir/Pass/Pass.h"

#include <memory>

namespace tessera {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "compiler/conversions/TileToTarget/Passes.h.inc"

} // namespace tessera

#endif // TESSERA_CONVERSIONS_TILETOTARGET_PASSES_H
