//===- GraphMovement.td - elements move, nothing is computed *- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_MOVEMENT
#define TESSERA_GRAPH_MOVEMENT

include "compiler/graph/ir/GraphBase.td"

class Graph_MovementOp<string mnemonic> : Graph_InferredOp<mnemonic, [Graph_Movement]>;

def Graph_ReshapeOp : Graph_MovementOp<"reshape"> {
  let summary = "the same elements in row-major order under another shape";
  let description = [{
    In `shape`, -1 stands for a size known only at run time.

    Example:
    ```mlir
    %1 = graph.reshape %0 shape = [8, 16, 32] : (tensor<8x512xf32>) -> tensor<8x16x32xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, DenseI64ArrayAttr:$shape);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $operand `shape` `=` $shape attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_PermuteOp : Graph_MovementOp<"permute"> {
  let summary = "dimensions in another order";
  let description = [{
    Dimension i of the result is dimension `dims[i]` of the operand.

    Example:
    ```mlir
    %1 = graph.permute %0 dims = [0, 2, 1] : (tensor<8x16x32xf32>) -> tensor<8x32x16xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, DenseI64ArrayAttr:$dims);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $operand `dims` `=` $dims attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_BroadcastOp : Graph_MovementOp<"broadcast"> {
  let summary = "repetition along new dimensions and dimensions of size one";
  let description = [{
    NumPy's rule: shapes are aligned at their last dimension. In `shape`, -1 stands
    for a size known only at run time.

    Example:
    ```mlir
    %1 = graph.broadcast %0 shape = [8, 512] : (tensor<512xf32>) -> tensor<8x512xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, DenseI64ArrayAttr:$shape);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $operand `shape` `=` $shape attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_SliceOp : Graph_MovementOp<"slice"> {
  let summary = "every step-th element from start up to, not including, limit";
  let description = [{
    One start, limit and step a dimension; steps are positive.

    Example:
    ```mlir
    %1 = graph.slice %0 starts = [0, 1], limits = [8, 7], steps = [1, 2]
         : (tensor<8x9xf32>) -> tensor<8x3xf32>
    ```
  }];
  let arguments = (ins
    Graph_Tensor:$operand,
    DenseI64ArrayAttr:$starts, DenseI64ArrayAttr:$limits, DenseI64ArrayAttr:$steps);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $operand `starts` `=` $starts `,` `limits` `=` $limits `,` `steps` `=` $steps attr-dict `:`
    functional-type(operands, results)
  }];
}

def Graph_ConcatOp : Graph_MovementOp<"concat"> {
  let summary = "tensors one after another along a dimension";
  let description = [{
    Example:
    ```mlir
    %2 = graph.concat %0, %1 dim = 1
         : (tensor<8x3xf32>, tensor<8x5xf32>) -> tensor<8x8xf32>
    ```
  }];
  let arguments = (ins Variadic<Graph_Tensor>:$inputs, I64Attr:$dim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $inputs `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_PadOp : Graph_MovementOp<"pad"> {
  let summary = "a border of one value before and after each dimension";
  let description = [{
    `low` and `high` have one amount a dimension; a negative amount crops.

    Example:
    ```mlir
    %2 = graph.pad %0, %1 low = [0, 1], high = [0, -2]
         : (tensor<8x9xf32>, tensor<f32>) -> tensor<8x8xf32>
    ```
  }];
  let arguments = (ins
    Graph_Tensor:$operand, Graph_Tensor:$value, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $operand `,` $value `low` `=` $low `,` `high` `=` $high attr-dict `:`
    functional-type(operands, results)
  }];
}

def Graph_ReverseOp : Graph_MovementOp<"reverse"> {
  let summary = "the order of elements inverted along some dimensions";
  let description = [{
    Example:
    ```mlir
    %1 = graph.reverse %0 dims = [1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$operand, DenseI64ArrayAttr:$dims);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $operand `dims` `=` $dims attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_WindowOp : Graph_MovementOp<"window"> {
  let summary = "windows that slide along some dimensions";
  let description = [{
    Each of `dims` becomes the number of its windows, and a new last dimension, in the order
    of `dims`, holds a window's elements: window w starts at w·step, and its elements are
    `dilation` apart. Windows may overlap; what fills none at the end is left out.

    Example:
    ```mlir
    %1 = graph.window %0 dims = [1, 2], sizes = [3, 3], steps = [2, 2], dilations = [1, 1]
         : (tensor<8x9x9x16xf32>) -> tensor<8x4x4x16x3x3xf32>
    ```
  }];
  let arguments = (ins
    Graph_Tensor:$operand, DenseI64ArrayAttr:$dims, DenseI64ArrayAttr:$sizes,
    DenseI64ArrayAttr:$steps, DenseI64ArrayAttr:$dilations);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $operand `dims` `=` $dims `,` `sizes` `=` $sizes `,` `steps` `=` $steps `,`
    `dilations` `=` $dilations attr-dict `:` functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_MOVEMENT
