// RUN: tessera-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule))' | FileCheck %s
// RUN: tessera-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-choose))' | FileCheck %s --check-prefix=CHOOSE

// Overlapping windows are a view; making rows of them is one copy.

// CHECK-LABEL: func.func @rows
// CHECK:         %[[V:.*]] = schedule.view %{{.*}} offset 0 strides [648, 144, 16, 72, 8, 1] : tensor<2x9x9x8xf32> to tensor<2x4x4x3x3x8xf32>
// CHECK:         %[[C:.*]] = schedule.kernel elementwise(%[[V]]) : (tensor<2x4x4x3x3x8xf32>) -> tensor<2x4x4x3x3x8xf32>
// CHECK:         schedule.view %[[C]] offset 0 strides [72, 1] : tensor<2x4x4x3x3x8xf32> to tensor<32x72xf32>
func.func @rows(%x: tensor<2x9x9x8xf32>, %w: tensor<72x16xf32>) -> tensor<32x16xf32> {
  %0 = graph.window %x dims = [1, 2], sizes = [3, 3], steps = [2, 2], dilations = [1, 1] : (tensor<2x9x9x8xf32>) -> tensor<2x4x4x8x3x3xf32>
  %1 = graph.permute %0 dims = [0, 1, 2, 4, 5, 3] : (tensor<2x4x4x8x3x3xf32>) -> tensor<2x4x4x3x3x8xf32>
  %2 = graph.reshape %1 shape = [32, 72] : (tensor<2x4x4x3x3x8xf32>) -> tensor<32x72xf32>
  %3 = graph.matmul %2, %w : (tensor<32x72xf32>, tensor<72x16xf32>) -> tensor<32x16xf32>
  return %3 : tensor<32x16xf32>
}

// -----

// Windows side by side of neighbouring elements merge, dilated ones stay apart.

// CHECK-LABEL: func.func @dilated
// CHECK:         schedule.view %{{.*}} offset 0 strides [1, 3] : tensor<9xf32> to tensor<3x3xf32>
func.func @dilated(%x: tensor<9xf32>, %y: tensor<3x3xf32>) -> tensor<3x3xf32> {
  %0 = graph.window %x dims = [0], sizes = [3], steps = [1], dilations = [3] : (tensor<9xf32>) -> tensor<3x3xf32>
  %1 = graph.add %0, %y : tensor<3x3xf32>
  return %1 : tensor<3x3xf32>
}

// -----

// What only depends on parameters is copied once, unless it is handed out.

// CHECK-LABEL: func.func @prepared
// CHECK:         schedule.kernel elementwise(%{{.*}}) {prepare} : (tensor<3x8xf32>)
// CHECK:         schedule.kernel elementwise(%{{.*}}) : (tensor<8x3xf32>)
func.func @prepared(%x: tensor<4x24xf32>) -> (tensor<4x1xf32>, tensor<24xf32>) {
  %w = graph.parameter "w" : tensor<8x3xf32>
  %u = graph.parameter "u" : tensor<3x8xf32>
  %0 = graph.permute %w dims = [1, 0] : (tensor<8x3xf32>) -> tensor<3x8xf32>
  %1 = graph.reshape %0 shape = [1, 24] : (tensor<3x8xf32>) -> tensor<1x24xf32>
  %2 = graph.matmul %x, %1 {transpose_b} : (tensor<4x24xf32>, tensor<1x24xf32>) -> tensor<4x1xf32>
  %3 = graph.permute %u dims = [1, 0] : (tensor<3x8xf32>) -> tensor<8x3xf32>
  %4 = graph.reshape %3 shape = [24] : (tensor<8x3xf32>) -> tensor<24xf32>
  return %2, %4 : tensor<4x1xf32>, tensor<24xf32>
}

// -----

// Windows lie side by side: vectors run across the short rows they are.

// CHOOSE-LABEL: func.func @pool
// CHOOSE:         schedule.kernel rows({{.*}}) {point = #schedule.rows<lanes = 64, lanesAlongReduction = false
func.func @pool(%x: tensor<2x64x66xf32>) -> tensor<2x64x64xf32> {
  %0 = graph.window %x dims = [2], sizes = [3], steps = [1], dilations = [1] : (tensor<2x64x66xf32>) -> tensor<2x64x64x3xf32>
  %1 = graph.reduce max %0 dims = [3] : (tensor<2x64x64x3xf32>) -> tensor<2x64x64xf32>
  return %1 : tensor<2x64x64xf32>
}

// -----

// Elements looked up, weighted and summed: one kernel.

// CHECK-LABEL: func.func @resample
// CHECK:         %[[K:.*]] = schedule.kernel rows(
// CHECK:           graph.gather
// CHECK:           graph.mul
// CHECK:           graph.reduce sum
// CHECK-NOT:     schedule.kernel
// CHECK:         return
func.func @resample(%x: tensor<2x5x8xf32>, %t: tensor<9x2xi64>, %w: tensor<9x2x1xf32>) -> tensor<2x9x1x8xf32> {
  %0 = graph.gather %x, %t dim = 1 : (tensor<2x5x8xf32>, tensor<9x2xi64>) -> tensor<2x9x2x8xf32>
  %1 = graph.mul %0, %w : (tensor<2x9x2x8xf32>, tensor<9x2x1xf32>) -> tensor<2x9x2x8xf32>
  %2 = graph.reduce sum %1 dims = [2] {keepdim} : (tensor<2x9x2x8xf32>) -> tensor<2x9x1x8xf32>
  return %2 : tensor<2x9x1x8xf32>
}

// -----

// Products of groups are stored as their only reader wants them, side by side.

// CHECK-LABEL: func.func @groups
// CHECK:         schedule.kernel contraction({{.*}}) {result_perms = [array<i64: 1, 0, 2>]} : {{.*}} -> tensor<9x4x16xf32>
// CHECK-NOT:     schedule.kernel
// CHECK:         schedule.view %{{.*}} offset 0 strides [64, 1] : tensor<9x4x16xf32> to tensor<9x64xf32>
func.func @groups(%x: tensor<4x9x8xf32>, %w: tensor<4x8x16xf32>) -> tensor<9x64xf32> {
  %0 = graph.matmul %x, %w : (tensor<4x9x8xf32>, tensor<4x8x16xf32>) -> tensor<4x9x16xf32>
  %1 = graph.exp %0 : tensor<4x9x16xf32>
  %2 = graph.permute %1 dims = [1, 0, 2] : (tensor<4x9x16xf32>) -> tensor<9x4x16xf32>
  %3 = graph.reshape %2 shape = [9, 64] : (tensor<9x4x16xf32>) -> tensor<9x64xf32>
  return %3 : tensor<9x64xf32>
}
