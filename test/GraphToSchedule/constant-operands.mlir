// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule))' -split-input-file | FileCheck %s

// Splat constants are computed inside of kernels, but what a kernel walks in memory has to lie there.

// CHECK-LABEL: func.func @right_side
// CHECK:         %[[C:.*]] = graph.constant
// CHECK:         schedule.kernel contraction(%arg0, %[[C]])
// CHECK-NEXT:    ^bb0(%[[X:.*]]: tensor<4x4xf32>, %[[W:.*]]: tensor<4x4xf32>):
// CHECK-NEXT:      %[[P:.*]] = graph.matmul %[[X]], %[[W]]
// CHECK-NEXT:      graph.add %[[P]], %[[W]]
func.func @right_side(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = graph.constant dense<2.0> : tensor<4x4xf32>
  %1 = graph.matmul %x, %0 : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %2 = graph.add %1, %0 : tensor<4x4xf32>
  return %2 : tensor<4x4xf32>
}

// -----

// CHECK-LABEL: func.func @left_side
// CHECK-NOT:     graph.constant
// CHECK:         schedule.kernel contraction(%arg0)
// CHECK:           graph.constant
func.func @left_side(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = graph.constant dense<2.0> : tensor<4x4xf32>
  %1 = graph.matmul %0, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return %1 : tensor<4x4xf32>
}

// -----

// CHECK-LABEL: func.func @keys
// CHECK:         %[[C:.*]] = graph.constant
// CHECK:         schedule.kernel attention(%arg0, %[[C]])
func.func @keys(%q: tensor<2x5x8xf32>) -> tensor<2x5x8xf32> {
  %0 = graph.constant dense<1.0> : tensor<2x5x8xf32>
  %1 = graph.attention %q, %0, %q scale = 0.5 : (tensor<2x5x8xf32>, tensor<2x5x8xf32>, tensor<2x5x8xf32>) -> tensor<2x5x8xf32>
  return %1 : tensor<2x5x8xf32>
}
