// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule))' -split-input-file | FileCheck %s

// A result somebody will look at as row-major is; others leave as views.

// CHECK-LABEL: func.func @wanted
// CHECK:         %[[S:.*]] = schedule.kernel elementwise(%arg0)
// CHECK:         %[[V:.*]] = schedule.view %[[S]] offset 0 strides [1, 8]
// CHECK:         %[[C:.*]] = schedule.kernel elementwise(%[[V]])
// CHECK:         %[[W:.*]] = schedule.view %[[S]]
// CHECK:         return %[[C]], %[[W]]
func.func @wanted(%x: tensor<4x8xf32>) -> (tensor<8x4xf32> {graph.contiguous}, tensor<8x4xf32>) {
  %0 = graph.sin %x : tensor<4x8xf32>
  %1 = graph.permute %0 dims = [1, 0] : (tensor<4x8xf32>) -> tensor<8x4xf32>
  return %1, %1 : tensor<8x4xf32>, tensor<8x4xf32>
}

// -----

// Rows of a matrix are row-major wherever they begin.

// CHECK-LABEL: func.func @rows
// CHECK:         %[[S:.*]] = schedule.kernel elementwise(%arg0)
// CHECK-NOT:     schedule.kernel
// CHECK:         schedule.view %[[S]] offset 16 strides [8, 1]
func.func @rows(%x: tensor<4x8xf32>) -> (tensor<2x8xf32> {graph.contiguous}) {
  %0 = graph.sin %x : tensor<4x8xf32>
  %1 = graph.slice %0 starts = [2, 0], limits = [4, 8], steps = [1, 1] : (tensor<4x8xf32>) -> tensor<2x8xf32>
  return %1 : tensor<2x8xf32>
}
