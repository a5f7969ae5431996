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

def GraphChannelsLast : Pass<"tessera-graph-channels-last", "mlir::func::FuncOp"> {
  let summary = "Gives convolutions, and what follows them, channels as the last dimension";
  let description = [{
    The channels of a pixel then lie side by side: they are the row of a product and the
    lanes of a vector. Every op behind a convolution that can say what it does in that order
    follows it, until the values leave the function or meet an op that cannot.

    Before:
    ```mlir
    %0 = graph.convolution %x, %w stride = [1, 1], … : (tensor<1x16x9x9xf32>, …) -> tensor<1x32x7x7xf32>
    %1 = graph.relu %0 : tensor<1x32x7x7xf32>
    ```
    After:
    ```mlir
    %0 = graph.permute %x dims = [0, 2, 3, 1] : (tensor<1x16x9x9xf32>) -> tensor<1x9x9x16xf32>
    %1 = graph.convolution %0, %w … {channels_last} : (tensor<1x9x9x16xf32>, …) -> tensor<1x7x7x32xf32>
    %2 = graph.relu %1 : tensor<1x7x7x32xf32>
    %3 = graph.permute %2 dims = [0, 3, 1, 2] : (tensor<1x7x7x32xf32>) -> tensor<1x32x7x7xf32>
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

def GraphReducePrecision : Pass<"tessera-graph-reduce-precision", "mlir::func::FuncOp"> {
  let summary = "Rounds the operands of products, convolutions and attention to bf16";
  let description = [{
    In functions with `graph.precision = "bf16"`: operands of f32, and where enough products are
    summed up to gain by it. Sums stay in f32, and so does everything else; a value is rounded
    where it is computed.

    Before:
    ```mlir
    %0 = graph.relu %x : tensor<8x32xf32>
    %1 = graph.matmul %0, %w : (tensor<8x32xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
    ```
    After:
    ```mlir
    %0 = graph.relu %x : tensor<8x32xf32>
    %1 = graph.cast %0 to bf16 : (tensor<8x32xf32>) -> tensor<8x32xbf16>
    %2 = graph.cast %w to bf16 : (tensor<32x64xf32>) -> tensor<32x64xbf16>
    %3 = graph.matmul %1, %2 : (tensor<8x32xbf16>, tensor<32x64xbf16>) -> tensor<8x64xbf16>
    %4 = graph.cast %3 to f32 : (tensor<8x64xbf16>) -> tensor<8x64xf32>
    ```
    A product's result is rounded only where nothing takes it further in the same kernel.
  }];
}

def GraphExpandConvolutions : Pass<"tessera-graph-expand-convolutions", "mlir::func::FuncOp"> {
  let summary = "Turns convolutions into products and sums over views of windows";
  let description = [{
    For every convolution that no kernel of its own computes. Padding and the copy of windows
    side by side are movement, the rest is a product of matrices; with a channel a group that
    the kernels for few channels do not take, products of windows and kernels are summed.

    Before:
    ```mlir
    %0 = graph.convolution %x, %w … {channels_last}
         : (tensor<1x9x9x16xf32>, tensor<32x16x3x3xf32>) -> tensor<1x7x7x32xf32>
    ```
    After:
    ```mlir
    %0 = graph.window %x dims = [1, 2], sizes = [3, 3], … -> tensor<1x7x7x16x3x3xf32>
    %1 = graph.permute %0 dims = [0, 1, 2, 4, 5, 3] : … -> tensor<1x7x7x3x3x16xf32>
    %2 = graph.reshape %1 shape = [49, 144] : … -> tensor<49x144xf32>
    %3 = graph.matmul %2, %columns {transpose_b} : … -> tensor<49x32xf32>
    %4 = graph.reshape %3 shape = [1, 7, 7, 32] : … -> tensor<1x7x7x32xf32>
    ```
  }];
}

def GraphSplitJoint : Pass<"tessera-graph-split-joint", "mlir::ModuleOp"> {
  let summary = "Takes a function with gradients apart into a forward and a backward one";
  let description = [{
    `@main`, with `graph.joint = [results, tangents]`: its first results are the model's, the
    others gradients; its last arguments are the gradients of the model's results. `@forward`
    gives the results and the values that `@backward` needs of it, saved in memory. What is
    cheaper to compute again is not saved: with `rematerialize=auto` elementwise ops whose readers
    compute them on the way, with `full` everything without side effects, with `none` nothing
    but views.

    Before:
    ```mlir
    func.func @main(%x: tensor<8xf32>, %dy: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>)
        attributes {graph.joint = array<i64: 1, 1>} {
      %0 = graph.exp %x : tensor<8xf32>
      %1 = graph.mul %dy, %0 : tensor<8xf32>
      return %0, %1 : tensor<8xf32>, tensor<8xf32>
    }
    ```
    After, with `rematerialize=none`:
    ```mlir
    func.func @forward(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
      %0 = graph.exp %x : tensor<8xf32>
      return %0, %0 : tensor<8xf32>, tensor<8xf32>
    }
    func.func @backward(%0: tensor<8xf32> {graph.saved = 1 : i64},
                        %dy: tensor<8xf32> {graph.argument = 1 : i64}) -> tensor<8xf32> {
      %1 = graph.mul %dy, %0 : tensor<8xf32>
      return %1 : tensor<8xf32>
    }
    ```
  }];
  let options = [
    Option<"rematerialize", "rematerialize", "::tessera::graph::Rematerialize",
           "::tessera::graph::Rematerialize::Auto", "what is computed again",
           [{::llvm::cl::values(
             clEnumValN(::tessera::graph::Rematerialize::Auto, "auto", "what costs nothing"),
             clEnumValN(::tessera::graph::Rematerialize::None, "none", "views only"),
             clEnumValN(::tessera::graph::Rematerialize::Full, "full", "all there is"))}]>];
}

#endif // TESSERA_GRAPH_PASSES
