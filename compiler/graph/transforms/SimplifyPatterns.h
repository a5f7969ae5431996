//===- SimplifyPatterns.h - patterns of tessera-graph-simplify --*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_TRANSFORMS_SIMPLIFYPATTERNS_H
#define TESSERA_COMPILER_GRAPH_TRANSFORMS_SIMPLIFYPATTERNS_H

#include "mlir/IR/PatternMatch.h"

namespace tessera::graph {

/// Movement that cancels or composes.
void populateMovementPatterns(mlir::RewritePatternSet &patterns);
/// Neutral elements and inverse ops.
void populateArithmeticPatterns(mlir::RewritePatternSet &patterns);
/// Casts that do nothing or follow a lossless one.
void populateCastPatterns(mlir::RewritePatternSet &patterns);
/// Elementwise ops and movement on constants.
void populateConstantPatterns(mlir::RewritePatternSet &patterns);
/// Results without elements.
void populateEmptyPatterns(mlir::RewritePatternSet &patterns);
/// Borders before convolutions.
void populateConvolutionPatterns(mlir::RewritePatternSet &patterns);
/// Rows of which few elements are read.
void populateGatherPatterns(mlir::RewritePatternSet &patterns);
/// Transposes and leading dimensions of matrix products.
void populateMatmulPatterns(mlir::RewritePatternSet &patterns);

} // namespace tessera::graph

#endif // TESSERA_COMPILER_GRAPH_TRANSFORMS_SIMPLIFYPATTERNS_H
