//===- GraphDialect.h - the graph dialect -----------------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_IR_GRAPHDIALECT_H
#define TESSERA_COMPILER_GRAPH_IR_GRAPHDIALECT_H

#include "mlir/IR/Dialect.h"

#include "compiler/graph/ir/GraphDialect.h.inc"

#endif // TESSERA_COMPILER_GRAPH_IR_GRAPHDIALECT_H
