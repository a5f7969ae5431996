// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule))' -split-input-file | FileCheck %s

// The bits join the kernel of what uses them, and keys out of one tensor are views that cost nothing.

// CHECK-LABEL: func.func @dropout
// CHECK: %[[KEY:.*]] = schedule.view %arg1 offset 3 strides []
// CHECK: schedule.kernel elementwise(%[[KEY]], %arg0)
// CHECK-SAME: -> tensor<64x128xf32>
// CHECK: graph.random_bits
// CHECK: graph.compare
// CHECK: graph.mul
// CHECK-NOT: schedule.kernel
func.func @dropout(%x: tensor<64x128xf32>, %keys: tensor<5xi64>) -> tensor<64x128xf32> {
  %0 = graph.slice %keys starts = [3], limits = [4], steps = [1] : (tensor<5xi64>) -> tensor<1xi64>
  %key = graph.reshape %0 shape = [] : (tensor<1xi64>) -> tensor<i64>
  %bits = graph.random_bits %key shape = [64, 128], dtype = i32 : (tensor<i64>) -> tensor<64x128xi32>
  %limit = graph.constant dense<0> : tensor<i32>
  %keep = graph.compare lt %bits, %limit : (tensor<64x128xi32>, tensor<i32>) -> tensor<64x128xi1>
  %factor = graph.cast %keep to f32 : (tensor<64x128xi1>) -> tensor<64x128xf32>
  %y = graph.mul %x, %factor : tensor<64x128xf32>
  return %y : tensor<64x128xf32>
}

// -----

// Bits behind a product are drawn in its epilogue; a mask that others read is stored, not drawn twice.

// CHECK-LABEL: func.func @epilogue
// CHECK: schedule.kernel contraction
// CHECK-SAME: -> (tensor<64x128xi1>, tensor<64x128xf32>)
// CHECK: graph.random_bits
// CHECK-NOT: graph.random_bits
func.func @epilogue(%x: tensor<64x32xf32>, %w: tensor<32x128xf32>, %key: tensor<i64>) -> (tensor<64x128xf32>, tensor<64x128xi1>) {
  %0 = graph.matmul %x, %w : (tensor<64x32xf32>, tensor<32x128xf32>) -> tensor<64x128xf32>
  %bits = graph.random_bits %key shape = [64, 128], dtype = i32 : (tensor<i64>) -> tensor<64x128xi32>
  %limit = graph.constant dense<0> : tensor<i32>
  %keep = graph.compare lt %bits, %limit : (tensor<64x128xi32>, tensor<i32>) -> tensor<64x128xi1>
  %factor = graph.cast %keep to f32 : (tensor<64x128xi1>) -> tensor<64x128xf32>
  %y = graph.mul %0, %factor : tensor<64x128xf32>
  return %y, %keep : tensor<64x128xf32>, tensor<64x128xi1>
}

// -----

// Rows reshaped behind the bits stay behind them: an element's number is its place in this shape.

// CHECK-LABEL: func.func @moved
// CHECK: graph.random_bits {{.*}} shape = [4, 6]
// CHECK: schedule.view {{.*}} strides [1, 6] {{.*}} to tensor<6x4xi32>
func.func @moved(%key: tensor<i64>) -> tensor<6x4xi32> {
  %bits = graph.random_bits %key shape = [4, 6], dtype = i32 : (tensor<i64>) -> tensor<4x6xi32>
  %0 = graph.permute %bits dims = [1, 0] : (tensor<4x6xi32>) -> tensor<6x4xi32>
  return %0 : tensor<6x4xi32>
}
