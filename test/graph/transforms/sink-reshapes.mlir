// RUN: tessera-opt --tessera-graph-sink-reshapes %s | FileCheck %s

// CHECK-LABEL: @chain
// CHECK-SAME: %[[A:.*]]: tensor<8x32xf32>, %[[W:.*]]: tensor<32x64xf32>, %[[B:.*]]: tensor<64xf32>, %[[V:.*]]: tensor<64x16xf32>
// CHECK-NEXT: %[[M:.*]] = graph.matmul %[[A]], %[[W]]
// CHECK-NEXT: %[[S:.*]] = graph.add %[[M]], %[[B]] : (tensor<8x64xf32>, tensor<64xf32>) -> tensor<8x64xf32>
// CHECK-NEXT: %[[G:.*]] = graph.gelu %[[S]] : tensor<8x64xf32>
// CHECK-NEXT: %[[P:.*]] = graph.matmul %[[G]], %[[V]]
// CHECK-NEXT: return %[[P]]
func.func @chain(%a: tensor<8x32xf32>, %w: tensor<32x64xf32>, %b: tensor<64xf32>, %v: tensor<64x16xf32>) -> tensor<8x16xf32> {
  %0 = graph.matmul %a, %w : (tensor<8x32xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
  %1 = graph.reshape %0 shape = [2, 4, 64] : (tensor<8x64xf32>) -> tensor<2x4x64xf32>
  %2 = graph.add %1, %b : (tensor<2x4x64xf32>, tensor<64xf32>) -> tensor<2x4x64xf32>
  %3 = graph.gelu %2 : tensor<2x4x64xf32>
  %4 = graph.reshape %3 shape = [8, 64] : (tensor<2x4x64xf32>) -> tensor<8x64xf32>
  %5 = graph.matmul %4, %v : (tensor<8x64xf32>, tensor<64x16xf32>) -> tensor<8x16xf32>
  return %5 : tensor<8x16xf32>
}

// The residual follows in a reshape of its own; ones before trailing dims go; the normalization's
// dim is counted anew.
// CHECK-LABEL: @residual
// CHECK-SAME: %[[A:.*]]: tensor<8x32xf32>, %[[X:.*]]: tensor<2x4x32xf32>, %[[B:.*]]: tensor<1x1x32xf32>
// CHECK: %[[M:.*]] = graph.matmul %[[A]], %{{.*}} : (tensor<8x32xf32>, tensor<32x32xf32>)
// CHECK: %[[R:.*]] = graph.reshape %[[X]] shape = [8, 32]
// CHECK: %[[S:.*]] = graph.add %[[M]], %[[R]] : tensor<8x32xf32>
// CHECK: %[[T:.*]] = graph.reshape %[[B]] shape = [32]
// CHECK: %[[U:.*]] = graph.mul %[[S]], %[[T]] : (tensor<8x32xf32>, tensor<32xf32>) -> tensor<8x32xf32>
// CHECK: %[[N:.*]] = graph.softmax %[[U]] dim = 1 : tensor<8x32xf32>
// CHECK: %[[O:.*]] = graph.reshape %[[N]] shape = [2, 4, 32]
// CHECK: return %[[O]]
func.func @residual(%a: tensor<8x32xf32>, %x: tensor<2x4x32xf32>, %b: tensor<1x1x32xf32>) -> tensor<2x4x32xf32> {
  %0 = graph.matmul %a, %a {transpose_a} : (tensor<8x32xf32>, tensor<8x32xf32>) -> tensor<32x32xf32>
  %1 = graph.matmul %a, %0 : (tensor<8x32xf32>, tensor<32x32xf32>) -> tensor<8x32xf32>
  %2 = graph.reshape %1 shape = [2, 4, 32] : (tensor<8x32xf32>) -> tensor<2x4x32xf32>
  %3 = graph.add %2, %x : tensor<2x4x32xf32>
  %4 = graph.mul %3, %b : (tensor<2x4x32xf32>, tensor<1x1x32xf32>) -> tensor<2x4x32xf32>
  %5 = graph.softmax %4 dim = 2 : tensor<2x4x32xf32>
  return %5 : tensor<2x4x32xf32>
}

// CHECK-LABEL: @raise_norm
// CHECK-NEXT: %[[R:.*]] = graph.reshape %{{.*}} shape = [8, 32]
// CHECK-NEXT: %[[N:.*]] = graph.layer_norm %[[R]] weight %{{.*}} axes = 1, eps = 1.250000e-01 : (tensor<8x32xf32>, tensor<32xf32>) -> tensor<8x32xf32>
// CHECK-NEXT: %[[A:.*]] = graph.matmul %[[N]]
// CHECK-NEXT: %[[B:.*]] = graph.matmul %[[N]]
// CHECK-NEXT: return %[[A]], %[[B]]
func.func @raise_norm(%x: tensor<2x4x32xf32>, %g: tensor<32xf32>, %w: tensor<32x64xf32>) -> (tensor<8x64xf32>, tensor<8x64xf32>) {
  %0 = graph.layer_norm %x weight %g axes = 1, eps = 1.25e-1 : (tensor<2x4x32xf32>, tensor<32xf32>) -> tensor<2x4x32xf32>
  %1 = graph.reshape %0 shape = [8, 32] : (tensor<2x4x32xf32>) -> tensor<8x32xf32>
  %2 = graph.matmul %1, %w : (tensor<8x32xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
  %3 = graph.reshape %0 shape = [8, 32] : (tensor<2x4x32xf32>) -> tensor<8x32xf32>
  %4 = graph.matmul %3, %w : (tensor<8x32xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
  return %2, %4 : tensor<8x64xf32>, tensor<8x64xf32>
}

// What must stay: a reshape of trailing dims, a normalization over a dim that is split, an operand
// whose reshape would copy, one that broadcasts along a dim that is split.
// CHECK-LABEL: @stays
// CHECK: graph.exp %{{.*}} : tensor<8x8x4xf32>
// CHECK: graph.softmax %{{.*}} dim = 1 : tensor<2x4x32xf32>
// CHECK: graph.add %{{.*}} : tensor<2x4x32xf32>
// CHECK: graph.add %{{.*}} : (tensor<2x4x32xf32>, tensor<4x1xf32>) -> tensor<2x4x32xf32>
func.func @stays(%a: tensor<8x32xf32>, %w: tensor<32x32xf32>, %x: tensor<4x2x32xf32>, %y: tensor<4x1xf32>) -> (tensor<8x8x4xf32>, tensor<2x4x32xf32>, tensor<2x4x32xf32>, tensor<2x4x32xf32>) {
  %0 = graph.matmul %a, %w : (tensor<8x32xf32>, tensor<32x32xf32>) -> tensor<8x32xf32>
  %1 = graph.reshape %0 shape = [8, 8, 4] : (tensor<8x32xf32>) -> tensor<8x8x4xf32>
  %2 = graph.exp %1 : tensor<8x8x4xf32>
  %3 = graph.reshape %0 shape = [2, 4, 32] : (tensor<8x32xf32>) -> tensor<2x4x32xf32>
  %4 = graph.softmax %3 dim = 1 : tensor<2x4x32xf32>
  %5 = graph.permute %x dims = [1, 0, 2] : (tensor<4x2x32xf32>) -> tensor<2x4x32xf32>
  %6 = graph.add %3, %5 : tensor<2x4x32xf32>
  %7 = graph.add %3, %y : (tensor<2x4x32xf32>, tensor<4x1xf32>) -> tensor<2x4x32xf32>
  return %2, %4, %6, %7 : tensor<8x8x4xf32>, tensor<2x4x32xf32>, tensor<2x4x32xf32>, tensor<2x4x32xf32>
}

// What follows a reduction stays its epilogue, in its shape, also in front of a product.
// CHECK-LABEL: @after_reduction
// CHECK: %[[R:.*]] = graph.reduce sum
// CHECK: %[[M:.*]] = graph.mul %[[R]], %{{.*}} -> tensor<2x7x7x16xf32>
// CHECK: %[[A:.*]] = graph.reshape %[[M]] shape = [98, 16]
// CHECK: graph.matmul %[[A]]
func.func @after_reduction(%x: tensor<2x7x7x9x16xf32>, %w: tensor<16x8xf32>) -> tensor<98x8xf32> {
  %c = graph.constant dense<0.111111112> : tensor<f32>
  %0 = graph.reduce sum %x dims = [3] : (tensor<2x7x7x9x16xf32>) -> tensor<2x7x7x16xf32>
  %1 = graph.mul %0, %c : (tensor<2x7x7x16xf32>, tensor<f32>) -> tensor<2x7x7x16xf32>
  %2 = graph.reshape %1 shape = [98, 16] : (tensor<2x7x7x16xf32>) -> tensor<98x16xf32>
  %3 = graph.matmul %2, %w : (tensor<98x16xf32>, tensor<16x8xf32>) -> tensor<98x8xf32>
  return %3 : tensor<98x8xf32>
}

// A residual from before in another shape does not pull the sum out of the product's kernel.
// CHECK-LABEL: @earlier_residual
// CHECK: %[[T:.*]] = graph.tanh %{{.*}} : tensor<1x7x7x16xf32>
// CHECK: %[[R:.*]] = graph.reshape %[[T]] shape = [49, 16]
// CHECK: %[[M:.*]] = graph.matmul
// CHECK: graph.add %[[R]], %[[M]] : tensor<49x16xf32>
func.func @earlier_residual(%x: tensor<1x7x7x16xf32>, %y: tensor<49x8xf32>, %w: tensor<8x16xf32>) -> tensor<49x16xf32> {
  %0 = graph.tanh %x : tensor<1x7x7x16xf32>
  %1 = graph.reshape %0 shape = [49, 16] : (tensor<1x7x7x16xf32>) -> tensor<49x16xf32>
  %2 = graph.matmul %y, %w : (tensor<49x8xf32>, tensor<8x16xf32>) -> tensor<49x16xf32>
  %3 = graph.add %1, %2 : tensor<49x16xf32>
  return %3 : tensor<49x16xf32>
}

// What rounds a value that others read as it is stays in its shape: one kernel stores both.
// CHECK-LABEL: @rounded
// CHECK:         %[[A:.*]] = graph.add %arg0, %arg1 : tensor<2x4x16xf32>
// CHECK:         %[[B:.*]] = graph.cast %[[A]] to bf16 : (tensor<2x4x16xf32>) -> tensor<2x4x16xbf16>
// CHECK:         %[[R:.*]] = graph.reshape %[[B]] shape = [8, 16]
// CHECK:         graph.matmul %[[R]]
func.func @rounded(%x: tensor<2x4x16xf32>, %y: tensor<2x4x16xf32>, %w: tensor<16x16xbf16>) -> (tensor<8x16xbf16>, tensor<2x4x16xf32>) {
  %0 = graph.add %x, %y : tensor<2x4x16xf32>
  %1 = graph.cast %0 to bf16 : (tensor<2x4x16xf32>) -> tensor<2x4x16xbf16>
  %2 = graph.reshape %1 shape = [8, 16] : (tensor<2x4x16xbf16>) -> tensor<8x16xbf16>
  %3 = graph.matmul %2, %w : (tensor<8x16xbf16>, tensor<16x16xbf16>) -> tensor<8x16xbf16>
  return %3, %0 : tensor<8x16xbf16>, tensor<2x4x16xf32>
}
