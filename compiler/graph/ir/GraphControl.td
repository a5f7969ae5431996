//===- GraphControl.td - calls and branches ----------------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_CONTROL
#define TESSERA_GRAPH_CONTROL

include "compiler/graph/ir/GraphBase.td"

def Graph_IslandOp : Graph_Op<"island", [
    DeclareOpInterfaceMethods<Graph_NamedBuildOpInterface>]> {
  let summary = "what stays in the host framework";
  let description = [{
    A call of callable `id`; `reason` says why it was not compiled. It may have side
    effects: it is neither removed nor moved across another island.

    Example:
    ```mlir
    %1:2 = graph.island 3 "no lowering for aten.sort" (%0)
           : (tensor<8xf32>) -> (tensor<8xf32>, tensor<8xi64>)
    ```
  }];
  let arguments = (ins I64Attr:$id, StrAttr:$reason, Variadic<Graph_Tensor>:$inputs);
  let results = (outs Variadic<Graph_Tensor>:$results);
  let assemblyFormat = [{
    $id $reason `(` $inputs `)` attr-dict `:` functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_CONTROL
