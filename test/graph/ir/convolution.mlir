// RUN: tessera-opt %s | tessera-opt | FileCheck %s
// RUN: tessera-opt --mlir-print-op-generic %s | tessera-opt | FileCheck %s

// CHECK-LABEL: @convolution
func.func @convolution(%x: tensor<2x6x9x11xf32>, %w: tensor<8x6x3x2xf32>, %g: tensor<12x2x3x2xf32>,
                       %line: tensor<1x4x40xbf16>, %k: tensor<4x1x5xbf16>,
                       %volume: tensor<1x3x4x5x6xi32>, %u: tensor<2x3x1x1x1xi32>) {
  // CHECK: graph.convolution %{{.*}}, %{{.*}} stride = [2, 1], padding_low = [1, 0], padding_high = [2, 0], dilation = [1, 3], groups = 1 : (tensor<2x6x9x11xf32>, tensor<8x6x3x2xf32>) -> tensor<2x8x5x8xf32>
  %0 = graph.convolution %x, %w stride = [2, 1], padding_low = [1, 0], padding_high = [2, 0], dilation = [1, 3], groups = 1 : (tensor<2x6x9x11xf32>, tensor<8x6x3x2xf32>) -> tensor<2x8x5x8xf32>
  // CHECK: groups = 3 : (tensor<2x6x9x11xf32>, tensor<12x2x3x2xf32>) -> tensor<2x12x7x10xf32>
  %1 = graph.convolution %x, %g stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 3 : (tensor<2x6x9x11xf32>, tensor<12x2x3x2xf32>) -> tensor<2x12x7x10xf32>
  // CHECK: groups = 4 : (tensor<1x4x40xbf16>, tensor<4x1x5xbf16>) -> tensor<1x4x36xbf16>
  %2 = graph.convolution %line, %k stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 4 : (tensor<1x4x40xbf16>, tensor<4x1x5xbf16>) -> tensor<1x4x36xbf16>
  // CHECK: -> tensor<1x2x4x3x2xi32>
  %3 = graph.convolution %volume, %u stride = [1, 2, 3], padding_low = [0, 0, 0], padding_high = [0, 0, 0], dilation = [1, 1, 1], groups = 1 : (tensor<1x3x4x5x6xi32>, tensor<2x3x1x1x1xi32>) -> tensor<1x2x4x3x2xi32>
  return
}

// CHECK-LABEL: @channels_last
func.func @channels_last(%x: tensor<2x9x11x6xf32>, %w: tensor<8x6x3x2xf32>, %d: tensor<?x?x11x6xf32>) {
  // CHECK: groups = 1 {channels_last} : (tensor<2x9x11x6xf32>, tensor<8x6x3x2xf32>) -> tensor<2x7x10x8xf32>
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<2x9x11x6xf32>, tensor<8x6x3x2xf32>) -> tensor<2x7x10x8xf32>
  // CHECK: -> tensor<?x?x10x8xf32>
  %1 = graph.convolution %d, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<?x?x11x6xf32>, tensor<8x6x3x2xf32>) -> tensor<?x?x10x8xf32>
  return
}

// CHECK-LABEL: @window
func.func @window(%x: tensor<2x9x11x6xf32>, %d: tensor<?x?xf32>) {
  // CHECK: graph.window %{{.*}} dims = [1, 2], sizes = [3, 2], steps = [2, 1], dilations = [1, 3] : (tensor<2x9x11x6xf32>) -> tensor<2x4x8x6x3x2xf32>
  %0 = graph.window %x dims = [1, 2], sizes = [3, 2], steps = [2, 1], dilations = [1, 3] : (tensor<2x9x11x6xf32>) -> tensor<2x4x8x6x3x2xf32>
  // CHECK: -> tensor<?x?x4xf32>
  %1 = graph.window %d dims = [1], sizes = [4], steps = [1], dilations = [1] : (tensor<?x?xf32>) -> tensor<?x?x4xf32>
  return
}
