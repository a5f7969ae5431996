//===- GraphSorting.td - rows in order, and places in them -*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A row is what lies along `dim`. The order is PyTorch's: NaN is greater than every
// number, both zeros are equal, and false comes before true.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_SORTING
#define TESSERA_GRAPH_SORTING

include "compiler/graph/ir/GraphBase.td"

/// Elements of rows and the positions they had.
class Graph_OrderOp<string mnemonic, list<string> buildMethods = []>
    : Graph_InferredResultsOp<mnemonic, [Graph_Library], buildMethods> {
  let results = (outs Graph_Tensor:$values, Graph_IndexTensor:$indices);
}

def Graph_SortOp : Graph_OrderOp<"sort"> {
  let summary = "rows in order, and the position each element had";
  let description = [{
    With `stable` equal elements keep their order, under `descending` as well; without, they
    come in the order PyTorch's algorithm leaves them in.

    Example:
    ```mlir
    %1:2 = graph.sort %0 dim = 1 {descending, stable}
           : (tensor<8x512xf32>) -> (tensor<8x512xf32>, tensor<8x512xi64>)
    ```
  }];
  let arguments = (ins
    Graph_Tensor:$operand, I64Attr:$dim, UnitAttr:$descending, UnitAttr:$stable);
  let assemblyFormat = [{
    $operand `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_TopkOp : Graph_OrderOp<"topk"> {
  let summary = "the k greatest (or smallest) elements of rows, and their positions";
  let description = [{
    Without `sorted` they come in any order. Which of several equal elements is taken, and
    in what order they come, is PyTorch's choice, not the first.

    Example:
    ```mlir
    %1:2 = graph.topk %0 dim = 1, k = 5 {sorted}
           : (tensor<8x512xf32>) -> (tensor<8x5xf32>, tensor<8x5xi64>)
    ```
  }];
  let arguments = (ins
    Graph_Tensor:$operand, I64Attr:$dim, I64Attr:$k, UnitAttr:$smallest, UnitAttr:$sorted);
  let assemblyFormat = [{
    $operand `dim` `=` $dim `,` `k` `=` $k attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_OrderStatisticOp : Graph_OrderOp<"order_statistic", ["coerceAttribute"]> {
  let summary = "one element of each row by its rank, and its position";
  let description = [{
    `kth` is the k-th smallest, counted from 1; `median` the lower of two middle elements, or
    the first NaN; `nanmedian` looks at numbers alone where there are any; `mode` is the
    smallest of the most frequent elements. Of several equal elements the position is
    PyTorch's choice. `dim` keeps the size one.

    Example:
    ```mlir
    %1:2 = graph.order_statistic median %0 dim = 1
           : (tensor<8x512xf32>) -> (tensor<8x1xf32>, tensor<8x1xi64>)
    ```
  }];
  let arguments = (ins
    Graph_StatisticAttr:$kind, Graph_Tensor:$operand, I64Attr:$dim,
    DefaultValuedAttr<I64Attr, "1">:$k);
  let assemblyFormat = [{
    `` $kind $operand `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_RunningExtremumOp : Graph_OrderOp<"running_extremum", ["coerceAttribute"]> {
  let summary = "the greatest (or smallest) element so far, and its position";
  let description = [{
    The last of equal elements wins, and a NaN wins for the rest of its row.

    Example:
    ```mlir
    %1:2 = graph.running_extremum max %0 dim = 1
           : (tensor<8x512xf32>) -> (tensor<8x512xf32>, tensor<8x512xi64>)
    ```
  }];
  let arguments = (ins Graph_ArgReduceKindAttr:$kind, Graph_Tensor:$operand, I64Attr:$dim);
  let assemblyFormat = [{
    `` $kind $operand `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_SearchSortedOp : Graph_InferredOp<"search_sorted", [Graph_Library]> {
  let summary = "where values would be inserted into sorted rows";
  let description = [{
    Both operands agree in all dimensions but the last, along which `sequence` is sorted. The
    result is the number of its elements smaller than the value, with `right` not greater.

    Example:
    ```mlir
    %2 = graph.search_sorted %0, %1 {right}
         : (tensor<8x512xf32>, tensor<8x3xf32>) -> tensor<8x3xi64>
    ```
  }];
  let arguments = (ins Graph_Tensor:$sequence, Graph_Tensor:$values, UnitAttr:$right);
  let results = (outs Graph_IndexTensor:$result);
  let assemblyFormat = [{
    $sequence `,` $values attr-dict `:` functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_SORTING
