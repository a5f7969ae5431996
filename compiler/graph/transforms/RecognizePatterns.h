//===- RecognizePatterns.h - patterns of tessera-graph-recognize *- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_TRANSFORMS_RECOGNIZEPATTERNS_H
#define TESSERA_COMPILER_GRAPH_TRANSFORMS_RECOGNIZEPATTERNS_H

#include "mlir/IR/PatternMatch.h"

namespace tessera::graph {

/// sigmoid, SiLU and both forms of GELU.
void populateActivationPatterns(mlir::RewritePatternSet &patterns);
/// softmax and log-softmax.
void populateSoftmaxPatterns(mlir::RewritePatternSet &patterns);
/// Layer and RMS normalization.
void populateNormPatterns(mlir::RewritePatternSet &patterns);
/// Scaled dot-product attention, repeated key and value heads.
void populateAttentionPatterns(mlir::RewritePatternSet &patterns);

} // namespace tessera::graph

#endif // TESSERA_COMPILER_GRAPH_TRANSFORMS_RECOGNIZEPATTERNS_H
