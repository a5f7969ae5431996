//===- Elementwise.cpp - elementwise and movement kernels ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes a kernel whose outputs are computed element by element from linear places
// of its inputs, and leaves one loop nest a box of its iteration space: concat and
// pad split the space where the source changes, loops merge where all accesses
// are contiguous, vectors run along the dimension most accesses are contiguous in.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/PointNest.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace tessera;

/// Boxes beyond this are a sign of an access that never becomes linear.
constexpr unsigned maxBoxes = 4096;

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

/// Emits the nests for outputs of one shape, changing the space until every index is linear in it.
static LogicalResult emitOutputs(KernelFrame &frame, ArrayRef<unsigned> outputs,
                                 const PointSchedule &schedule, UnitRange &units) {
  auto values = frame.kernel.getYield().getValues();
  SmallVector<IterationSpace> boxes{IterationSpace::of(shapeOf(values[outputs.front()]))};
  unsigned emitted = 0;
  while (!boxes.empty()) {
    IterationSpace space = boxes.pop_back_val();
    if (productOf(space.sizes) == 0)
      continue;
    if (++emitted > maxBoxes)
      return frame.kernel.emitError(
                 "[kernel] the movement ops of the body cut the result into more than ")
             << maxBoxes << " boxes; split it into several kernels";
    PointGraph graph(frame, space);
    LogicalResult visited = success();
    for (unsigned output : outputs)
      if (succeeded(visited))
        visited = graph.addStore(values[output], output, space.roots);
    if (succeeded(visited)) {
      graph.mergeDims();
      emitPointNest(frame, graph, schedule, units);
      continue;
    }
    if (!graph.change)
      return failure();
    if (graph.change->kind == SpaceChange::Refine) {
      space.refine(graph.change->dim, graph.change->amount);
      boxes.push_back(std::move(space));
    } else {
      auto [first, second] = space.split(graph.change->dim, graph.change->amount);
      boxes.push_back(std::move(second));
      boxes.push_back(std::move(first));
    }
  }
  return success();
}

FailureOr<KernelExtent> tessera::emitPointwise(KernelFrame &frame) {
  PointSchedule schedule;
  if (auto point = dyn_cast_or_null<schedule::ElementwiseAttr>(frame.kernel.getPointAttr())) {
    schedule.lanes = point.getLanes();
    schedule.grain = point.getGrain();
    schedule.stream = point.getStream();
  }
  llvm::MapVector<ArrayRef<int64_t>, SmallVector<unsigned>> byShape;
  for (auto [i, value] : llvm::enumerate(frame.kernel.getYield().getValues()))
    byShape[shapeOf(value)].push_back(i);
  UnitRange units(frame);
  for (auto &[shape, outputs] : byShape)
    if (failed(emitOutputs(frame, outputs, schedule, units)))
      return failure();
  return KernelExtent{std::max<int64_t>(units.getUnits(), 1), 1};
}

FailureOr<KernelExtent> tessera::emitElementwise(KernelFrame &frame) {
  return emitPointwise(frame);
}
