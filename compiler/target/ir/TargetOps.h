//===- TargetOps.h - the target dialect -------------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_TARGET_IR_TARGETOPS_H
#define TESSERA_COMPILER_TARGET_IR_TARGETOPS_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "compiler/target/ir/TargetDialect.h.inc"

#include "compiler/target/ir/TargetEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "compiler/target/ir/TargetAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "compiler/target/ir/TargetTypes.h.inc"

#define GET_OP_CLASSES
#include "compiler/target/ir/TargetOps.h.inc"

#endif // TESSERA_COMPILER_TARGET_IR_TARGETOPS_H
