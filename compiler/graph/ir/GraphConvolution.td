//===- GraphConvolution.td - products of sliding windows ---*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_CONVOLUTION
#define TESSERA_GRAPH_CONVOLUTION

include "compiler/graph/ir/GraphBase.td"

def Graph_ConvolutionOp : Graph_InferredOp<"convolution"> {
  let summary = "sums of products of windows with kernels, over any number of spatial dimensions";
  let description = [{
    input is [N, C, spatial…] and weight [O, C / groups, kernel…]; output channel o reads
    the input channels of group o / (O / groups). `stride` and `dilation` have one entry a
    spatial dimension, and so have `padding_low` and `padding_high`, the zeros before and
    after it. Kernels are not flipped. f16 and bf16 are accumulated in f32, integers wrap.

    With `channels_last` input and result are [N, spatial…, C]; weight stays as it is.

    Example:
    ```mlir
    %2 = graph.convolution %0, %1 stride = [2, 2], padding_low = [1, 1],
         padding_high = [1, 1], dilation = [1, 1], groups = 1
         : (tensor<1x64x56x56xf32>, tensor<128x64x3x3xf32>) -> tensor<1x128x28x28xf32>
    ```
  }];
  let arguments = (ins
    Graph_NumericTensor:$input, Graph_NumericTensor:$weight,
    DenseI64ArrayAttr:$stride, DenseI64ArrayAttr:$padding_low, DenseI64ArrayAttr:$padding_high,
    DenseI64ArrayAttr:$dilation, I64Attr:$groups, UnitAttr:$channels_last);
  let results = (outs Graph_NumericTensor:$result);
  let assemblyFormat = [{
    $input `,` $weight `stride` `=` $stride `,` `padding_low` `=` $padding_low `,`
    `padding_high` `=` $padding_high `,` `dilation` `=` $dilation `,` `groups` `=` $groups
    attr-dict `:` functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_CONVOLUTION
