// RUN: tessera-opt %s --tessera-graph-channels-last --tessera-graph-simplify | FileCheck %s

// Two convolutions with what is between them: one permute before, one after.
// CHECK-LABEL: @chain
// CHECK-SAME: (%[[X:.*]]: tensor<2x3x9x9xf32>
func.func @chain(%x: tensor<2x3x9x9xf32>, %w: tensor<8x3x3x3xf32>, %b: tensor<8x1x1xf32>, %u: tensor<8x8x1x1xf32>) -> tensor<2x8x7x7xf32> {
  // CHECK: %[[P:.*]] = graph.permute %[[X]] dims = [0, 2, 3, 1]
  // CHECK: %[[C:.*]] = graph.convolution %[[P]], %{{.*}} {channels_last} : (tensor<2x9x9x3xf32>, tensor<8x3x3x3xf32>) -> tensor<2x7x7x8xf32>
  // CHECK: %[[B:.*]] = graph.reshape %{{.*}} shape = [1, 1, 1, 8]
  // CHECK: %[[A:.*]] = graph.add %[[C]], %[[B]]
  // CHECK: %[[E:.*]] = graph.exp %[[A]] : tensor<2x7x7x8xf32>
  // CHECK: %[[M:.*]] = graph.mul %[[E]], %[[A]] : tensor<2x7x7x8xf32>
  // CHECK: %[[D:.*]] = graph.convolution %[[M]]
  // CHECK: %[[S:.*]] = graph.add %[[D]], %[[M]] : tensor<2x7x7x8xf32>
  // CHECK: %[[R:.*]] = graph.permute %[[S]] dims = [0, 3, 1, 2]
  // CHECK: return %[[R]]
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 : (tensor<2x3x9x9xf32>, tensor<8x3x3x3xf32>) -> tensor<2x8x7x7xf32>
  %1 = graph.add %0, %b : (tensor<2x8x7x7xf32>, tensor<8x1x1xf32>) -> tensor<2x8x7x7xf32>
  %2 = graph.exp %1 : tensor<2x8x7x7xf32>
  %3 = graph.mul %2, %1 : tensor<2x8x7x7xf32>
  %4 = graph.convolution %3, %u stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 : (tensor<2x8x7x7xf32>, tensor<8x8x1x1xf32>) -> tensor<2x8x7x7xf32>
  %5 = graph.add %4, %3 : tensor<2x8x7x7xf32>
  return %5 : tensor<2x8x7x7xf32>
}

// Pooling: a window's elements go before the channels.
// CHECK-LABEL: @pool
func.func @pool(%x: tensor<2x3x9x9xf32>, %w: tensor<8x3x1x1xf32>, %zero: tensor<f32>) -> tensor<2x8xf32> {
  // CHECK: %[[C:.*]] = graph.convolution
  // CHECK: %[[P:.*]] = graph.pad %[[C]], %{{.*}} low = [0, 1, 1, 0], high = [0, 1, 2, 0]
  // CHECK: %[[W:.*]] = graph.window %[[P]] dims = [1, 2], sizes = [3, 2], steps = [2, 2], dilations = [1, 1] : (tensor<2x11x12x8xf32>) -> tensor<2x5x6x8x3x2xf32>
  // CHECK: %[[L:.*]] = graph.permute %[[W]] dims = [0, 1, 2, 4, 5, 3]
  // CHECK: %[[M:.*]] = graph.reduce max %[[L]] dims = [3, 4] : (tensor<2x5x6x3x2x8xf32>) -> tensor<2x5x6x8xf32>
  // CHECK: %[[A:.*]] = graph.reduce sum %[[M]] dims = [1, 2] {keepdim} : (tensor<2x5x6x8xf32>) -> tensor<2x1x1x8xf32>
  // CHECK: %[[F:.*]] = graph.reshape %[[A]] shape = [2, 8]
  // CHECK: return %[[F]]
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 : (tensor<2x3x9x9xf32>, tensor<8x3x1x1xf32>) -> tensor<2x8x9x9xf32>
  %1 = graph.pad %0, %zero low = [0, 0, 1, 1], high = [0, 0, 1, 2] : (tensor<2x8x9x9xf32>, tensor<f32>) -> tensor<2x8x11x12xf32>
  %2 = graph.window %1 dims = [2, 3], sizes = [3, 2], steps = [2, 2], dilations = [1, 1] : (tensor<2x8x11x12xf32>) -> tensor<2x8x5x6x3x2xf32>
  %3 = graph.reduce max %2 dims = [4, 5] : (tensor<2x8x5x6x3x2xf32>) -> tensor<2x8x5x6xf32>
  %4 = graph.reduce sum %3 dims = [2, 3] {keepdim} : (tensor<2x8x5x6xf32>) -> tensor<2x8x1x1xf32>
  %5 = graph.reshape %4 shape = [2, 8] : (tensor<2x8x1x1xf32>) -> tensor<2x8xf32>
  return %5 : tensor<2x8xf32>
}

// Each movement in the other order.
// CHECK-LABEL: @movement
func.func @movement(%x: tensor<2x3x4x6xf32>, %w: tensor<8x3x1x1xf32>, %i: tensor<5xi64>) -> (tensor<2x2x4x5x2xf32>, tensor<2x24x8xf32>, tensor<3x2x8x4x6xf32>, tensor<2x4x6xi64>, tensor<2x2x8x12xf32>) {
  // CHECK: %[[C:.*]] = graph.convolution
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 : (tensor<2x3x4x6xf32>, tensor<8x3x1x1xf32>) -> tensor<2x8x4x6xf32>
  // CHECK: graph.concat %[[C]], %[[C]] dim = 3
  %1 = graph.concat %0, %0 dim = 1 : (tensor<2x8x4x6xf32>, tensor<2x8x4x6xf32>) -> tensor<2x16x4x6xf32>
  // CHECK: graph.slice %{{.*}} starts = [0, 0, 1, 8], limits = [2, 4, 6, 16], steps = [1, 1, 1, 2]
  %2 = graph.slice %1 starts = [0, 8, 0, 1], limits = [2, 16, 4, 6], steps = [1, 2, 1, 1] : (tensor<2x16x4x6xf32>) -> tensor<2x4x4x5xf32>
  // CHECK: graph.reverse %{{.*}} dims = [1]
  %3 = graph.reverse %2 dims = [2] : (tensor<2x4x4x5xf32>) -> tensor<2x4x4x5xf32>
  // CHECK: graph.gather %{{.*}}, %{{.*}} dim = 2
  %4 = graph.gather %3, %i dim = 3 : (tensor<2x4x4x5xf32>, tensor<5xi64>) -> tensor<2x4x4x5xf32>
  // CHECK: graph.reshape %{{.*}} shape = [2, 4, 5, 2, 2]
  %5 = graph.reshape %4 shape = [2, 2, 2, 4, 5] : (tensor<2x4x4x5xf32>) -> tensor<2x2x2x4x5xf32>
  // CHECK: %[[R0:.*]] = graph.permute %{{.*}} dims = [0, 4, 1, 2, 3]
  %6 = graph.permute %5 dims = [0, 2, 3, 4, 1] : (tensor<2x2x2x4x5xf32>) -> tensor<2x2x4x5x2xf32>
  // Pixels in a row come as they are stored.
  // CHECK: %[[R1:.*]] = graph.reshape %[[C]] shape = [2, 24, 8]
  %7 = graph.reshape %0 shape = [2, 8, 24] : (tensor<2x8x4x6xf32>) -> tensor<2x8x24xf32>
  %8 = graph.permute %7 dims = [0, 2, 1] : (tensor<2x8x24xf32>) -> tensor<2x24x8xf32>
  // CHECK: graph.broadcast %[[C]] shape = [3, 2, 4, 6, 8]
  // CHECK: %[[R2:.*]] = graph.permute %{{.*}} dims = [0, 1, 4, 2, 3]
  %9 = graph.broadcast %0 shape = [3, 2, 8, 4, 6] : (tensor<2x8x4x6xf32>) -> tensor<3x2x8x4x6xf32>
  // CHECK: graph.softmax %[[C]] dim = 3
  // CHECK: %[[R3:.*]] = graph.arg_reduce max %{{.*}} dim = 3
  %10 = graph.softmax %0 dim = 1 : tensor<2x8x4x6xf32>
  %11 = graph.arg_reduce max %10 dim = 1 : (tensor<2x8x4x6xf32>) -> tensor<2x4x6xi64>
  // Pixels out of channels: copied into the other order once.
  // CHECK: graph.reshape %[[C]] shape = [2, 4, 6, 2, 2, 2]
  // CHECK: graph.permute %{{.*}} dims = [0, 1, 4, 2, 5, 3]
  // CHECK: graph.reshape %{{.*}} shape = [2, 8, 12, 2]
  // CHECK: %[[R4:.*]] = graph.permute %{{.*}} dims = [0, 3, 1, 2]
  // CHECK: return %[[R0]], %[[R1]], %[[R2]], %[[R3]], %[[R4]]
  %12 = graph.reshape %0 shape = [2, 2, 2, 2, 4, 6] : (tensor<2x8x4x6xf32>) -> tensor<2x2x2x2x4x6xf32>
  %13 = graph.permute %12 dims = [0, 1, 4, 2, 5, 3] : (tensor<2x2x2x2x4x6xf32>) -> tensor<2x2x4x2x6x2xf32>
  %14 = graph.reshape %13 shape = [2, 2, 8, 12] : (tensor<2x2x4x2x6x2xf32>) -> tensor<2x2x8x12xf32>
  return %6, %8, %9, %11, %14 : tensor<2x2x4x5x2xf32>, tensor<2x24x8xf32>, tensor<3x2x8x4x6xf32>, tensor<2x4x6xi64>, tensor<2x2x8x12xf32>
}

// The norm of groups: every channel's own first, then groups', then a pair of numbers a channel.
// CHECK-LABEL: @group_norm
func.func @group_norm(%x: tensor<2x3x4x6xf32>, %w: tensor<8x3x1x1xf32>, %s: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<2x8x4x6xf32> {
  // CHECK: %[[C:.*]] = graph.convolution
  // CHECK: %[[X:.*]] = graph.reshape %[[C]] shape = [2, 24, 8]
  // CHECK: graph.reduce sum %[[X]] dims = [1] {keepdim}
  // CHECK: graph.reduce sum %{{.*}} dims = [1] {keepdim}
  // CHECK: graph.reduce sum %{{.*}} dims = [3] {keepdim} : (tensor<2x1x2x4xf32>) -> tensor<2x1x2x1xf32>
  // CHECK: graph.rsqrt %{{.*}} : tensor<2x1x2x1xf32>
  // CHECK: %[[S:.*]] = graph.reshape %{{.*}} shape = [2, 1, 8]
  // CHECK: %[[M:.*]] = graph.mul %[[X]], %[[S]]
  // CHECK: graph.add %[[M]], %{{.*}} -> tensor<2x24x8xf32>
  // CHECK: graph.permute %{{.*}} dims = [0, 3, 1, 2]
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 : (tensor<2x3x4x6xf32>, tensor<8x3x1x1xf32>) -> tensor<2x8x4x6xf32>
  %1 = graph.group_norm %0 weight %s bias %b groups = 2, eps = 1.000000e-05 : (tensor<2x8x4x6xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<2x8x4x6xf32>
  return %1 : tensor<2x8x4x6xf32>
}

// A parameter of which a call computes weights is read in the order of windows, and what is computed follows, also
// where it is repeated.
// CHECK-LABEL: @modulated
func.func @modulated(%x: tensor<1x16x6x6xf32>, %s: tensor<2x1x8x1x1xf32>) -> tensor<1x8x6x6xf32> {
  // CHECK: %[[W:.*]] = graph.parameter
  // CHECK: %[[O:.*]] = graph.permute %[[W]] dims = [0, 2, 3, 1] : (tensor<4x8x3x3xf32>) -> tensor<4x3x3x8xf32>
  // CHECK: %[[R:.*]] = graph.reshape %[[O]] {{.*}} -> tensor<1x4x3x3x8xf32>
  // CHECK: %[[M:.*]] = graph.mul %[[R]], %{{.*}} -> tensor<2x4x3x3x8xf32>
  // CHECK: %[[F:.*]] = graph.reshape %[[M]] {{.*}} -> tensor<8x3x3x8xf32>
  // CHECK: graph.permute %[[F]] dims = [0, 3, 1, 2]
  %w = graph.parameter "w" : tensor<4x8x3x3xf32>
  %0 = graph.reshape %w shape = [1, 4, 8, 3, 3] : (tensor<4x8x3x3xf32>) -> tensor<1x4x8x3x3xf32>
  %1 = graph.mul %0, %s : (tensor<1x4x8x3x3xf32>, tensor<2x1x8x1x1xf32>) -> tensor<2x4x8x3x3xf32>
  %2 = graph.reshape %1 shape = [8, 8, 3, 3] : (tensor<2x4x8x3x3xf32>) -> tensor<8x8x3x3xf32>
  %3 = graph.convolution %x, %2 stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 2 : (tensor<1x16x6x6xf32>, tensor<8x8x3x3xf32>) -> tensor<1x8x6x6xf32>
  return %3 : tensor<1x8x6x6xf32>
}

// A weight of parameters alone is made once, in any order.
// CHECK-LABEL: @made_once
func.func @made_once(%x: tensor<1x8x6x6xf32>) -> tensor<1x4x6x6xf32> {
  // CHECK: %[[W:.*]] = graph.parameter
  // CHECK: %[[A:.*]] = graph.abs %[[W]]
  // CHECK: graph.convolution %{{.*}}, %[[A]]
  %w = graph.parameter "w" : tensor<4x8x3x3xf32>
  %0 = graph.abs %w : tensor<4x8x3x3xf32>
  %1 = graph.convolution %x, %0 stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 : (tensor<1x8x6x6xf32>, tensor<4x8x3x3xf32>) -> tensor<1x4x6x6xf32>
  return %1 : tensor<1x4x6x6xf32>
}

// Nothing without convolutions.
// CHECK-LABEL: @none
func.func @none(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  // CHECK-NEXT: graph.permute
  // CHECK-NEXT: graph.exp
  // CHECK-NEXT: graph.permute
  // CHECK-NEXT: return
  %0 = graph.permute %x dims = [0, 2, 1] : (tensor<2x3x4xf32>) -> tensor<2x4x3xf32>
  %1 = graph.exp %0 : tensor<2x4x3xf32>
  %2 = graph.permute %1 dims = [0, 2, 1] : (tensor<2x4x3xf32>) -> tensor<2x3x4xf32>
  return %2 : tensor<2x3x4xf32>
}
