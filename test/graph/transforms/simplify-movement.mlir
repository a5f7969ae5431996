// RUN: tessera-opt --tessera-graph-simplify %s | FileCheck %s

// CHECK-LABEL: @identities
// CHECK-SAME: %[[X:.*]]: tensor<2x3x4xf32>
// CHECK-NEXT: return %[[X]]
func.func @identities(%x: tensor<2x3x4xf32>, %v: tensor<f32>) -> tensor<2x3x4xf32> {
  %0 = graph.reshape %x shape = [2, 3, 4] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %1 = graph.permute %0 dims = [0, 1, 2] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %2 = graph.broadcast %1 shape = [2, 3, 4] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %3 = graph.slice %2 starts = [0, 0, 0], limits = [2, 3, 4], steps = [1, 1, 1] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %4 = graph.concat %3 dim = 1 : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %5 = graph.pad %4, %v low = [0, 0, 0], high = [0, 0, 0] : (tensor<2x3x4xf32>, tensor<f32>) -> tensor<2x3x4xf32>
  %6 = graph.reverse %5 dims = [] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %7 = graph.reduce sum %6 dims = [] : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  return %7 : tensor<2x3x4xf32>
}

// A pad that crops on one side and fills on the other keeps the type but not the elements.
// CHECK-LABEL: @shifting_pad
// CHECK: graph.pad
func.func @shifting_pad(%x: tensor<8xf32>, %v: tensor<f32>) -> tensor<8xf32> {
  %0 = graph.pad %x, %v low = [1], high = [-1] : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// Equal types with unknown sizes prove nothing.
// CHECK-LABEL: @dynamic_reshape
// CHECK: graph.reshape
func.func @dynamic_reshape(%x: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %0 = graph.reshape %x shape = [-1, -1] : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// CHECK-LABEL: @merge_reshapes
// CHECK-NEXT: %[[R:.*]] = graph.reshape %{{.*}} shape = [4, 6] : (tensor<2x3x4xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: return %[[R]]
func.func @merge_reshapes(%x: tensor<2x3x4xf32>) -> tensor<4x6xf32> {
  %0 = graph.reshape %x shape = [24] : (tensor<2x3x4xf32>) -> tensor<24xf32>
  %1 = graph.reshape %0 shape = [4, 6] : (tensor<24xf32>) -> tensor<4x6xf32>
  return %1 : tensor<4x6xf32>
}

// CHECK-LABEL: @merge_permutes
// CHECK-NEXT: %[[R:.*]] = graph.permute %{{.*}} dims = [1, 0, 2]
// CHECK-NEXT: return %[[R]]
func.func @merge_permutes(%x: tensor<2x3x4xf32>) -> tensor<3x2x4xf32> {
  %0 = graph.permute %x dims = [2, 0, 1] : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  %1 = graph.permute %0 dims = [2, 1, 0] : (tensor<4x2x3xf32>) -> tensor<3x2x4xf32>
  return %1 : tensor<3x2x4xf32>
}

// CHECK-LABEL: @permute_of_ones
// CHECK-NEXT: graph.reshape %{{.*}} shape = [2, 1, 8] : (tensor<1x2x8xf32>) -> tensor<2x1x8xf32>
func.func @permute_of_ones(%x: tensor<1x2x8xf32>) -> tensor<2x1x8xf32> {
  %0 = graph.permute %x dims = [1, 0, 2] : (tensor<1x2x8xf32>) -> tensor<2x1x8xf32>
  return %0 : tensor<2x1x8xf32>
}

// CHECK-LABEL: @merge_broadcasts
// CHECK-NEXT: graph.broadcast %{{.*}} shape = [2, 3, 4] : (tensor<4xf32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: return
func.func @merge_broadcasts(%x: tensor<4xf32>) -> tensor<2x3x4xf32> {
  %0 = graph.broadcast %x shape = [1, 4] : (tensor<4xf32>) -> tensor<1x4xf32>
  %1 = graph.broadcast %0 shape = [2, 3, 4] : (tensor<1x4xf32>) -> tensor<2x3x4xf32>
  return %1 : tensor<2x3x4xf32>
}

// The second sum needs its broadcasts to have its shape.
// CHECK-LABEL: @drop_broadcast
// CHECK-SAME: %[[X:.*]]: tensor<8x4xf32>, %[[B:.*]]: tensor<4xf32>
// CHECK-NEXT: %[[K:.*]] = graph.broadcast
// CHECK-NEXT: graph.add %[[X]], %[[B]] : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
// CHECK-NEXT: graph.add %[[K]], %[[K]]
func.func @drop_broadcast(%x: tensor<8x4xf32>, %b: tensor<4xf32>) -> (tensor<8x4xf32>, tensor<8x4xf32>) {
  %0 = graph.broadcast %b shape = [8, 4] : (tensor<4xf32>) -> tensor<8x4xf32>
  %1 = graph.add %x, %0 : tensor<8x4xf32>
  %2 = graph.add %0, %0 : tensor<8x4xf32>
  return %1, %2 : tensor<8x4xf32>, tensor<8x4xf32>
}

// CHECK-LABEL: @merge_slices
// CHECK-NEXT: graph.slice %{{.*}} starts = [5], limits = [18], steps = [6] : (tensor<20xf32>) -> tensor<3xf32>
// CHECK-NEXT: return
func.func @merge_slices(%x: tensor<20xf32>) -> tensor<3xf32> {
  %0 = graph.slice %x starts = [2], limits = [19], steps = [3] : (tensor<20xf32>) -> tensor<6xf32>
  %1 = graph.slice %0 starts = [1], limits = [6], steps = [2] : (tensor<6xf32>) -> tensor<3xf32>
  return %1 : tensor<3xf32>
}

// CHECK-LABEL: @flatten_concat
// CHECK-SAME: %[[X:.*]]: tensor<2x3xf32>, %[[E:.*]]: tensor<2x0xf32>
// CHECK-NEXT: graph.concat %[[X]], %[[X]], %[[X]] dim = 1
// CHECK-NEXT: return
func.func @flatten_concat(%x: tensor<2x3xf32>, %e: tensor<2x0xf32>) -> tensor<2x9xf32> {
  %0 = graph.concat %x, %e, %x dim = 1 : (tensor<2x3xf32>, tensor<2x0xf32>, tensor<2x3xf32>) -> tensor<2x6xf32>
  %1 = graph.concat %0, %x dim = 1 : (tensor<2x6xf32>, tensor<2x3xf32>) -> tensor<2x9xf32>
  return %1 : tensor<2x9xf32>
}

// CHECK-LABEL: @merge_reverses
// CHECK-NEXT: graph.reverse %{{.*}} dims = [0]
// CHECK-NEXT: return
func.func @merge_reverses(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = graph.reverse %x dims = [1] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %1 = graph.reverse %0 dims = [0, 1] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return %1 : tensor<2x3xf32>
}

// CHECK-LABEL: @reduce_ones
// CHECK-NEXT: graph.reshape %{{.*}} shape = [8] : (tensor<8x1xf32>) -> tensor<8xf32>
func.func @reduce_ones(%x: tensor<8x1xf32>) -> tensor<8xf32> {
  %0 = graph.reduce max %x dims = [1] : (tensor<8x1xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// An island may have effects: it stays although nobody uses its result.
// CHECK-LABEL: @unused
// CHECK-NEXT: graph.island
// CHECK-NEXT: return
func.func @unused(%x: tensor<8xf32>) {
  %0 = graph.exp %x : tensor<8xf32>
  %1 = graph.island 1 "reason"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  %2 = graph.parameter "unused" : tensor<8xf32>
  return
}
