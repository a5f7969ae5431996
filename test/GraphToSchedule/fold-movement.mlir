// RUN: tessera-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule))' | FileCheck %s

// Permutes, slices and reshapes are layouts of the stored result.

// CHECK-LABEL: func.func @heads
// CHECK:         %[[QKV:.*]] = schedule.kernel contraction
// CHECK:         %[[Q:.*]] = schedule.view %[[QKV]] offset 0 strides [3072, 8, 192, 1] : tensor<2x16x192xf32> to tensor<2x8x16x8xf32>
// CHECK:         %[[K:.*]] = schedule.view %[[QKV]] offset 64 strides [3072, 8, 192, 1]
// CHECK:         %[[A:.*]] = schedule.kernel attention(%[[Q]], %[[K]])
// CHECK-SAME:      result_perms = [array<i64: 0, 2, 1, 3>]
// CHECK-SAME:    tensor<2x16x8x8xf32> {
// CHECK:         schedule.view %[[A]] offset 0 strides [1024, 64, 1] : tensor<2x16x8x8xf32> to tensor<2x16x64xf32>
func.func @heads(%x: tensor<2x16x64xf32>, %w: tensor<64x192xf32>) -> tensor<2x16x64xf32> {
  %0 = graph.matmul %x, %w : (tensor<2x16x64xf32>, tensor<64x192xf32>) -> tensor<2x16x192xf32>
  %1 = graph.slice %0 starts = [0, 0, 0], limits = [2, 16, 64], steps = [1, 1, 1] : (tensor<2x16x192xf32>) -> tensor<2x16x64xf32>
  %2 = graph.reshape %1 shape = [2, 16, 8, 8] : (tensor<2x16x64xf32>) -> tensor<2x16x8x8xf32>
  %q = graph.permute %2 dims = [0, 2, 1, 3] : (tensor<2x16x8x8xf32>) -> tensor<2x8x16x8xf32>
  %3 = graph.slice %0 starts = [0, 0, 64], limits = [2, 16, 128], steps = [1, 1, 1] : (tensor<2x16x192xf32>) -> tensor<2x16x64xf32>
  %4 = graph.reshape %3 shape = [2, 16, 8, 8] : (tensor<2x16x64xf32>) -> tensor<2x16x8x8xf32>
  %k = graph.permute %4 dims = [0, 2, 1, 3] : (tensor<2x16x8x8xf32>) -> tensor<2x8x16x8xf32>
  %5 = graph.attention %q, %k, %q scale = 0.5 : (tensor<2x8x16x8xf32>, tensor<2x8x16x8xf32>, tensor<2x8x16x8xf32>) -> tensor<2x8x16x8xf32>
  %6 = graph.permute %5 dims = [0, 2, 1, 3] : (tensor<2x8x16x8xf32>) -> tensor<2x16x8x8xf32>
  %7 = graph.reshape %6 shape = [2, 16, 64] : (tensor<2x16x8x8xf32>) -> tensor<2x16x64xf32>
  return %7 : tensor<2x16x64xf32>
}

// -----

// A reshape across strides copies once.

// CHECK-LABEL: func.func @needs_copy
// CHECK:         %[[T:.*]] = schedule.view %arg0 offset 0 strides [1, 8]
// CHECK:         %[[C:.*]] = schedule.kernel elementwise(%[[T]])
// CHECK-NEXT:      ^bb0(%[[ARG:.*]]: tensor<8x4xf32>):
// CHECK-NEXT:      schedule.yield %[[ARG]]
// CHECK:         schedule.view %[[C]] offset 0 strides [1] : tensor<8x4xf32> to tensor<32xf32>
func.func @needs_copy(%x: tensor<4x8xf32>) -> tensor<32xf32> {
  %0 = graph.permute %x dims = [1, 0] : (tensor<4x8xf32>) -> tensor<8x4xf32>
  %1 = graph.reshape %0 shape = [32] : (tensor<8x4xf32>) -> tensor<32xf32>
  return %1 : tensor<32xf32>
}

// -----

// Broadcasts have stride 0, reversals a negative one.

// CHECK-LABEL: func.func @strides
// CHECK-DAG:     schedule.view %arg0 offset 0 strides [0, 1] : tensor<8xf32> to tensor<4x8xf32>
// CHECK-DAG:     schedule.view %arg0 offset 7 strides [-1] : tensor<8xf32> to tensor<8xf32>
func.func @strides(%x: tensor<8xf32>) -> (tensor<4x8xf32>, tensor<8xf32>) {
  %0 = graph.broadcast %x shape = [4, 8] : (tensor<8xf32>) -> tensor<4x8xf32>
  %1 = graph.reverse %x dims = [0] : (tensor<8xf32>) -> tensor<8xf32>
  return %0, %1 : tensor<4x8xf32>, tensor<8xf32>
}

// -----

// What every call reads element by element of a parameter in another order is brought into that order once; what is
// repeated, or only a part, is read in place.

// CHECK-LABEL: func.func @turned_parameter
// CHECK:         %[[W:.*]] = graph.parameter "w"
// CHECK:         %[[V:.*]] = schedule.view %[[W]] offset 0 strides [1, 4] : tensor<8x4xf32> to tensor<4x8xf32>
// CHECK:         %[[C:.*]] = schedule.kernel elementwise(%[[V]]) {prepare}
// CHECK:         schedule.kernel elementwise(%arg0, %[[C]])
// CHECK:         %[[P:.*]] = schedule.view %[[W]] offset 0 strides [1, 4] : tensor<8x4xf32> to tensor<2x8xf32>
// CHECK:         schedule.kernel elementwise(%arg1, %[[P]])
func.func @turned_parameter(%x: tensor<4x8xf32>, %y: tensor<2x8xf32>) -> (tensor<4x8xf32>, tensor<2x8xf32>) {
  %w = graph.parameter "w" : tensor<8x4xf32>
  %0 = graph.permute %w dims = [1, 0] : (tensor<8x4xf32>) -> tensor<4x8xf32>
  %1 = graph.add %x, %0 : tensor<4x8xf32>
  %2 = graph.slice %0 starts = [0, 0], limits = [2, 8], steps = [1, 1] : (tensor<4x8xf32>) -> tensor<2x8xf32>
  %3 = graph.add %y, %2 : tensor<2x8xf32>
  return %1, %3 : tensor<4x8xf32>, tensor<2x8xf32>
}
