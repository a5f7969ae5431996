// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-reduce-precision,tessera-graph-simplify))' -split-input-file | FileCheck %s

// What is computed is rounded in front of movement, once for all that multiply it; sums, and all else, stay wide.

// CHECK-LABEL: func.func @main
// CHECK:         %[[W:.*]] = graph.parameter "w"
// CHECK:         %[[WB:.*]] = graph.cast %[[W]] to bf16
// CHECK:         %[[S:.*]] = graph.silu
// CHECK-NEXT:    %[[SB:.*]] = graph.cast %[[S]] to bf16
// CHECK-NEXT:    %[[P:.*]] = graph.slice %[[SB]] {{.*}} tensor<4x32xbf16>
// CHECK-NEXT:    %[[A:.*]] = graph.matmul %[[P]], %[[WB]] {{.*}} -> tensor<4x64xbf16>
// CHECK-NEXT:    graph.cast %[[A]] to f32
// CHECK-NEXT:    %[[B:.*]] = graph.matmul %[[SB]], %[[WB]] {{.*}} -> tensor<8x64xbf16>
// CHECK-NEXT:    graph.cast %[[B]] to f32
// CHECK-NEXT:    graph.add %[[S]], %[[S]] : tensor<8x32xf32>
func.func @main(%x: tensor<8x32xf32>) -> (tensor<4x64xf32>, tensor<8x64xf32>, tensor<8x32xf32>) attributes {graph.precision = "bf16"} {
  %w = graph.parameter "w" : tensor<32x64xf32>
  %0 = graph.silu %x : tensor<8x32xf32>
  %1 = graph.slice %0 starts = [2, 0], limits = [6, 32], steps = [1, 1] : (tensor<8x32xf32>) -> tensor<4x32xf32>
  %2 = graph.matmul %1, %w : (tensor<4x32xf32>, tensor<32x64xf32>) -> tensor<4x64xf32>
  %3 = graph.matmul %0, %w : (tensor<8x32xf32>, tensor<32x64xf32>) -> tensor<8x64xf32>
  %4 = graph.add %0, %0 : tensor<8x32xf32>
  return %2, %3, %4 : tensor<4x64xf32>, tensor<8x64xf32>, tensor<8x32xf32>
}

// -----

// From product to product nothing is widened; an attention's mask is added and keeps its type.

// CHECK-LABEL: func.func @main
// CHECK-NOT:     graph.cast
// CHECK:         graph.matmul {{.*}} -> tensor<32x32xbf16>
// CHECK-NOT:     graph.cast
// CHECK:         graph.attention {{.*}} (tensor<2x16x32xbf16>, tensor<2x16x32xbf16>, tensor<2x16x32xbf16>, tensor<16x16xf32>) -> tensor<2x16x32xbf16>
// CHECK-NOT:     graph.cast
// CHECK:         graph.matmul {{.*}} -> tensor<32x32xbf16>
// CHECK:         graph.cast %{{.*}} to f32
func.func @main(%x: tensor<2x16x32xbf16>, %m: tensor<16x16xf32>) -> tensor<2x16x32xf32> attributes {graph.precision = "bf16"} {
  %w = graph.parameter "w" : tensor<32x32xbf16>
  %f = graph.cast %w to f32 : (tensor<32x32xbf16>) -> tensor<32x32xf32>
  %xf = graph.cast %x to f32 : (tensor<2x16x32xbf16>) -> tensor<2x16x32xf32>
  %0 = graph.matmul %xf, %f : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
  %1 = graph.attention %0, %0, %0 mask %m scale = 1.0 : (tensor<2x16x32xf32>, tensor<2x16x32xf32>, tensor<2x16x32xf32>, tensor<16x16xf32>) -> tensor<2x16x32xf32>
  %2 = graph.matmul %1, %f : (tensor<2x16x32xf32>, tensor<32x32xf32>) -> tensor<2x16x32xf32>
  return %2 : tensor<2x16x32xf32>
}

// -----

// Short sums, such as positions times frequencies, and other element types stay as they are; so does everything in
// functions that do not ask.

// CHECK-LABEL: func.func @main
// CHECK-NOT:     graph.cast
func.func @main(%x: tensor<8x1xf32>, %y: tensor<1x16xf32>, %z: tensor<16x16xf64>) -> (tensor<8x16xf32>, tensor<16x16xf64>) attributes {graph.precision = "bf16"} {
  %0 = graph.matmul %x, %y : (tensor<8x1xf32>, tensor<1x16xf32>) -> tensor<8x16xf32>
  %1 = graph.matmul %z, %z : (tensor<16x16xf64>, tensor<16x16xf64>) -> tensor<16x16xf64>
  return %0, %1 : tensor<8x16xf32>, tensor<16x16xf64>
}

// CHECK-LABEL: func.func @other
// CHECK-NOT:     graph.cast
func.func @other(%x: tensor<32x32xf32>) -> tensor<32x32xf32> {
  %0 = graph.matmul %x, %x : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  return %0 : tensor<32x32xf32>
}

// -----

// One query reads keys and values once: rounding them first would take longer.

// CHECK-LABEL: func.func @main
// CHECK-NOT:     graph.cast
func.func @main(%q: tensor<2x1x32xf32>, %k: tensor<2x64x32xf32>) -> tensor<2x1x32xf32> attributes {graph.precision = "bf16"} {
  %0 = graph.attention %q, %k, %k scale = 1.0 : (tensor<2x1x32xf32>, tensor<2x64x32xf32>, tensor<2x64x32xf32>) -> tensor<2x1x32xf32>
  return %0 : tensor<2x1x32xf32>
}

// -----

// A convolution sums over channels; a channel a group is no product of matrices.

// CHECK-LABEL: func.func @main
// CHECK:         graph.convolution {{.*}} -> tensor<1x8x4x4xbf16>
// CHECK:         graph.convolution {{.*}} -> tensor<1x8x2x2xf32>
func.func @main(%x: tensor<1x4x6x6xf32>) -> tensor<1x8x2x2xf32> attributes {graph.precision = "bf16"} {
  %w = graph.parameter "w" : tensor<8x4x3x3xf32>
  %d = graph.parameter "d" : tensor<8x1x3x3xf32>
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1
       : (tensor<1x4x6x6xf32>, tensor<8x4x3x3xf32>) -> tensor<1x8x4x4xf32>
  %1 = graph.convolution %0, %d stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 8
       : (tensor<1x8x4x4xf32>, tensor<8x1x3x3xf32>) -> tensor<1x8x2x2xf32>
  return %1 : tensor<1x8x2x2xf32>
}
