// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule))' -split-input-file | FileCheck %s

// A product takes in the elementwise ops behind it; the residual is one more operand.

// CHECK-LABEL: func.func @linear_gelu_residual
// CHECK:         %[[W:.*]] = graph.parameter "w"
// CHECK:         schedule.kernel contraction(%{{.*}}, %[[W]], %{{.*}}, %{{.*}})
// CHECK:           graph.matmul
// CHECK-NEXT:      graph.add
// CHECK-NEXT:      graph.gelu
// CHECK-NEXT:      graph.add
// CHECK-NEXT:      schedule.yield
// CHECK-NOT:     schedule.kernel
func.func @linear_gelu_residual(%x: tensor<8x32xf32>, %r: tensor<8x64xf32>) -> tensor<8x64xf32> {
  %w = graph.parameter "w" : tensor<64x32xf32>
  %b = graph.parameter "b" : tensor<64xf32>
  %0 = graph.matmul %x, %w {transpose_b} : (tensor<8x32xf32>, tensor<64x32xf32>) -> tensor<8x64xf32>
  %1 = graph.add %0, %b : (tensor<8x64xf32>, tensor<64xf32>) -> tensor<8x64xf32>
  %2 = graph.gelu %1 : tensor<8x64xf32>
  %3 = graph.add %2, %r : tensor<8x64xf32>
  return %3 : tensor<8x64xf32>
}

// -----

// A norm joins the elementwise ops before and after it, and the sum it normalizes is stored too.

// CHECK-LABEL: func.func @add_norm
// CHECK:         %[[R:.*]]:2 = schedule.kernel rows(%arg0, %arg1)
// CHECK:           %[[SUM:.*]] = graph.add
// CHECK:           %[[NORM:.*]] = graph.layer_norm %[[SUM]]
// CHECK:           schedule.yield %[[SUM]], %[[NORM]]
// CHECK:         return %[[R]]#0, %[[R]]#1
func.func @add_norm(%x: tensor<8x32xf32>, %y: tensor<8x32xf32>) -> (tensor<8x32xf32>, tensor<8x32xf32>) {
  %0 = graph.add %x, %y : tensor<8x32xf32>
  %1 = graph.layer_norm %0 axes = 1, eps = 1.0e-5 : (tensor<8x32xf32>) -> tensor<8x32xf32>
  return %0, %1 : tensor<8x32xf32>, tensor<8x32xf32>
}

// -----

// Joining the second product's epilogue would need the first one's result before it exists: no cycle.

// CHECK-LABEL: func.func @no_cycle
// CHECK:         %[[A:.*]] = schedule.kernel contraction
// CHECK:         %[[B:.*]] = schedule.kernel contraction(%[[A]]
// CHECK:           graph.matmul
// CHECK:           graph.add
func.func @no_cycle(%x: tensor<16x16xf32>, %y: tensor<16x16xf32>) -> tensor<16x16xf32> {
  %0 = graph.matmul %x, %y : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %1 = graph.matmul %0, %y : (tensor<16x16xf32>, tensor<16x16xf32>) -> tensor<16x16xf32>
  %2 = graph.add %0, %1 : tensor<16x16xf32>
  return %2 : tensor<16x16xf32>
}

// -----

// The arms of a diamond are one kernel.

// CHECK-LABEL: func.func @diamond
// CHECK:         schedule.kernel elementwise(%arg0)
// CHECK:           graph.sin
// CHECK:           graph.cos
// CHECK:           graph.mul
// CHECK-NOT:     schedule.kernel
func.func @diamond(%x: tensor<8x32xf32>) -> tensor<8x32xf32> {
  %0 = graph.sin %x : tensor<8x32xf32>
  %1 = graph.cos %x : tensor<8x32xf32>
  %2 = graph.mul %0, %1 : tensor<8x32xf32>
  return %2 : tensor<8x32xf32>
}

// -----

// Unless one arm needs the other stored: here through a transpose.

// CHECK-LABEL: func.func @diamond_through_a_view
// CHECK:         %[[S:.*]] = schedule.kernel elementwise(%arg0)
// CHECK:         %[[V:.*]] = schedule.view %[[S]] offset 0 strides [1, 8]
// CHECK:         schedule.kernel elementwise({{.*}}%[[V]]
func.func @diamond_through_a_view(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = graph.sin %x : tensor<8x8xf32>
  %1 = graph.permute %0 dims = [1, 0] : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %2 = graph.cos %1 : tensor<8x8xf32>
  %3 = graph.mul %0, %2 : tensor<8x8xf32>
  return %3 : tensor<8x8xf32>
}

// -----

// Nor does an arm join where a third operand of their user reads what the arm stores.

// CHECK-LABEL: func.func @diamond_of_three
// CHECK:         %[[E:.*]] = schedule.kernel elementwise(%arg1)
// CHECK:           graph.exp
// CHECK:         %[[V:.*]] = schedule.view %[[E]] offset 0 strides [1, 8]
// CHECK:         schedule.kernel elementwise({{.*}}%[[V]]
// CHECK-NOT:       graph.exp
// CHECK:           graph.select
func.func @diamond_of_three(%x: tensor<8x8xi1>, %y: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %0 = graph.exp %y : tensor<8x8xf32>
  %1 = graph.permute %0 dims = [1, 0] : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %2 = graph.bitwise_not %x : tensor<8x8xi1>
  %3 = graph.select %2, %0, %1 : (tensor<8x8xi1>, tensor<8x8xf32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  return %3 : tensor<8x8xf32>
}
