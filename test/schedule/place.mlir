// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-place))' | FileCheck %s

// Three products in a row: the second takes the place beside the first, which the third may not overwrite
// before it is read; what is returned is an output.

// CHECK-LABEL: func.func @chain
// CHECK-SAME:    schedule.arena = 8192 : i64, schedule.live = 8192
// CHECK:         schedule.kernel contraction(%arg0) {placement = [#schedule.placement<arena, 0>]}
// CHECK:         schedule.kernel contraction({{.*}}) {placement = [#schedule.placement<arena, 4096>], {{.*}}}
// CHECK:         schedule.kernel contraction({{.*}}) {placement = [#schedule.placement<arena, 0>], {{.*}}}
// CHECK:         schedule.kernel contraction({{.*}}) {placement = [#schedule.placement<output, 0>], {{.*}}}
func.func @chain(%x: tensor<32x32xf32>) -> tensor<32x32xf32> {
  %0 = graph.matmul %x, %x : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %1 = graph.matmul %0, %x : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %2 = graph.matmul %1, %x : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %3 = graph.matmul %2, %x : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  return %3 : tensor<32x32xf32>
}
