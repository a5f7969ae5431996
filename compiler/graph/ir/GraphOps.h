//===- GraphOps.h - the ops of the graph dialect ----------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_IR_GRAPHOPS_H
#define TESSERA_COMPILER_GRAPH_IR_GRAPHOPS_H

#include "compiler/graph/ir/GraphDialect.h"
#include "compiler/graph/ir/GraphInference.h"
#include "compiler/graph/ir/GraphTraits.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "compiler/graph/ir/GraphEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "compiler/graph/ir/GraphAttrs.h.inc"
#include "compiler/graph/ir/GraphInterfaces.h.inc"
#define GET_OP_CLASSES
#include "compiler/graph/ir/GraphOps.h.inc"

#endif // TESSERA_COMPILER_GRAPH_IR_GRAPHOPS_H
