//===- Recognize.cpp - tessera-graph-recognize ----------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From ops written by hand to the one op they amount to. The patterns are in
// Recognize*.cpp, one family a file.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/GreedyPass.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/graph/transforms/RecognizePatterns.h"

using namespace mlir;

namespace tessera::graph {

#define GEN_PASS_DEF_GRAPHRECOGNIZE
#include "compiler/graph/transforms/Passes.h.inc"

namespace {
struct RecognizePass : GreedyPass<impl::GraphRecognizeBase<RecognizePass>> {
  void populate(RewritePatternSet &owned) override {
    populateActivationPatterns(owned);
    populateSoftmaxPatterns(owned);
    populateNormPatterns(owned);
    populateAttentionPatterns(owned);
  }
};
} // namespace

} // namespace tessera::graph
