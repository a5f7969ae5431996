//===- Passes.h - Schedule IR to Tile IR -----------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_PASSES_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_PASSES_H

#include "compiler/conversions/ScheduleToTile/TileKernel.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <functional>
#include <optional>

namespace tessera {

#define GEN_PASS_DECL
#include "compiler/conversions/ScheduleToTile/Passes.h.inc"

/// Answers for kernels whose object code is at hand: they become a declaration, and nothing is
/// emitted.
using KnownKernels =
    std::function<std::optional<TileKernel>(llvm::StringRef name, llvm::StringRef key)>;
std::unique_ptr<mlir::Pass> createConvertScheduleToTilePass(KnownKernels known);

#define GEN_PASS_REGISTRATION
#include "compiler/conversions/ScheduleToTile/Passes.h.inc"

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_PASSES_H
