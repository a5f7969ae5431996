//===- TargetDialect.td - level 4: what one machine runs ------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_TARGET_DIALECT
#define TESSERA_TARGET_DIALECT

include "mlir/IR/OpBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/AttrTypeBase.td"

def Target_Dialect : Dialect {
  let name = "target";
  let cppNamespace = "::tessera::target";
  let summary = "kernels on machine vectors, and the host program that launches them";
  let description = [{
    A kernel at this level is a `func.func` on flat buffers and machine vectors, in a module that carries
    `target.machine`; it uses upstream dialects and adds only calls into a mathematical library. The host
    side is one `target.program`, which mirrors `runtime::Program` field by field.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

#endif // TESSERA_TARGET_DIALECT
