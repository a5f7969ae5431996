//===- SimplifyEmpty.cpp - results without elements -----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What has no elements is the same however it is computed, so nothing is: no
// kernel reads an index that is not there.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/graph/transforms/Match.h"
#include "compiler/graph/transforms/SimplifyPatterns.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

namespace tessera::graph {
namespace {

struct ReplaceEmpty : RewritePattern {
  explicit ReplaceEmpty(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), /*benefit=*/1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!isa_and_nonnull<GraphDialect>(op->getDialect()) || !isMemoryEffectFree(op) ||
        op->getNumOperands() == 0 || op->getNumResults() == 0)
      return rewriter.notifyMatchFailure(op, "expected a graph op that computes");
    auto broadcast = dyn_cast<BroadcastOp>(op);
    if (broadcast && broadcast.getOperand().getDefiningOp<ConstantOp>())
      return rewriter.notifyMatchFailure(op, "expected more than a broadcast constant");
    bool isEmpty = llvm::all_of(op->getResultTypes(), [](Type type) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      return tensor && tensor.hasStaticShape() && tensor.getNumElements() == 0;
    });
    if (!isEmpty)
      return rewriter.notifyMatchFailure(op, "expected results without elements");
    SmallVector<Value> empty;
    for (Value result : op->getResults()) {
      RankedTensorType type = rankedType(result);
      Attribute zero = rewriter.getZeroAttr(type.getElementType());
      auto scalar = RankedTensorType::get({}, type.getElementType());
      Value element =
          ConstantOp::create(rewriter, op->getLoc(), DenseElementsAttr::get(scalar, zero));
      empty.push_back(BroadcastOp::create(rewriter, op->getLoc(), type, element, type.getShape()));
    }
    rewriter.replaceOp(op, empty);
    return success();
  }
};

} // namespace

void populateEmptyPatterns(RewritePatternSet &patterns) {
  patterns.add<ReplaceEmpty>(patterns.getContext());
}

} // namespace tessera::graph
