//===- Simplify.cpp - tessera-graph-simplify ------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From any Graph IR to Graph IR without what changes nothing. The patterns are
// in Simplify*.cpp, one kind a file.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/GreedyPass.h"
#include "compiler/graph/transforms/Passes.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

using namespace mlir;

namespace tessera::graph {

#define GEN_PASS_DEF_GRAPHSIMPLIFY
#include "compiler/graph/transforms/Passes.h.inc"

namespace {
struct SimplifyPass : GreedyPass<impl::GraphSimplifyBase<SimplifyPass>> {
  void populate(RewritePatternSet &owned) override {
    populateMovementPatterns(owned);
    populateArithmeticPatterns(owned);
    populateCastPatterns(owned);
    populateConstantPatterns(owned);
    populateEmptyPatterns(owned);
    populateMatmulPatterns(owned);
    populateConvolutionPatterns(owned);
    populateGatherPatterns(owned);
  }
};
} // namespace

} // namespace tessera::graph
