//===- GraphTraits.h - facts about graph ops --------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Asked as `op->hasTrait<graph::Elementwise>()`: what a transformation may do
// with an op follows from these, never from a list of names.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_IR_GRAPHTRAITS_H
#define TESSERA_COMPILER_GRAPH_IR_GRAPHTRAITS_H

#include "mlir/IR/OpDefinition.h"

namespace tessera::graph {

/// Each result element depends on the operands' elements at the same place, after broadcasting.
template <typename OpT> class Elementwise : public mlir::OpTrait::TraitBase<OpT, Elementwise> {};

/// Each result element depends on its own place, and on operands of one element: no movement passes
/// it, though a kernel computes it among elementwise ops.
template <typename OpT> class Positional : public mlir::OpTrait::TraitBase<OpT, Positional> {};

/// Result elements are operand elements elsewhere (or a padding value): nothing is computed.
template <typename OpT> class Movement : public mlir::OpTrait::TraitBase<OpT, Movement> {};

/// Combines or normalizes along some dimensions and keeps the others apart.
template <typename OpT> class Rows : public mlir::OpTrait::TraitBase<OpT, Rows> {};

/// A sum of products over a dimension that disappears.
template <typename OpT> class Contraction : public mlir::OpTrait::TraitBase<OpT, Contraction> {};

/// No loop nest computes it: a function of the runtime's library does, on whole tensors in memory.
template <typename OpT> class Library : public mlir::OpTrait::TraitBase<OpT, Library> {};

/// Whether an element of the result can be computed where it is needed.
inline bool isPointwise(mlir::Operation *op) {
  return op->hasTrait<Elementwise>() || op->hasTrait<Positional>();
}

} // namespace tessera::graph

#endif // TESSERA_COMPILER_GRAPH_IR_GRAPHTRAITS_H
