//===- GraphAttention.td - scaled dot-product attention ----*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_ATTENTION
#define TESSERA_GRAPH_ATTENTION

include "compiler/graph/ir/GraphBase.td"

def Graph_AttentionOp
    : Graph_InferredOp<"attention", [], ["coerceAttribute"]> {
  let summary = "softmax(query * key^T * scale + mask) * value";
  let description = [{
    query is [..., Hq, L, E], key [..., Hk, S, E], value [..., Hk, S, Ev]; Hq is a
    multiple of Hk, and query head h reads key head h / (Hq / Hk). `mask` broadcasts to
    [..., Hq, L, S]: i1 (true: takes part) or of the query's element type (added), or f32 with bf16.
    `causal` lets position i see positions up to i, counted from the first of both.
    A row whose scores are all masked (false, or -inf added) is zero, as torch has it.

    Example:
    ```mlir
    %3 = graph.attention %q, %k, %v scale = 1.25e-1 {causal}
         : (tensor<2x8x64x32xf32>, tensor<2x2x64x32xf32>, tensor<2x2x64x32xf32>)
         -> tensor<2x8x64x32xf32>
    ```
  }];
  let arguments = (ins
    Graph_FloatTensor:$query, Graph_FloatTensor:$key, Graph_FloatTensor:$value,
    Optional<Graph_MaskTensor>:$mask, F64Attr:$scale, UnitAttr:$causal);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`mask` $mask^)? `scale` `=` $scale attr-dict
    `:` functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_ATTENTION
