//===- GraphRandom.td - random numbers ----------------------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_RANDOM
#define TESSERA_GRAPH_RANDOM

include "compiler/graph/ir/GraphBase.td"

def Graph_KeyTensor
    : RankedTensorOf<[I64], [HasAnyRankOfPred<[0]>], "0-d tensor">;

def Graph_RandomBitsOp : Graph_InferredOp<"random_bits", [Graph_Positional]> {
  let summary = "uniformly distributed bits, a function of a key and an element's place";
  let description = [{
    Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) keyed by
    the 64 bits of `key`. Nothing but the key and the row-major number of the element decides its
    bits: neither vectors nor threads nor what is computed beside it. Two ops with one key give
    the same numbers, so every use in a program has a key of its own.

    A counter gives four words of 32 bits, and eight counters at a time serve a run of elements:
    element i of i32 is word (i / 8) % 4 of counter 8 * (i / 32) + i % 8; element i of i64 is
    the pair of words 2h (low half) and 2h + 1, h = (i / 8) % 2, of counter 8 * (i / 16) + i % 8.
    Eight neighbours so need one evaluation of eight lanes, and so do the 24 behind them. The
    counter is the low half of Philox's 128 bits; the high half is zero.

    Example:
    ```mlir
    %1 = graph.random_bits %0 shape = [8, 4], dtype = i32 : (tensor<i64>) -> tensor<8x4xi32>
    ```
  }];
  let arguments = (ins Graph_KeyTensor:$key, DenseI64ArrayAttr:$shape, TypeAttr:$dtype);
  let results = (outs RankedTensorOf<[I32, I64]>:$result);
  let assemblyFormat = [{
    $key `shape` `=` $shape `,` `dtype` `=` $dtype attr-dict `:`
    functional-type($key, $result)
  }];
}

def Graph_RequireOp
    : Graph_InferredOp<"require", [Graph_Elementwise], ["coerceAttribute"]> {
  let summary = "the value, where the condition holds; else the call fails";
  let description = [{
    For parameters of distributions that only the call knows: probabilities lie in [0, 1],
    deviations are not negative, weights are finite, not negative and not all zero. An element
    for which the condition does not hold is an error when the program runs.

    Example:
    ```mlir
    %1 = graph.require probability %0, %p : (tensor<8xi1>, tensor<8xf32>) -> tensor<8xf32>
    ```
  }];
  let arguments = (ins Graph_RequirementAttr:$what, Graph_BoolTensor:$condition,
                       Graph_Tensor:$value);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    `` $what $condition `,` $value attr-dict `:` functional-type(operands, $result)
  }];
}

#endif // TESSERA_GRAPH_RANDOM
