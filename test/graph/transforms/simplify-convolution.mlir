// RUN: tessera-opt %s -tessera-graph-simplify | FileCheck %s

// A border of zeros is padding.
// CHECK-LABEL: @border
// CHECK-NOT: graph.pad
// CHECK: graph.convolution %{{.*}}, %{{.*}} stride = [2, 2], padding_low = [0, 2], padding_high = [1, 1], dilation
func.func @border(%x: tensor<1x8x8x4xf32>, %w: tensor<6x4x3x3xf32>) -> tensor<1x4x5x6xf32> {
  %z = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.pad %x, %z low = [0, 0, 1, 0], high = [0, 1, 1, 0] : (tensor<1x8x8x4xf32>, tensor<f32>) -> tensor<1x9x10x4xf32>
  %1 = graph.convolution %0, %w stride = [2, 2], padding_low = [0, 1], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x9x10x4xf32>, tensor<6x4x3x3xf32>) -> tensor<1x4x5x6xf32>
  return %1 : tensor<1x4x5x6xf32>
}

// One of ones is not, nor is one of channels, nor what crops.
// CHECK-LABEL: @other_borders
// CHECK-COUNT-3: graph.pad
func.func @other_borders(%x: tensor<1x4x8x8xf32>, %w: tensor<6x4x3x3xf32>, %v: tensor<6x5x3x3xf32>) -> (tensor<1x6x8x8xf32>, tensor<1x6x6x6xf32>, tensor<1x6x7x5xf32>) {
  %z = graph.constant dense<0.0> : tensor<f32>
  %o = graph.constant dense<1.0> : tensor<f32>
  %0 = graph.pad %x, %o low = [0, 0, 1, 1], high = [0, 0, 1, 1] : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x10x10xf32>
  %1 = graph.convolution %0, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 : (tensor<1x4x10x10xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x8x8xf32>
  %2 = graph.pad %x, %z low = [0, 1, 0, 0], high = [0, 0, 0, 0] : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x5x8x8xf32>
  %3 = graph.convolution %2, %v stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 : (tensor<1x5x8x8xf32>, tensor<6x5x3x3xf32>) -> tensor<1x6x6x6xf32>
  %4 = graph.pad %x, %z low = [0, 0, 1, 0], high = [0, 0, 0, -1] : (tensor<1x4x8x8xf32>, tensor<f32>) -> tensor<1x4x9x7xf32>
  %5 = graph.convolution %4, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 : (tensor<1x4x9x7xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x7x5xf32>
  return %1, %3, %5 : tensor<1x6x8x8xf32>, tensor<1x6x6x6xf32>, tensor<1x6x7x5xf32>
}
