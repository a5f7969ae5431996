//===- GreedyPass.h - a pass that is a set of patterns ----------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_TRANSFORMS_GREEDYPASS_H
#define TESSERA_GRAPH_TRANSFORMS_GREEDYPASS_H

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace tessera::graph {

/// Applies patterns until none matches; `Base` is the pass's base class from Passes.td. The
/// patterns are built once, not once a function.
template <typename Base> class GreedyPass : public Base {
public:
  using Base::Base;

  mlir::LogicalResult initialize(mlir::MLIRContext *context) override {
    mlir::RewritePatternSet owned(context);
    populate(owned);
    patterns = mlir::FrozenRewritePatternSet(std::move(owned));
    return mlir::success();
  }

  void runOnOperation() override {
    if (failed(mlir::applyPatternsGreedily(this->getOperation(), patterns)))
      this->signalPassFailure();
  }

protected:
  virtual void populate(mlir::RewritePatternSet &owned) = 0;

private:
  mlir::FrozenRewritePatternSet patterns;
};

} // namespace tessera::graph

#endif // TESSERA_GRAPH_TRANSFORMS_GREEDYPASS_H
