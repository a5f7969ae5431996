//===- PointNest.h - the loop nest over a point graph ----------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTNEST_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTNEST_H

#include "compiler/conversions/ScheduleToTile/LoopNest.h"
#include "compiler/conversions/ScheduleToTile/PointEmitter.h"

namespace tessera {

/// The schedule of a nest: vectors of `lanes`, about `grain` elements a unit.
struct PointSchedule {
  int64_t lanes = 64;
  int64_t grain = 16384;
  bool stream = false; ///< results go past the caches
};

/// How well vectors along `dim` suit the graph's accesses; negative where they are impossible.
double scoreLaneDim(const PointGraph &graph, unsigned dim);

/// The lanes a schedule may have along `dim`: fewer where each is loaded from a place of its own.
int64_t limitLanes(const PointGraph &graph, unsigned dim, int64_t lanes);

/// Emits the loops that compute every store of the graph over its space.
void emitPointNest(KernelFrame &frame, PointGraph &graph, const PointSchedule &schedule,
                   UnitRange &units);

/// Kernels whose every output is computed point by point: elementwise, movement and gather.
mlir::FailureOr<KernelExtent> emitPointwise(KernelFrame &frame);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_POINTNEST_H
