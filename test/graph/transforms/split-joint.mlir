// RUN: tessera-opt --tessera-graph-split-joint %s | FileCheck %s --check-prefixes=BOTH,AUTO
// RUN: tessera-opt --tessera-graph-split-joint=rematerialize=none %s | FileCheck %s --check-prefixes=BOTH,NONE
// RUN: tessera-opt --tessera-graph-split-joint=rematerialize=full %s | FileCheck %s --check-prefixes=BOTH,FULL

// gelu(x w) w' and its gradients. Products are not computed twice, unless all is. The derivative of
// gelu is computed from what gelu reads, on the way, so that needs no saving; what a product reads
// does.

// BOTH-LABEL: func.func @forward(
// BOTH-SAME: graph.name = "x"
// AUTO-SAME: -> (tensor<2x4xf32> {graph.contiguous}, tensor<2x16xf32>, tensor<2x16xf32>)
// AUTO: %[[H:.*]] = graph.matmul
// AUTO: %[[G:.*]] = graph.gelu %[[H]]
// AUTO-NOT: graph.erf
// AUTO: %[[Y:.*]] = graph.matmul %[[G]]
// AUTO-NEXT: return %[[Y]], %[[H]], %[[G]]
// NONE: %[[H:.*]] = graph.matmul
// NONE: %[[G:.*]] = graph.gelu %[[H]]
// NONE: %[[Y:.*]] = graph.matmul %[[G]]
// NONE: %[[E:.*]] = graph.erf %[[H]]
// NONE-NEXT: return %[[Y]], %[[G]], %[[E]]
// FULL-SAME: -> (tensor<2x4xf32> {graph.contiguous})
// FULL: return %{{.*}} : tensor<2x4xf32>

// BOTH-LABEL: func.func @backward(
// AUTO-SAME: %[[X:.*]]: tensor<2x8xf32> {graph.argument = 0 : i64}, %[[H:.*]]: tensor<2x16xf32> {graph.saved = 1 : i64}, %[[G:.*]]: tensor<2x16xf32> {graph.saved = 2 : i64}, %[[T:.*]]: tensor<2x4xf32> {graph.argument = 1 : i64}
// AUTO-SAME: -> (tensor<8x16xf32> {graph.contiguous}, tensor<16x4xf32>)
// AUTO: graph.matmul %[[G]], %[[T]] {transpose_a}
// AUTO: graph.erf %[[H]]
// NONE-NOT: graph.erf
// FULL-SAME: %[[X:.*]]: tensor<2x8xf32> {graph.argument = 0 : i64}, %[[T:.*]]: tensor<2x4xf32> {graph.argument = 1 : i64}
// FULL: graph.matmul %[[X]]
// FULL: graph.gelu
// FULL: graph.erf
func.func @main(%x: tensor<2x8xf32> {graph.name = "x"}, %t: tensor<2x4xf32> {graph.name = "t"})
    -> (tensor<2x4xf32> {graph.contiguous}, tensor<8x16xf32> {graph.contiguous}, tensor<16x4xf32>)
    attributes {graph.joint = array<i64: 1, 1>} {
  %w = graph.parameter "w" : tensor<8x16xf32>
  %v = graph.parameter "v" : tensor<16x4xf32>
  %h = graph.matmul %x, %w : (tensor<2x8xf32>, tensor<8x16xf32>) -> tensor<2x16xf32>
  %g = graph.gelu %h : tensor<2x16xf32>
  %y = graph.matmul %g, %v : (tensor<2x16xf32>, tensor<16x4xf32>) -> tensor<2x4xf32>
  %dv = graph.matmul %g, %t {transpose_a} : (tensor<2x16xf32>, tensor<2x4xf32>) -> tensor<16x4xf32>
  %dg = graph.matmul %t, %v {transpose_b} : (tensor<2x4xf32>, tensor<16x4xf32>) -> tensor<2x16xf32>
  %e = graph.erf %h : tensor<2x16xf32>
  %dh = graph.mul %e, %dg : tensor<2x16xf32>
  %dw = graph.matmul %x, %dh {transpose_a} : (tensor<2x8xf32>, tensor<2x16xf32>) -> tensor<8x16xf32>
  return %y, %dw, %dv : tensor<2x4xf32>, tensor<8x16xf32>, tensor<16x4xf32>
}

