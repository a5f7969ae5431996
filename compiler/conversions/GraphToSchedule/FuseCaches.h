//===- FuseCaches.h - attention extends the caches it reads ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_FUSECACHES_H
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_FUSECACHES_H

#include "compiler/graph/ir/GraphOps.h"
#include "compiler/schedule/ir/ScheduleOps.h"

namespace tessera {

/// Takes the kernels that put the keys and the values of `attention` together into its kernel, for
/// an attention that reads them in place. Returns the kernel that has taken its place, or `kernel`
/// where there is nothing to take.
schedule::KernelOp fuseCaches(schedule::KernelOp kernel, graph::AttentionOp attention);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_FUSECACHES_H
