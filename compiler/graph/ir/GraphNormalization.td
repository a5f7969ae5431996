//===- GraphNormalization.td - normalizations and softmax --*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_NORMALIZATION
#define TESSERA_GRAPH_NORMALIZATION

include "compiler/graph/ir/GraphBase.td"

def Graph_LayerNormOp : Graph_InferredOp<"layer_norm", [Graph_Rows, AttrSizedOperandSegments],
                                        ["getNumOperandGroups", "coerceAttribute"]> {
  let summary = "(x - mean) / sqrt(variance + eps) over the trailing dimensions";
  let description = [{
    The variance is the biased one. `weight` and `bias` have the shape of the
    trailing `axes` dimensions. f16 and bf16 are computed in f32.

    Example:
    ```mlir
    %1 = graph.layer_norm %0 weight %w bias %b axes = 1, eps = 1.0e-5
         : (tensor<8x512xf32>, tensor<512xf32>, tensor<512xf32>) -> tensor<8x512xf32>
    ```
  }];
  let arguments = (ins 
    Graph_FloatTensor:$operand, Optional<Graph_FloatTensor>:$weight,
    Optional<Graph_FloatTensor>:$bias, I64Attr:$axes, F64Attr:$eps);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{
    $operand (`weight` $weight^)? (`bias` $bias^)? `axes` `=` $axes `,` `eps` `=` $eps attr-dict
    `:` functional-type(operands, results)
  }];
}

def Graph_RmsNormOp : Graph_InferredOp<"rms_norm", [Graph_Rows],
                                        ["coerceAttribute"]> {
  let summary = "x / sqrt(mean(x^2) + eps) over the trailing dimensions";
  let description = [{
    `weight` has the shape of the trailing `axes` dimensions.

    Example:
    ```mlir
    %1 = graph.rms_norm %0 weight %w axes = 1, eps = 1.0e-6
         : (tensor<8x512xf32>, tensor<512xf32>) -> tensor<8x512xf32>
    ```
  }];
  let arguments = (ins 
    Graph_FloatTensor:$operand, Optional<Graph_FloatTensor>:$weight, I64Attr:$axes, F64Attr:$eps);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{
    $operand (`weight` $weight^)? `axes` `=` $axes `,` `eps` `=` $eps attr-dict
    `:` functional-type(operands, results)
  }];
}

def Graph_GroupNormOp : Graph_InferredOp<"group_norm", [Graph_Rows, AttrSizedOperandSegments],
                                        ["getNumOperandGroups", "coerceAttribute"]> {
  let summary = "normalization over groups of channels";
  let description = [{
    The operand is [N, C, ...]; each of the `groups` groups of C / groups channels is
    normalized over its channels and all that follow. `weight` and `bias` are [C].

    Example:
    ```mlir
    %1 = graph.group_norm %0 weight %w bias %b groups = 4, eps = 1.0e-5
         : (tensor<2x16x8x8xf32>, tensor<16xf32>, tensor<16xf32>) -> tensor<2x16x8x8xf32>
    ```
  }];
  let arguments = (ins 
    Graph_FloatTensor:$operand, Optional<Graph_FloatTensor>:$weight,
    Optional<Graph_FloatTensor>:$bias, I64Attr:$groups, F64Attr:$eps);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{
    $operand (`weight` $weight^)? (`bias` $bias^)? `groups` `=` $groups `,` `eps` `=` $eps
    attr-dict `:` functional-type(operands, results)
  }];
}

class Graph_SoftmaxLikeOp<string mnemonic, string text>
    : Graph_InferredOp<mnemonic, [Graph_Rows]> {
  let summary = text;
  let description = [{
    Example:
    ```mlir
    %1 = graph.}] # mnemonic # [{ %0 dim = 1 : tensor<8x512xf32>
    ```
  }];
  let arguments = (ins Graph_FloatTensor:$operand, I64Attr:$dim);
  let results = (outs Graph_FloatTensor:$result);
  let assemblyFormat = [{
    $operand `dim` `=` $dim attr-dict `:` custom<ElementwiseTypes>(type($operand), type($result))
  }];
}
def Graph_SoftmaxOp : Graph_SoftmaxLikeOp<"softmax", "exp(x - max) / sum(exp(x - max))">;
def Graph_LogSoftmaxOp : Graph_SoftmaxLikeOp<"log_softmax", "x - max - log(sum(exp(x - max)))">;

#endif // TESSERA_GRAPH_NORMALIZATION
