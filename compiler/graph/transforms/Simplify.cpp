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
#include "compiler/graph/transforms/Passes.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace tessera::graph {

#define GEN_PASS_DEF_GRAPHSIMPLIFY
#include "compiler/graph/transforms/Passes.h.inc"

namespace {
struct SimplifyPass : impl::GraphSimplifyBase<SimplifyPass> {
  LogicalResult initialize(MLIRContext *context) override {
    RewritePatternSet owned(context);
    populateMovementPatterns(owned);
    populateArithmeticPatterns(owned);
    populateCastPatterns(owned);
    populateConstantPatterns(owned);
    populateMatmulPatterns(owned);
    patterns = FrozenRewritePatternSet(std::move(owned));
    return success();
  }

  void runOnOperation() override {
    if (failed(applyPatternsGreedily(getOperation(), patterns)))
      signalPassFailure();
  }

  FrozenRewritePatternSet patterns;
};
} // namespace

} // namespace tessera::graph
