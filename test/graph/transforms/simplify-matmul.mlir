// RUN: tessera-opt --tessera-graph-simplify %s | FileCheck %s

// CHECK-LABEL: @transposes
// CHECK-SAME: %[[A:.*]]: tensor<32x8xf32>, %[[B:.*]]: tensor<32x64xf32>
// CHECK-NEXT: %[[R:.*]] = graph.matmul %[[A]], %[[B]] {transpose_a} : (tensor<32x8xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
// CHECK-NEXT: return %[[R]]
func.func @transposes(%a: tensor<32x8xf32>, %b: tensor<32x64xf32>) -> tensor<8x64xf32> {
  %0 = graph.permute %a dims = [1, 0] : (tensor<32x8xf32>) -> tensor<8x32xf32>
  %1 = graph.permute %b dims = [1, 0] : (tensor<32x64xf32>) -> tensor<64x32xf32>
  %2 = graph.matmul %0, %1 {transpose_b} : (tensor<8x32xf32>, tensor<64x32xf32>) -> tensor<8x64xf32>
  return %2 : tensor<8x64xf32>
}

// Only a swap of the last two dims is a transpose.
// CHECK-LABEL: @batch_permute
// CHECK: graph.permute
// CHECK: graph.matmul
func.func @batch_permute(%a: tensor<4x2x8xf32>, %b: tensor<2x8x3xf32>) -> tensor<2x4x3xf32> {
  %0 = graph.permute %a dims = [1, 0, 2] : (tensor<4x2x8xf32>) -> tensor<2x4x8xf32>
  %1 = graph.matmul %0, %b : (tensor<2x4x8xf32>, tensor<2x8x3xf32>) -> tensor<2x4x3xf32>
  return %1 : tensor<2x4x3xf32>
}

// CHECK-LABEL: @leading_dims
// CHECK-SAME: %[[A:.*]]: tensor<2x4x8xf32>, %[[B:.*]]: tensor<3x8xf32>
// CHECK-NEXT: %[[F:.*]] = graph.reshape %[[A]] shape = [8, 8]
// CHECK-NEXT: %[[M:.*]] = graph.matmul %[[F]], %[[B]] {transpose_b} : (tensor<8x8xf32>, tensor<3x8xf32>) -> tensor<8x3xf32>
// CHECK-NEXT: %[[R:.*]] = graph.reshape %[[M]] shape = [2, 4, 3]
// CHECK-NEXT: return %[[R]]
func.func @leading_dims(%a: tensor<2x4x8xf32>, %b: tensor<3x8xf32>) -> tensor<2x4x3xf32> {
  %0 = graph.matmul %a, %b {transpose_b} : (tensor<2x4x8xf32>, tensor<3x8xf32>) -> tensor<2x4x3xf32>
  return %0 : tensor<2x4x3xf32>
}

// CHECK-LABEL: @real_batch
// CHECK-NEXT: graph.matmul
// CHECK-NEXT: return
func.func @real_batch(%a: tensor<2x4x8xf32>, %b: tensor<2x8x3xf32>) -> tensor<2x4x3xf32> {
  %0 = graph.matmul %a, %b : (tensor<2x4x8xf32>, tensor<2x8x3xf32>) -> tensor<2x4x3xf32>
  return %0 : tensor<2x4x3xf32>
}
