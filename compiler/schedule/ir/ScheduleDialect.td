//===- ScheduleDialect.td - level 2: every tunable decision ---------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_SCHEDULE_DIALECT
#define TESSERA_SCHEDULE_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/AttrTypeBase.td"

def Schedule_Dialect : Dialect {
  let name = "schedule";
  let cppNamespace = "::tessera::schedule";
  let summary = "grouped, laid out, placed: what runs as one kernel and how";
  let description = [{
    A function at this level is an ordered list of kernels, views and islands. A kernel's body says what it
    computes in graph ops; its `point` attribute says how; `space` says what else it could have been. The
    tuner reads the one and writes the other.
  }];
  let useDefaultAttributePrinterParser = 1;
}

#endif // TESSERA_SCHEDULE_DIALECT
