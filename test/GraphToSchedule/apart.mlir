// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule))' | FileCheck %s

// Why ops are not in the kernel of what they read is noted on their own kernel.

// CHECK-LABEL: func.func @rows
// CHECK:         schedule.kernel contraction(%arg0, %arg1) :
// CHECK:         schedule.kernel rows({{.*}}) {schedule.apart = ["matmul: a row is whole only when all of its tiles are in memory"]}
func.func @rows(%x: tensor<8x16xf32>, %w: tensor<16x32xf32>) -> tensor<8x32xf32> {
  %0 = graph.matmul %x, %w : (tensor<8x16xf32>, tensor<16x32xf32>) -> tensor<8x32xf32>
  %1 = graph.softmax %0 dim = 1 : tensor<8x32xf32>
  return %1 : tensor<8x32xf32>
}

// CHECK-LABEL: func.func @moved
// CHECK:         schedule.kernel elementwise(%arg0) :
// CHECK:         schedule.kernel contraction({{.*}}) {schedule.apart = ["tanh: it is read in another layout"]}
func.func @moved(%x: tensor<8x16xf32>, %w: tensor<8x32xf32>) -> tensor<16x32xf32> {
  %0 = graph.tanh %x : tensor<8x16xf32>
  %1 = graph.permute %0 dims = [1, 0] : (tensor<8x16xf32>) -> tensor<16x8xf32>
  %2 = graph.matmul %1, %w : (tensor<16x8xf32>, tensor<8x32xf32>) -> tensor<16x32xf32>
  return %2 : tensor<16x32xf32>
}

// CHECK-LABEL: func.func @anchors
// CHECK:         schedule.kernel contraction({{.*}}) {schedule.apart = ["matmul: a kernel is built around one of them"]}
func.func @anchors(%x: tensor<8x8xf32>, %w: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = graph.matmul %x, %w : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %1 = graph.matmul %w, %x : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %2 = graph.add %0, %1 : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %2 : tensor<8x8xf32>
}

// What became one kernel has nothing to say.
// CHECK-LABEL: func.func @fused
// CHECK:         schedule.kernel contraction(%arg0, %arg1) :
// CHECK-NOT:     schedule.apart
func.func @fused(%x: tensor<8x8xf32>, %w: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = graph.matmul %x, %w : (tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %1 = graph.tanh %0 : tensor<8x8xf32>
  return %1 : tensor<8x8xf32>
}
