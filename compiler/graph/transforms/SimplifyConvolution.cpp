//===- SimplifyConvolution.cpp - what convolutions do themselves ----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

using namespace mlir;

namespace tessera::graph {
namespace {

/// A border of zeros around the input is the convolution's own padding.
struct TakeBorder : OpRewritePattern<ConvolutionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ConvolutionOp op, PatternRewriter &rewriter) const override {
    auto pad = op.getInput().getDefiningOp<PadOp>();
    if (!pad || splatNumber(pad.getValue()) != 0.0)
      return rewriter.notifyMatchFailure(op, "expected an input with a border of zeros");
    if (llvm::any_of(llvm::concat<const int64_t>(pad.getLow(), pad.getHigh()),
                     [](int64_t amount) { return amount < 0; }))
      return rewriter.notifyMatchFailure(op, "expected a border that crops nothing");
    size_t dims = op.getStride().size(), first = op.getChannelsLast() ? 1 : 2;
    SmallVector<int64_t> low(op.getPaddingLow()), high(op.getPaddingHigh());
    for (auto [d, before, after] : llvm::enumerate(pad.getLow(), pad.getHigh())) {
      if (d >= first && d < first + dims) {
        low[d - first] += before;
        high[d - first] += after;
      } else if (before != 0 || after != 0) {
        return rewriter.notifyMatchFailure(op, "expected a border in spatial dimensions only");
      }
    }
    rewriter.modifyOpInPlace(op, [&] {
      op.setPaddingLow(low);
      op.setPaddingHigh(high);
      op.getInputMutable().set(pad.getOperand());
    });
    return success();
  }
};

} // namespace

void populateConvolutionPatterns(RewritePatternSet &patterns) {
  patterns.add<TakeBorder>(patterns.getContext());
}

} // namespace tessera::graph
