//===- Passes.td - passes of the graph level ---------------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_PASSES
#define TESSERA_GRAPH_PASSES

include "mlir/Pass/PassBase.td"

def GraphSimplify : Pass<"tessera-graph-simplify", "mlir::func::FuncOp"> {
  let summary = "Removes what changes nothing and merges what is one";
  let description = [{
    Movement that cancels or composes, arithmetic with neutral elements (only where it
    is exact, -0.0 and NaN included), elementwise ops on constants, transposes before
    matrix products. Unused ops go as well.

    Before:
    ```mlir
    %0 = graph.permute %b dims = [1, 0] : (tensor<64x32xf32>) -> tensor<32x64xf32>
    %1 = graph.matmul %a, %0 : (tensor<8x32xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
    %2 = graph.reshape %1 shape = [2, 4, 64] : (tensor<8x64xf32>) -> tensor<2x4x64xf32>
    %3 = graph.reshape %2 shape = [8, 64] : (tensor<2x4x64xf32>) -> tensor<8x64xf32>
    ```
    After:
    ```mlir
    %1 = graph.matmul %a, %b {transpose_b}
         : (tensor<8x32xf32>, tensor<64x32xf32>) -> tensor<8x64xf32>
    ```
  }];
}

def GraphRecognize : Pass<"tessera-graph-recognize", "mlir::func::FuncOp"> {
  let summary = "Finds ops that were written by hand";
  let description = [{
    Attention, GELU, SiLU, sigmoid, softmax, layer and RMS normalization written as
    elementwise ops and reductions become the one op that a kernel exists for. Run
    `tessera-graph-simplify` before: the patterns expect its forms.

    Before:
    ```mlir
    %0 = graph.sigmoid %x : tensor<8xf32>
    %1 = graph.mul %x, %0 : tensor<8xf32>
    ```
    After:
    ```mlir
    %1 = graph.silu %x : tensor<8xf32>
    ```
  }];
}

def GraphSinkReshapes : Pass<"tessera-graph-sink-reshapes", "mlir::func::FuncOp"> {
  let summary = "Moves reshapes of leading dimensions out of chains that can be fused";
  let description = [{
    A reshape that keeps trailing dimensions goes below the elementwise ops and the
    normalizations over these trailing dimensions that follow a computation, and above
    those that precede a matrix product, so that producer and consumer have one shape.

    Before:
    ```mlir
    %0 = graph.matmul %a, %b : (tensor<8x32xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
    %1 = graph.reshape %0 shape = [2, 4, 64] : (tensor<8x64xf32>) -> tensor<2x4x64xf32>
    %2 = graph.gelu %1 : tensor<2x4x64xf32>
    ```
    After:
    ```mlir
    %0 = graph.matmul %a, %b : (tensor<8x32xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
    %1 = graph.gelu %0 : tensor<8x64xf32>
    %2 = graph.reshape %1 shape = [2, 4, 64] : (tensor<8x64xf32>) -> tensor<2x4x64xf32>
    ```
  }];
}

def GraphSinkPermutes : Pass<"tessera-graph-sink-permutes", "mlir::func::FuncOp"> {
  let summary = "Moves permutes and reshapes of rows below what treats all rows alike";
  let description = [{
    A product with one matrix and elementwise ops do not care about the order of rows, so
    the permutes that attention modules put around every projection come after it, where
    they meet their inverse or become a layout.

    Before:
    ```mlir
    %0 = graph.permute %x dims = [1, 0, 2] : (tensor<4x8x32xf32>) -> tensor<8x4x32xf32>
    %1 = graph.matmul %0, %w : (tensor<8x4x32xf32>, tensor<32x64xf32>) -> tensor<8x4x64xf32>
    ```
    After:
    ```mlir
    %0 = graph.matmul %x, %w : (tensor<4x8x32xf32>, tensor<32x64xf32>) -> tensor<4x8x64xf32>
    %1 = graph.permute %0 dims = [1, 0, 2] : (tensor<4x8x64xf32>) -> tensor<8x4x64xf32>
    ```
  }];
}

#endif // TESSERA_GRAPH_PASSES
