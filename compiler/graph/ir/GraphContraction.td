//===- GraphContraction.td - sums of products --------------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_CONTRACTION
#define TESSERA_GRAPH_CONTRACTION

include "compiler/graph/ir/GraphBase.td"

def Graph_MatmulOp : Graph_InferredOp<"matmul", [Graph_Contraction]> {
  let summary = "matrix product over broadcast batch dimensions";
  let description = [{
    lhs is [..., M, K] and rhs [..., K, N]; the flags say that an operand's last two
    dimensions are stored the other way round. f16 and bf16 are accumulated in f32,
    integers wrap.

    Example:
    ```mlir
    %2 = graph.matmul %0, %1 {transpose_b}
         : (tensor<8x512xf32>, tensor<2048x512xf32>) -> tensor<8x2048xf32>
    ```
  }];
  let arguments = (ins
    Graph_NumericTensor:$lhs, Graph_NumericTensor:$rhs,
    UnitAttr:$transpose_a, UnitAttr:$transpose_b);
  let results = (outs Graph_NumericTensor:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs attr-dict `:` functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_CONTRACTION
