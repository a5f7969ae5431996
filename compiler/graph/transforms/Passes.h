//===- Passes.h - passes of the graph level ---------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_TRANSFORMS_PASSES_H
#define TESSERA_COMPILER_GRAPH_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tessera::graph {

/// On a graph.convolution that a kernel of its own computes: it is not expanded.
inline constexpr llvm::StringLiteral kClaimed = "graph.claimed";

/// On a function: what the user wants products, convolutions and attention computed in.
inline constexpr llvm::StringLiteral kPrecision = "graph.precision";

/// On a function that computes gradients as well: how many results come before them, and how many
/// arguments at its end are gradients of results.
inline constexpr llvm::StringLiteral kJoint = "graph.joint";
/// On an argument of @backward: the argument of @main it is, or the result of @forward.
inline constexpr llvm::StringLiteral kJointArgument = "graph.argument";
inline constexpr llvm::StringLiteral kJointSaved = "graph.saved";

/// Which values a backward function computes again rather than have them saved.
enum class Rematerialize { Auto, None, Full };

class ConvolutionOp;
/// Whether a kernel of class depthwise takes it: few channels a group.
bool hasDepthwiseKernel(ConvolutionOp op);

#define GEN_PASS_DECL
#include "compiler/graph/transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/graph/transforms/Passes.h.inc"

} // namespace tessera::graph

#endif // TESSERA_COMPILER_GRAPH_TRANSFORMS_PASSES_H
