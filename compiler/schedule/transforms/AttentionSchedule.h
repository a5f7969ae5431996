//===- AttentionSchedule.h - default schedules of attention ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_TRANSFORMS_ATTENTIONSCHEDULE_H
#define TESSERA_COMPILER_SCHEDULE_TRANSFORMS_ATTENTIONSCHEDULE_H

#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/schedule/transforms/MachineModel.h"

namespace tessera::schedule {

/// queries [heads, queries, depth], keys [heads, keys, depth], values [heads, keys, columns].
struct AttentionShape {
  int64_t heads = 1; ///< query heads of all batch items
  int64_t queries = 0, keys = 0, depth = 0, columns = 0;
  int64_t accBits = 32; ///< of a score: 32, or 64 for f64
  int64_t group = 1;    ///< query heads that share a head of keys
  /// The elements of a key and of a value lie side by side.
  bool wholeRows = false;
  bool anySizes = false; ///< the code is to serve other numbers of queries and keys as well
  bool stream = false;   ///< what is written of keys and values is not read again soon
  bool pairs = false;    ///< operands of bf16, on a machine that multiplies pairs of them
};

/// The point attention starts from, good without tuning.
AttentionAttr chooseAttention(mlir::MLIRContext *context, const AttentionShape &shape,
                              const MachineModel &machine);
/// What a tuner may try instead: one array a parameter of the point.
mlir::DictionaryAttr attentionSpace(mlir::MLIRContext *context, const AttentionShape &shape,
                                    const MachineModel &machine);

} // namespace tessera::schedule

#endif // TESSERA_COMPILER_SCHEDULE_TRANSFORMS_ATTENTIONSCHEDULE_H
