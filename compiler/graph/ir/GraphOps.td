//===- GraphOps.td - the ops of the graph dialect ----------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One file a family.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_OPS
#define TESSERA_GRAPH_OPS

include "compiler/graph/ir/GraphBase.td"
include "compiler/graph/ir/GraphElementwise.td"
include "compiler/graph/ir/GraphSource.td"
include "compiler/graph/ir/GraphMovement.td"
include "compiler/graph/ir/GraphReduction.td"
include "compiler/graph/ir/GraphNormalization.td"
include "compiler/graph/ir/GraphContraction.td"
include "compiler/graph/ir/GraphConvolution.td"
include "compiler/graph/ir/GraphAttention.td"
include "compiler/graph/ir/GraphIndexing.td"
include "compiler/graph/ir/GraphSorting.td"
include "compiler/graph/ir/GraphLinearAlgebra.td"
include "compiler/graph/ir/GraphFourier.td"
include "compiler/graph/ir/GraphRandom.td"
include "compiler/graph/ir/GraphControl.td"

#endif // TESSERA_GRAPH_OPS
