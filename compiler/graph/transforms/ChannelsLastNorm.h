//===- ChannelsLastNorm.h - group_norm of channels that come last -*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_TRANSFORMS_CHANNELSLASTNORM_H
#define TESSERA_COMPILER_GRAPH_TRANSFORMS_CHANNELSLASTNORM_H

#include "compiler/graph/ir/GraphOps.h"

#include "mlir/IR/Builders.h"

namespace tessera::graph {

/// The result of `op` in the order of `stored`, its operand as [N, spatial…, C] of known sizes.
mlir::Value normalizeGroups(mlir::OpBuilder &builder, GroupNormOp op, mlir::Value stored);

} // namespace tessera::graph

#endif // TESSERA_COMPILER_GRAPH_TRANSFORMS_CHANNELSLASTNORM_H
