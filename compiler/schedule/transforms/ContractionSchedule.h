//===- ContractionSchedule.h - default schedules of contractions -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_TRANSFORMS_CONTRACTIONSCHEDULE_H
#define TESSERA_COMPILER_SCHEDULE_TRANSFORMS_CONTRACTIONSCHEDULE_H

#include "compiler/schedule/ir/ScheduleOps.h"
#include "compiler/schedule/transforms/MachineModel.h"

namespace tessera::schedule {

/// What the choice depends on. Where the second operand has no batch, the batch counts as rows.
struct ContractionShape {
  int64_t batch = 1; ///< products of `rows` x `depth` by `depth` x `columns`
  int64_t rows = 0, columns = 0, depth = 0;
  int64_t operandBits = 32; ///< of an element of A and B
  int64_t accBits = 32;     ///< of an accumulator
  bool packedB = false;     ///< panels prepared once, not a call
  int64_t aRowStride = 0;   ///< elements; of A as [rows, depth]
  int64_t aColStride = 1;
  bool anyRows = false; ///< the code is to serve other numbers of rows as well
  bool pairs = false;   ///< operands of bf16, on a machine that multiplies pairs of them
};

/// The point a contraction starts from, good without tuning.
ContractionAttr chooseContraction(mlir::MLIRContext *context, const ContractionShape &shape,
                                  const MachineModel &machine);
/// What a tuner may try instead: one array a parameter of the point.
mlir::DictionaryAttr contractionSpace(mlir::MLIRContext *context, const ContractionShape &shape,
                                      const MachineModel &machine);

} // namespace tessera::schedule

#endif // TESSERA_COMPILER_SCHEDULE_TRANSFORMS_CONTRACTIONSCHEDULE_H
