//===- GraphIndexing.td - elements chosen by tensors -------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_INDEXING
#define TESSERA_GRAPH_INDEXING

include "compiler/graph/ir/GraphBase.td"

def Graph_GatherOp : Graph_InferredOp<"gather"> {
  let summary = "slices of a tensor chosen by an index";
  let description = [{
    The result's shape is source[:dim] + index + source[dim+1:]. An index out of range
    (negative ones too) is an error when the program runs.

    Example:
    ```mlir
    %2 = graph.gather %0, %1 dim = 0
         : (tensor<1000x64xf32>, tensor<8x16xi64>) -> tensor<8x16x64xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$source, Graph_IndexTensor:$index, I64Attr:$dim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $source `,` $index `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_ScatterOp : Graph_InferredOp<"scatter", [Graph_Library], ["coerceAttribute"]> {
  let summary = "a tensor with elements written where an index says";
  let description = [{
    Element (…, i, …) of `source`, with i along `dim`, goes to element (…, index[…, i, …], …) of
    a copy of `dest`; sizes but along `dim` are all the same. Elements are written in the order
    of i: with `none` the last stays, the other kinds combine it with what is there, a NaN
    winning over `max` and `min`. `sum` and `prod` are of numbers of at least the width of f32.
    An index out of range (negative ones too) is an error when the program runs.

    Example:
    ```mlir
    %3 = graph.scatter sum %0, %1, %2 dim = 0
         : (tensor<1000x64xf32>, tensor<16x64xi64>, tensor<16x64xf32>) -> tensor<1000x64xf32>
    ```
  }];
  let arguments = (ins
    Graph_ScatterKindAttr:$kind, Graph_Tensor:$dest, Graph_IndexTensor:$index,
    Graph_Tensor:$source, I64Attr:$dim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    `` $kind $dest `,` $index `,` $source `dim` `=` $dim attr-dict `:`
    functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_INDEXING
