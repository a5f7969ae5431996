//===- ScheduleOps.h - the schedule dialect --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_SCHEDULE_IR_SCHEDULEOPS_H
#define TESSERA_COMPILER_SCHEDULE_IR_SCHEDULEOPS_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "compiler/schedule/ir/ScheduleDialect.h.inc"

#include "compiler/schedule/ir/ScheduleEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "compiler/schedule/ir/ScheduleAttrs.h.inc"

#define GET_OP_CLASSES
#include "compiler/schedule/ir/ScheduleOps.h.inc"

#endif // TESSERA_COMPILER_SCHEDULE_IR_SCHEDULEOPS_H
