// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-expand-convolutions,tessera-graph-to-schedule,tessera-schedule-choose,tessera-schedule-prepack))' -split-input-file | FileCheck %s

// A depthwise convolution takes its epilogue; kernels are packed once, all elements of a block of
// channels together.

// CHECK-LABEL: @epilogue
// CHECK:         %[[W:.*]] = graph.parameter "w"
// CHECK:         %[[T:.*]] = schedule.view %[[W]] offset 0 strides [1, 9] : tensor<96x1x3x3xf32> to tensor<9x96xf32>
// CHECK:         %[[P:.*]] = schedule.kernel pack(%[[T]]) {{.*}}prepare
// CHECK:         schedule.kernel depthwise(%arg0, %arg1, %[[P]])
// CHECK-SAME:      point = #schedule.depthwise<lanes = 16, vectors = 1, tw = 14, rows = 28>
// CHECK-SAME:      space = {rows = array<i64: 28>, tw = array<i64: 4, 5, 7, 8, 10, 12, 14>, vectors = array<i64: 1, 2>}
// CHECK:           schedule.unpack %{{.*}} to tensor<9x96xf32>
// CHECK:           graph.convolution
// CHECK:           graph.add
// CHECK:           graph.silu
// CHECK:           schedule.yield
func.func @epilogue(%x: tensor<1x28x28x96xf32>, %b: tensor<1x1x1x96xf32>) -> tensor<1x28x28x96xf32> {
  %w = graph.parameter "w" : tensor<96x1x3x3xf32>
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 96 {channels_last} : (tensor<1x28x28x96xf32>, tensor<96x1x3x3xf32>) -> tensor<1x28x28x96xf32>
  %1 = graph.add %0, %b : (tensor<1x28x28x96xf32>, tensor<1x1x1x96xf32>) -> tensor<1x28x28x96xf32>
  %2 = graph.silu %1 : tensor<1x28x28x96xf32>
  return %2 : tensor<1x28x28x96xf32>
}

// -----

// Narrow images take two vectors of channels; weights of a call are packed by the call.

// CHECK-LABEL: @narrow
// CHECK:         schedule.kernel pack(%{{.*}})
// CHECK-NOT:     prepare
// CHECK:         schedule.kernel depthwise
// CHECK-SAME:      #schedule.depthwise<lanes = 16, vectors = 2, tw = 7, rows = 7>
func.func @narrow(%x: tensor<4x7x7x96xf32>, %w: tensor<96x1x5x5xf32>) -> tensor<4x7x7x96xf32> {
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [2, 2], padding_high = [2, 2], dilation = [1, 1], groups = 96 {channels_last} : (tensor<4x7x7x96xf32>, tensor<96x1x5x5xf32>) -> tensor<4x7x7x96xf32>
  return %0 : tensor<4x7x7x96xf32>
}
