//===- GraphReduction.td - dimensions that disappear -------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_REDUCTION
#define TESSERA_GRAPH_REDUCTION

include "compiler/graph/ir/GraphBase.td"

def Graph_ReduceOp : Graph_InferredOp<"reduce", [Graph_Rows], ["coerceAttribute"]> {
  let summary = "sum, product, extremum or logical combination over some dimensions";
  let description = [{
    `dims` are sorted. `max` and `min` propagate NaN and need at least one element;
    `any` and `all` take i1. f16 and bf16 are accumulated in f32. With `keepdim` the
    reduced dimensions stay, with size one.

    Example:
    ```mlir
    %1 = graph.reduce sum %0 dims = [1] {keepdim} : (tensor<8x512xf32>) -> tensor<8x1xf32>
    ```
  }];
  let arguments = (ins
    Graph_ReduceKindAttr:$kind, Graph_Tensor:$operand, DenseI64ArrayAttr:$dims, UnitAttr:$keepdim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    `` $kind $operand `dims` `=` $dims attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_ArgReduceOp : Graph_InferredOp<"arg_reduce", [Graph_Rows], ["coerceAttribute"]> {
  let summary = "position of the extremum along one dimension";
  let description = [{
    The first of equal elements wins; a NaN beats every number.

    Example:
    ```mlir
    %1 = graph.arg_reduce max %0 dim = 1 : (tensor<8x512xf32>) -> tensor<8xi64>
    ```
  }];
  let arguments = (ins
    Graph_ArgReduceKindAttr:$kind, Graph_NumericTensor:$operand, I64Attr:$dim, UnitAttr:$keepdim);
  let results = (outs Graph_IndexTensor:$result);
  let assemblyFormat = [{
    `` $kind $operand `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_RunningReduceOp : Graph_InferredOp<"running_reduce", [Graph_Library],
                                             ["coerceAttribute"]> {
  let summary = "sum or product of the elements so far";
  let description = [{
    Elements are combined one after another. f32 is accumulated in f64, and each partial result
    rounded by itself; integers wrap around.

    Example:
    ```mlir
    %1 = graph.running_reduce sum %0 dim = 1 : (tensor<8x512xf32>) -> tensor<8x512xf32>
    ```
  }];
  let arguments = (ins Graph_ReduceKindAttr:$kind, Graph_NumericTensor:$operand, I64Attr:$dim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    `` $kind $operand `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_REDUCTION
