//===- Rows.cpp - kernels that reduce along rows ---------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Takes a kernel of reductions over the same dimensions with elementwise ops
// before, between and after, and leaves loops over the kept dimensions with one
// pass over the row for each level of reductions. Vectors run along the row, or
// across neighbouring rows where those are contiguous.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/RowPass.h"
#include "compiler/conversions/ScheduleToTile/RowsExpand.h"
#include "compiler/graph/ir/GraphOps.h"

using namespace mlir;
using namespace tessera;

/// A reduction with this many nodes or fewer leaves registers for wide accumulators.
constexpr size_t maxPlainNodes = 6;
constexpr int64_t maxWidening = 4;

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}

namespace {
/// The tensor the rows are cut from.
struct RowDomain {
  SmallVector<int64_t> shape, reduced;

  bool isReduced(unsigned d) const { return llvm::is_contained(reduced, static_cast<int64_t>(d)); }
  int64_t rows() const {
    int64_t count = 1;
    for (auto [d, size] : llvm::enumerate(shape))
      count *= isReduced(d) ? 1 : size;
    return count;
  }
};
} // namespace

static std::optional<RowDomain> findDomain(schedule::KernelOp kernel) {
  for (Operation &op : kernel.getBody().front()) {
    if (auto reduce = dyn_cast<graph::ReduceOp>(op))
      return RowDomain{SmallVector<int64_t>(shapeOf(reduce.getOperand())),
                       SmallVector<int64_t>(reduce.getDims())};
    if (auto reduce = dyn_cast<graph::ArgReduceOp>(op))
      return RowDomain{SmallVector<int64_t>(shapeOf(reduce.getOperand())),
                       {static_cast<int64_t>(reduce.getDim())}};
  }
  return std::nullopt;
}

/// Row-major element number over the dimensions of `domain` that `counts` holds for.
static LinearForm linearOver(const RowDomain &domain, const IterationSpace &space,
                             llvm::function_ref<bool(unsigned)> counts) {
  LinearForm form(space.rank(), 0);
  int64_t stride = 1;
  for (int64_t d = static_cast<int64_t>(domain.shape.size()) - 1; d >= 0; --d) {
    if (!counts(d))
      continue;
    form.add(space.roots[d], stride);
    stride *= domain.shape[d];
  }
  return form;
}

/// Visits all outputs over `graph`'s space. An output is full (an element a point) or has one
/// element a row.
static LogicalResult visitOutputs(KernelFrame &frame, schedule::KernelOp body,
                                  const RowDomain &domain, PointGraph &graph) {
  const IterationSpace &space = graph.getSpace();
  graph.setRow(linearOver(domain, space, [&](unsigned d) { return domain.isReduced(d); }));
  LinearForm all = linearOver(domain, space, [](unsigned) { return true; });
  LinearForm kept = linearOver(domain, space, [&](unsigned d) { return !domain.isReduced(d); });
  for (auto [i, value] : llvm::enumerate(body.getYield().getValues())) {
    int64_t count = productOf(shapeOf(value));
    bool isFull = count == productOf(domain.shape);
    if (!isFull && count != domain.rows())
      return frame.kernel.emitError("[rows] output ")
             << i << " of type " << value.getType()
             << " has neither an element for each of the reduced tensor nor one a row";
    auto index = graph.delinearize(isFull ? all : kept, shapeOf(value));
    if (failed(index) || failed(graph.addStore(value, i, *index)))
      return failure();
  }
  return success();
}

/// The dimension vectors suit best among the reduced or the kept ones; -1 where none is possible.
static int bestLaneDim(const PointGraph &graph, bool reduced, double &score) {
  int best = -1;
  score = 0;
  for (unsigned d = 0; d < graph.getSpace().rank(); ++d) {
    double here = graph.getSpace().reduced[d] == reduced ? scoreLaneDim(graph, d) : -1;
    if (here < 0 || here < score || graph.getSpace().sizes[d] == 0)
      continue;
    best = d;
    score = here;
  }
  return best;
}

/// Vectors across rows read a piece of each row: for one plain reduction, as wide a piece as
/// registers hold, which the hardware fetches better.
static int64_t widenAcross(const PointGraph &graph, const RowPlan &plan, unsigned dim,
                           int64_t lanes) {
  bool isPlain = plan.getPasses().size() == 1 && graph.getNodes().size() <= maxPlainNodes &&
                 plan.getPasses()[0].reductions.size() == 1 &&
                 isa<graph::ReduceOp>(plan.getPasses()[0].reductions[0]->op);
  int64_t most = lanes * maxWidening;
  while (isPlain && lanes < most && graph.getSpace().sizes[dim] >= 2 * lanes)
    lanes *= 2;
  return lanes;
}

static void chooseLanes(const PointGraph &graph, const RowSchedule &schedule, RowPlan &plan) {
  double alongScore, acrossScore;
  int along = bestLaneDim(graph, /*reduced=*/true, alongScore);
  int across = bestLaneDim(graph, /*reduced=*/false, acrossScore);
  bool isAcross = !schedule.lanesAlongReduction;
  // The schedule's wish, unless vectors only work the other way.
  if ((isAcross ? across : along) < 0 || (isAcross ? acrossScore : alongScore) == 0)
    isAcross = across >= 0 && (along < 0 || acrossScore > alongScore);
  int dim = isAcross ? across : along;
  if (dim < 0)
    return plan.setLanes(-1, 1, /*acrossRows=*/false);
  int64_t lanes =
      std::min(limitLanes(graph, dim, schedule.lanes), powerOfTwoCeil(graph.getSpace().sizes[dim]));
  if (isAcross)
    lanes = widenAcross(graph, plan, dim, lanes);
  plan.setLanes(lanes == 1 ? -1 : dim, lanes, isAcross && lanes > 1);
}

static RowSchedule scheduleOf(schedule::KernelOp kernel) {
  RowSchedule schedule;
  if (auto point = dyn_cast_or_null<schedule::RowsAttr>(kernel.getPointAttr())) {
    schedule.lanes = point.getLanes();
    schedule.lanesAlongReduction = point.getLanesAlongReduction();
    schedule.grain = point.getGrain();
    schedule.prefetchRow = point.getPrefetchRow();
    schedule.stream = point.getStream();
  }
  return schedule;
}

FailureOr<KernelExtent> tessera::emitRows(KernelFrame &frame) {
  // The kernel itself stays as it is: its text is its identity.
  OwningOpRef<schedule::KernelOp> body = cast<schedule::KernelOp>(frame.kernel->clone());
  expandRowOps(*body);
  std::optional<RowDomain> domain = findDomain(*body);
  if (!domain)
    return emitPointwise(frame);
  IterationSpace space = IterationSpace::of(domain->shape, domain->reduced);
  while (true) {
    PointGraph graph(frame, space);
    if (failed(visitOutputs(frame, *body, *domain, graph))) {
      if (!graph.change)
        return failure();
      if (graph.change->kind == SpaceChange::Split)
        return frame.kernel.emitError("[rows] concat and pad cannot be part of a kernel of rows; "
                                      "give them a kernel of their own");
      space.refine(graph.change->dim, graph.change->amount);
      continue;
    }
    graph.mergeDims();
    RowSchedule schedule = scheduleOf(frame.kernel);
    RowPlan plan(frame, graph);
    chooseLanes(graph, schedule, plan);
    plan.planCaches();
    plan.stream = schedule.stream;
    UnitRange units(frame);
    emitRowNest(frame, graph, plan, schedule, units);
    return KernelExtent{std::max<int64_t>(units.getUnits(), 1), 1};
  }
}
