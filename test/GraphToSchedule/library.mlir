// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-choose))' -split-input-file | FileCheck %s

// A sort is a kernel of its own: nothing joins it, and it yields what nobody reads as well. Which of several equal
// elements is first nobody asks here: the sort may be stable.

// CHECK-LABEL: func.func @alone
// CHECK:         %[[X:.*]] = schedule.kernel elementwise
// CHECK:         %[[S:.*]]:2 = schedule.kernel library(%[[X]]) {point = #schedule.library<grain = {{[0-9]+}}>{{.*}}}
// CHECK-NEXT:    ^bb0(%[[ARG:.*]]: tensor<8x64xf32>):
// CHECK-NEXT:      %[[V:.*]], %[[I:.*]] = graph.sort %[[ARG]] dim = 1 {stable}
// CHECK-NEXT:      schedule.yield %[[V]], %[[I]]
// CHECK:         schedule.kernel elementwise(%[[S]]#0)
func.func @alone(%x: tensor<8x64xf32>) -> tensor<8x64xf32> {
  %0 = graph.exp %x : tensor<8x64xf32>
  %1:2 = graph.sort %0 dim = 1 : (tensor<8x64xf32>) -> (tensor<8x64xf32>, tensor<8x64xi64>)
  %2 = graph.neg %1#0 : tensor<8x64xf32>
  return %2 : tensor<8x64xf32>
}

// -----

// Movement of the operand is a layout the function reads through.

// CHECK-LABEL: func.func @view
// CHECK:         %[[V:.*]] = schedule.view %{{.*}} offset 0 strides [1, 64]
// CHECK:         schedule.kernel library(%[[V]])
func.func @view(%x: tensor<8x64xf32>) -> tensor<64x8xf32> {
  %0 = graph.permute %x dims = [1, 0] : (tensor<8x64xf32>) -> tensor<64x8xf32>
  %1:2 = graph.sort %0 dim = 0 : (tensor<64x8xf32>) -> (tensor<64x8xf32>, tensor<64x8xi64>)
  return %1#0 : tensor<64x8xf32>
}

// -----

// What other kernels would compute on the way has to be in memory; a splat is one element there.

// CHECK-LABEL: func.func @stored
// CHECK-DAG:     %[[E:.*]] = graph.constant dense<1.000000e+00> : tensor<f32>
// CHECK-DAG:     %[[C:.*]] = schedule.view %[[E]] offset 0 strides [0] : tensor<f32> to tensor<2xf32>
// CHECK-DAG:     %[[I:.*]] = schedule.kernel elementwise()
// CHECK:         schedule.kernel library(%[[I]], %[[C]])
func.func @stored(%x: tensor<4xf32>) -> tensor<2xi64> {
  %0 = graph.iota shape = [8], dim = 0, start = 0 : i64, step = 1 : i64, dtype = f32 : tensor<8xf32>
  %1 = graph.constant dense<1.0> : tensor<2xf32>
  %2 = graph.search_sorted %0, %1 : (tensor<8xf32>, tensor<2xf32>) -> tensor<2xi64>
  return %2 : tensor<2xi64>
}
