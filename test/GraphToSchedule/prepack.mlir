// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-choose,tessera-schedule-prepack))' | FileCheck %s

// A parameter on the right is packed once, by a kernel of the prepare list.

// CHECK:         %[[W:.*]] = graph.parameter "w" : tensor<64x32xf32>
// CHECK:         %[[T:.*]] = schedule.view %[[W]] offset 0 strides [1, 32] : tensor<64x32xf32> to tensor<32x64xf32>
// CHECK:         %[[P:.*]] = schedule.kernel pack(%[[T]]) {{.*}}prepare
// CHECK:           schedule.pack
// CHECK:         schedule.kernel contraction(%arg0, %[[P]])
// CHECK:           %[[B:.*]] = schedule.unpack %{{.*}} to tensor<32x64xf32>
// CHECK:           graph.matmul %{{.*}}, %[[B]] : (tensor<128x32xf32>, tensor<32x64xf32>)
func.func @main(%x: tensor<128x32xf32>) -> tensor<128x64xf32> {
  %w = graph.parameter "w" : tensor<64x32xf32>
  %0 = graph.matmul %x, %w {transpose_b} : (tensor<128x32xf32>, tensor<64x32xf32>) -> tensor<128x64xf32>
  return %0 : tensor<128x64xf32>
}

// Unless the function keeps nothing: the product reads the parameter as it is.

// CHECK-LABEL: func.func @unprepared
// CHECK-NOT:     schedule.pack
// CHECK-NOT:     {{[{,] ?prepare[,}]}}
// CHECK:         schedule.kernel contraction
func.func @unprepared(%x: tensor<128x32xf32>) -> tensor<128x64xf32> attributes {schedule.unprepared} {
  %w = graph.parameter "w" : tensor<64x32xf32>
  %e = graph.exp %w : (tensor<64x32xf32>) -> tensor<64x32xf32>
  %0 = graph.matmul %x, %e {transpose_b} : (tensor<128x32xf32>, tensor<64x32xf32>) -> tensor<128x64xf32>
  return %0 : tensor<128x64xf32>
}

// A few rows are one strip of few sums, so that weights are read as fast as memory gives them; of
// rows that fit twice into L2 there are two blocks.

// CHECK-LABEL: func.func @few
// CHECK:         point = #schedule.contraction<mr = 4, nr = 32, {{.*}}mc = 4, {{.*}}prefetchB = 128>
// CHECK:         point = #schedule.contraction<mr = 8, nr = 32, kc = 768, mc = 128,
func.func @few(%x: tensor<4x768xf32>, %y: tensor<256x768xf32>) -> (tensor<4x768xf32>, tensor<256x768xf32>) {
  %w = graph.parameter "w" : tensor<768x768xf32>
  %0 = graph.matmul %x, %w : (tensor<4x768xf32>, tensor<768x768xf32>) -> tensor<4x768xf32>
  %1 = graph.matmul %y, %w : (tensor<256x768xf32>, tensor<768x768xf32>) -> tensor<256x768xf32>
  return %0, %1 : tensor<4x768xf32>, tensor<256x768xf32>
}
