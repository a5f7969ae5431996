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

def Graph_GroupedMatmulOp : Graph_InferredOp<"grouped_matmul", [Graph_Library]> {
  let summary = "products of groups of rows, each with a matrix of its own";
  let description = [{
    Group g reaches from the end of the one before to `ends`[g]. With an rhs of [G, K, N] the groups
    are of lhs's rows, [M, K], and the result is [M, N]: row m times the matrix of its group, zero
    where m is in none. With an rhs of [K, N] the groups are of what is summed over: the result is
    [G, M, N]. Ends that fall, or that lie behind what is grouped, are an error when the program
    runs. f16 and bf16 are accumulated in f32.

    Example:
    ```mlir
    %3 = graph.grouped_matmul %0, %1, %2
         : (tensor<96x512xf32>, tensor<8x512x64xf32>, tensor<8xi32>) -> tensor<96x64xf32>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$lhs, Graph_FloatTensor:$rhs, Graph_IndexTensor:$ends);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs `,` $ends attr-dict `:` functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_CONTRACTION
