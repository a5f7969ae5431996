//===- ScheduleContract.cpp - what leaves the schedule level ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/contracts/Passes.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/ScheduleOps.h"

namespace tessera {
#define GEN_PASS_DEF_VERIFYSCHEDULE
#include "compiler/contracts/Passes.h.inc"
} // namespace tessera

using namespace mlir;
using namespace tessera;

namespace {
struct VerifySchedule : tessera::impl::VerifyScheduleBase<VerifySchedule> {
  void runOnOperation() override {
    for (Operation &op : getOperation().getBody().front())
      if (failed(verify(&op)))
        return signalPassFailure();
  }

  static LogicalResult verify(Operation *op) {
    auto kernel = dyn_cast<schedule::KernelOp>(op);
    if (!kernel) {
      if (isa<schedule::ViewOp, graph::IslandOp, graph::ParameterOp, graph::ConstantOp,
              func::ReturnOp>(op))
        return success();
      return op->emitOpError(
          "[verify-schedule] is left outside a kernel; run tessera-graph-to-schedule, or give "
          "its family a kernel class");
    }
    if (!kernel.getPointAttr() && kernel.getKind() != schedule::KernelKind::Pack)
      return op->emitOpError("[verify-schedule] has no point; run tessera-schedule-choose");
    if (!kernel.getPlacementAttr())
      return op->emitOpError("[verify-schedule] has no placement; run tessera-schedule-place");
    for (Operation &inner : kernel.getBody().front())
      if (!isa<schedule::YieldOp, schedule::PackOp, schedule::UnpackOp, schedule::UnpackKernelsOp>(
              inner) &&
          !isa<graph::GraphDialect>(inner.getDialect()))
        return inner.emitOpError(
            "[verify-schedule] is no graph op and cannot be in a kernel's body");
    return success();
  }
};
} // namespace
