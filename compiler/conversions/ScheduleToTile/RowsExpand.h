//===- RowsExpand.h - normalizations as reductions -------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWSEXPAND_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWSEXPAND_H

#include "compiler/schedule/ir/ScheduleOps.h"

namespace tessera {

/// Rewrites softmax and normalizations in the kernel's body as reductions and elementwise ops:
/// means and variances in two passes, exponentials of what the maximum leaves.
void expandRowOps(schedule::KernelOp kernel);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_ROWSEXPAND_H
