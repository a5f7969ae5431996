//===- GraphContract.cpp - what leaves the graph level --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Graph IR as later levels may rely on it: functions of graph ops on ranked
// tensors of legal element types, each with a location that can be shown.
//
//===----------------------------------------------------------------------===//

#include "compiler/contracts/Passes.h"
#include "compiler/graph/ir/GraphOps.h"

namespace tessera {
#define GEN_PASS_DEF_VERIFYGRAPH
#include "compiler/contracts/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;

/// A location that leads to the user's code or at least names its part.
static bool isKnown(Location loc) {
  bool known = false;
  loc->walk([&](Location part) {
    known |= isa<FileLineColLoc, NameLoc>(part);
    return known ? WalkResult::interrupt() : WalkResult::advance();
  });
  return known;
}

static LogicalResult verifyType(Operation *op, const Twine &what, Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return op->emitOpError() << "[verify-graph] " << what << " has type " << type
                             << "; Graph IR has ranked tensors only";
  if (!graph::isLegalElementType(tensor.getElementType()))
    return op->emitOpError() << "[verify-graph] " << what << " has element type "
                             << tensor.getElementType()
                             << "; cast to f32, f64, f16, bf16, i8, i16, i32, i64, ui8 or i1";
  if (tensor.getEncoding())
    return op->emitOpError() << "[verify-graph] " << what << " has the encoding "
                             << tensor.getEncoding()
                             << "; layouts are chosen at the schedule level";
  return success();
}

static LogicalResult verifyOp(Operation *op) {
  if (!isa<func::ReturnOp>(op) && !isa<graph::GraphDialect>(op->getDialect()))
    return op->emitOpError("[verify-graph] is no graph op; lower it to graph ops, or leave it to "
                           "an island");
  // MLIR's folder takes the location from a constant that several places came to share.
  if (!isKnown(op->getLoc()) && !op->hasTrait<OpTrait::ConstantLike>())
    return op->emitOpError("[verify-graph] has no location; give it the module path and source "
                           "line it came from");
  for (auto [index, result] : llvm::enumerate(op->getResults()))
    if (failed(verifyType(op, "result " + Twine(index), result.getType())))
      return failure();
  return success();
}

namespace {
struct VerifyGraph : tessera::impl::VerifyGraphBase<VerifyGraph> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration()) {
      function.emitOpError("[verify-graph] has no body; Graph IR calls nothing from outside but "
                           "islands");
      return signalPassFailure();
    }
    if (!function.getBody().hasOneBlock()) {
      function.emitOpError("[verify-graph] has several blocks; control flow is written as ops "
                           "with regions");
      return signalPassFailure();
    }
    for (auto [index, type] : llvm::enumerate(function.getArgumentTypes()))
      if (failed(verifyType(function, "argument " + Twine(index), type)))
        return signalPassFailure();
    for (Operation &op : function.getBody().front())
      if (failed(verifyOp(&op)))
        return signalPassFailure();
  }
};
} // namespace
