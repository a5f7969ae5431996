// RUN: tessera-opt %s --tessera-graph-sink-permutes | FileCheck %s

// Rows that are regrouped and permuted alike: below the op they meet what reads them.
// CHECK-LABEL: @regrouped
func.func @regrouped(%x: tensor<4x6x8xf32>, %b: tensor<8xf32>) -> tensor<24x8xf32> {
  // CHECK: %[[E:.*]] = graph.add %{{.*}}, %{{.*}} : (tensor<4x6x8xf32>, tensor<8xf32>) -> tensor<4x6x8xf32>
  // CHECK: graph.permute %[[E]] dims = [1, 0, 2]
  %0 = graph.permute %x dims = [1, 0, 2] : (tensor<4x6x8xf32>) -> tensor<6x4x8xf32>
  %1 = graph.reshape %0 shape = [24, 8] : (tensor<6x4x8xf32>) -> tensor<24x8xf32>
  %2 = graph.add %1, %b : (tensor<24x8xf32>, tensor<8xf32>) -> tensor<24x8xf32>
  return %2 : tensor<24x8xf32>
}

// A single row is the whole and a row at once: its operand is moved with it.
// CHECK-LABEL: @one_row
func.func @one_row(%x: tensor<1x8x1x1xf32>, %c: tensor<f32>) -> tensor<1x8xf32> {
  // CHECK: graph.div
  // CHECK: return
  %0 = graph.permute %x dims = [0, 2, 3, 1] : (tensor<1x8x1x1xf32>) -> tensor<1x1x1x8xf32>
  %1 = graph.reshape %0 shape = [1, 8] : (tensor<1x1x1x8xf32>) -> tensor<1x8xf32>
  %2 = graph.div %1, %c : (tensor<1x8xf32>, tensor<f32>) -> tensor<1x8xf32>
  return %2 : tensor<1x8xf32>
}

// Windows overlap: merging them before the permute would copy them, and again behind it.
// CHECK-LABEL: @windows
func.func @windows(%x: tensor<2x8x10xf32>) -> tensor<2x24x8xf32> {
  // CHECK: %[[W:.*]] = graph.window
  // CHECK: %[[P:.*]] = graph.permute %[[W]] dims = [0, 1, 3, 2]
  // CHECK: graph.reshape %[[P]] shape = [2, 24, 8]
  %0 = graph.window %x dims = [2], sizes = [3], steps = [1], dilations = [1] : (tensor<2x8x10xf32>) -> tensor<2x8x8x3xf32>
  %1 = graph.permute %0 dims = [0, 1, 3, 2] : (tensor<2x8x8x3xf32>) -> tensor<2x8x3x8xf32>
  %2 = graph.reshape %1 shape = [2, 24, 8] : (tensor<2x8x3x8xf32>) -> tensor<2x24x8xf32>
  return %2 : tensor<2x24x8xf32>
}

// Rows of two permutes, of different shapes: neither is better than the other.
// CHECK-LABEL: @two_permutes
func.func @two_permutes(%x: tensor<16x7x2x7x2x96xf32>, %q: tensor<1x1x49x64x96xf32>) -> tensor<1x3136x96xf32> {
  // CHECK: graph.permute
  // CHECK: graph.permute
  // CHECK: graph.add
  // CHECK: return
  %0 = graph.permute %x dims = [0, 2, 4, 1, 3, 5] : (tensor<16x7x2x7x2x96xf32>) -> tensor<16x2x2x7x7x96xf32>
  %1 = graph.reshape %0 shape = [1, 3136, 96] : (tensor<16x2x2x7x7x96xf32>) -> tensor<1x3136x96xf32>
  %2 = graph.permute %q dims = [0, 3, 2, 1, 4] : (tensor<1x1x49x64x96xf32>) -> tensor<1x64x49x1x96xf32>
  %3 = graph.reshape %2 shape = [1, 3136, 96] : (tensor<1x64x49x1x96xf32>) -> tensor<1x3136x96xf32>
  %4 = graph.add %1, %3 : tensor<1x3136x96xf32>
  return %4 : tensor<1x3136x96xf32>
}

// One that declines because of its second operand has done nothing to its first.
// CHECK-LABEL: @declined
func.func @declined(%x: tensor<1x7x4xf32>, %bias: tensor<4x1xf32>) -> tensor<4x7xf32> {
  // CHECK: graph.permute
  // CHECK: graph.reshape
  // CHECK: graph.add
  // CHECK-NEXT: return
  %0 = graph.permute %x dims = [0, 2, 1] : (tensor<1x7x4xf32>) -> tensor<1x4x7xf32>
  %1 = graph.reshape %0 shape = [4, 7] : (tensor<1x4x7xf32>) -> tensor<4x7xf32>
  %2 = graph.add %1, %bias : (tensor<4x7xf32>, tensor<4x1xf32>) -> tensor<4x7xf32>
  return %2 : tensor<4x7xf32>
}
