// RUN: tessera-opt %s --split-input-file --tessera-graph-expand-convolutions --verify-diagnostics | FileCheck %s

// Windows with a border, one row each.
// CHECK-LABEL: @dense
// CHECK-SAME: (%[[X:.*]]: tensor<2x9x9x16xf32>, %[[W:.*]]: tensor<32x16x3x3xf32>)
func.func @dense(%x: tensor<2x9x9x16xf32>, %w: tensor<32x16x3x3xf32>) -> tensor<2x5x5x32xf32> {
  // CHECK: %[[P:.*]] = graph.pad %[[X]], %{{.*}} low = [0, 1, 1, 0], high = [0, 1, 1, 0]
  // CHECK: %[[V:.*]] = graph.window %[[P]] dims = [1, 2], sizes = [3, 3], steps = [2, 2], dilations = [1, 1]
  // CHECK: %[[C:.*]] = graph.permute %[[V]] dims = [0, 1, 2, 4, 5, 3]
  // CHECK: %[[A:.*]] = graph.reshape %[[C]] shape = [50, 144]
  // CHECK: %[[K:.*]] = graph.permute %[[W]] dims = [0, 2, 3, 1]
  // CHECK: %[[B:.*]] = graph.reshape %[[K]] shape = [32, 144]
  // CHECK: %[[M:.*]] = graph.matmul %[[A]], %[[B]] {transpose_b} : (tensor<50x144xf32>, tensor<32x144xf32>) -> tensor<50x32xf32>
  // CHECK: graph.reshape %[[M]] shape = [2, 5, 5, 32]
  %0 = graph.convolution %x, %w stride = [2, 2], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<2x9x9x16xf32>, tensor<32x16x3x3xf32>) -> tensor<2x5x5x32xf32>
  return %0 : tensor<2x5x5x32xf32>
}

// -----

// Pixels as they lie: no window, no copy.
// CHECK-LABEL: @pixelwise
func.func @pixelwise(%x: tensor<2x9x9x16xf32>, %w: tensor<32x16x1x1xf32>) -> tensor<2x9x9x32xf32> {
  // CHECK-NOT: graph.window
  // CHECK: %[[A:.*]] = graph.reshape %{{.*}} shape = [162, 16]
  // CHECK: %[[B:.*]] = graph.reshape %{{.*}} shape = [32, 16]
  // CHECK: graph.matmul %[[A]], %[[B]] {transpose_b} : (tensor<162x16xf32>, tensor<32x16xf32>) -> tensor<162x32xf32>
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<2x9x9x16xf32>, tensor<32x16x1x1xf32>) -> tensor<2x9x9x32xf32>
  return %0 : tensor<2x9x9x32xf32>
}

// -----

// A number a channel scales the weights, which are fewer than the pixels.
// CHECK-LABEL: @scaled
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<1x20x20x16xf32>, %[[S:[a-z0-9]+]]: tensor
func.func @scaled(%x: tensor<1x20x20x16xf32>, %s: tensor<1x1x1x16xf32>, %w: tensor<32x16x1x1xf32>) -> tensor<1x20x20x32xf32> {
  // CHECK: %[[A:.*]] = graph.reshape %[[X]] shape = [400, 16]
  // CHECK: %[[V:.*]] = graph.reshape %[[S]] shape = [16]
  // CHECK: %[[K:.*]] = graph.mul %{{.*}}, %[[V]] : (tensor<32x1x1x16xf32>, tensor<16xf32>) -> tensor<32x1x1x16xf32>
  // CHECK: %[[B:.*]] = graph.reshape %[[K]] shape = [32, 16]
  // CHECK: graph.matmul %[[A]], %[[B]] {transpose_b}
  %0 = graph.mul %x, %s : (tensor<1x20x20x16xf32>, tensor<1x1x1x16xf32>) -> tensor<1x20x20x16xf32>
  %1 = graph.convolution %0, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x20x20x16xf32>, tensor<32x16x1x1xf32>) -> tensor<1x20x20x32xf32>
  return %1 : tensor<1x20x20x32xf32>
}

// -----

// But not where there are few pixels, nor numbers that differ from image to image.
// CHECK-LABEL: @not_scaled
// CHECK-COUNT-2: graph.mul %{{.*}} -> tensor<{{[0-9]+x[0-9]+x[0-9]+}}x16xf32>
// CHECK-NOT: graph.mul
func.func @not_scaled(%x: tensor<1x4x4x16xf32>, %y: tensor<2x20x20x16xf32>, %s: tensor<1x1x1x16xf32>, %t: tensor<2x1x1x16xf32>, %w: tensor<32x16x1x1xf32>) -> (tensor<1x4x4x32xf32>, tensor<2x20x20x32xf32>) {
  %0 = graph.mul %x, %s : (tensor<1x4x4x16xf32>, tensor<1x1x1x16xf32>) -> tensor<1x4x4x16xf32>
  %1 = graph.convolution %0, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x4x4x16xf32>, tensor<32x16x1x1xf32>) -> tensor<1x4x4x32xf32>
  %2 = graph.mul %y, %t : (tensor<2x20x20x16xf32>, tensor<2x1x1x16xf32>) -> tensor<2x20x20x16xf32>
  %3 = graph.convolution %2, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<2x20x20x16xf32>, tensor<32x16x1x1xf32>) -> tensor<2x20x20x32xf32>
  return %1, %3 : tensor<1x4x4x32xf32>, tensor<2x20x20x32xf32>
}

// -----

// An image stored by channels is a product of its own: its pixels are at one distance.
// CHECK-LABEL: @by_channels
func.func @by_channels(%x: tensor<2x16x81xf32>, %w: tensor<32x16x1xf32>) -> tensor<2x32x81xf32> {
  // CHECK: %[[P:.*]] = graph.permute %{{.*}} dims = [0, 2, 1]
  // CHECK: %[[A:.*]] = graph.reshape %[[P]] shape = [2, 81, 16]
  // CHECK: graph.matmul %[[A]], %{{.*}} {transpose_b} : (tensor<2x81x16xf32>, tensor<32x16xf32>) -> tensor<2x81x32xf32>
  // CHECK: graph.permute %{{.*}} dims = [0, 2, 1] : (tensor<2x81x32xf32>) -> tensor<2x32x81xf32>
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 1 : (tensor<2x16x81xf32>, tensor<32x16x1xf32>) -> tensor<2x32x81xf32>
  return %0 : tensor<2x32x81xf32>
}

// -----

// CHECK-LABEL: @grouped
func.func @grouped(%x: tensor<1x9x12xf32>, %w: tensor<8x3x3xf32>) -> tensor<1x7x8xf32> {
  // CHECK: %[[A:.*]] = graph.reshape %{{.*}} shape = [4, 7, 9]
  // CHECK: %[[B:.*]] = graph.reshape %{{.*}} shape = [4, 2, 9]
  // CHECK: %[[M:.*]] = graph.matmul %[[A]], %[[B]] {transpose_b} : (tensor<4x7x9xf32>, tensor<4x2x9xf32>) -> tensor<4x7x2xf32>
  // CHECK: %[[P:.*]] = graph.permute %[[M]] dims = [1, 0, 2]
  // CHECK: graph.reshape %[[P]] shape = [1, 7, 8]
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 4 {channels_last} : (tensor<1x9x12xf32>, tensor<8x3x3xf32>) -> tensor<1x7x8xf32>
  return %0 : tensor<1x7x8xf32>
}

// -----

// What follows a batch of products is computed in its shape, before groups come side by side.
// CHECK-LABEL: @grouped_epilogue
// CHECK-SAME: %[[R:[a-z0-9]+]]: tensor<1x7x8xf32>)
func.func @grouped_epilogue(%x: tensor<1x9x12xf32>, %w: tensor<8x3x3xf32>, %b: tensor<1x1x8xf32>, %r: tensor<1x7x8xf32>) -> tensor<1x7x8xf32> {
  // CHECK: %[[M:.*]] = graph.matmul
  // CHECK: %[[B:.*]] = graph.reshape %{{.*}} shape = [4, 1, 2]
  // CHECK: %[[A:.*]] = graph.add %[[M]], %[[B]] : (tensor<4x7x2xf32>, tensor<4x1x2xf32>) -> tensor<4x7x2xf32>
  // CHECK: %[[T:.*]] = graph.tanh %[[A]] : tensor<4x7x2xf32>
  // CHECK: %[[S:.*]] = graph.reshape %[[R]] shape = [7, 4, 2]
  // CHECK: %[[Q:.*]] = graph.permute %[[S]] dims = [1, 0, 2]
  // CHECK: %[[O:.*]] = graph.add %[[T]], %[[Q]] : tensor<4x7x2xf32>
  // CHECK: %[[P:.*]] = graph.permute %[[O]] dims = [1, 0, 2]
  // CHECK: %[[J:.*]] = graph.reshape %[[P]] shape = [1, 7, 8]
  // CHECK: return %[[J]]
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 4 {channels_last} : (tensor<1x9x12xf32>, tensor<8x3x3xf32>) -> tensor<1x7x8xf32>
  %1 = graph.add %0, %b : (tensor<1x7x8xf32>, tensor<1x1x8xf32>) -> tensor<1x7x8xf32>
  %2 = graph.tanh %1 : tensor<1x7x8xf32>
  %3 = graph.add %2, %r : tensor<1x7x8xf32>
  return %3 : tensor<1x7x8xf32>
}

// -----

// A channel a group has kernels of its own: the convolution stays, on an input with channels inside.
// CHECK-LABEL: @channelwise
// CHECK-SAME: %[[X:.*]]: tensor<1x8x9x9xbf16>, %[[W:.*]]: tensor
func.func @channelwise(%x: tensor<1x8x9x9xbf16>, %w: tensor<16x1x3x3xbf16>) -> tensor<1x5x5x16xbf16> {
  // CHECK: %[[P:.*]] = graph.permute %[[X]]
  // CHECK: %[[C:.*]] = graph.concat %[[P]]
  // CHECK: %[[O:.*]] = graph.convolution %[[C]], %[[W]] {{.*}}groups = 8 {channels_last}
  // CHECK: return %[[O]]
  %p = graph.permute %x dims = [0, 2, 3, 1] : (tensor<1x8x9x9xbf16>) -> tensor<1x9x9x8xbf16>
  %0 = graph.convolution %p, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [2, 2], groups = 8 {channels_last} : (tensor<1x9x9x8xbf16>, tensor<16x1x3x3xbf16>) -> tensor<1x5x5x16xbf16>
  return %0 : tensor<1x5x5x16xbf16>
}

// -----

// What those do not take, five outputs a channel here: sums of products, over views of the input.
// CHECK-LABEL: @many_outputs
func.func @many_outputs(%x: tensor<1x9x9x8xbf16>, %w: tensor<40x1x3x3xbf16>) -> tensor<1x5x5x40xbf16> {
  // CHECK: %[[V:.*]] = graph.window %{{.*}} dilations = [2, 2]
  // CHECK: %[[C:.*]] = graph.permute %[[V]] dims = [0, 1, 2, 4, 5, 3]
  // CHECK: %[[S:.*]] = graph.reshape %[[C]] shape = [1, 5, 5, 3, 3, 8, 1]
  // CHECK: graph.concat
  // CHECK: %[[K:.*]] = graph.reshape %{{.*}} shape = [3, 3, 8, 5]
  // CHECK: %[[M:.*]] = graph.mul %{{.*}} -> tensor<1x5x5x3x3x8x5xf32>
  // CHECK: %[[R:.*]] = graph.reduce sum %[[M]] dims = [3, 4] {keepdim}
  // CHECK: %[[O:.*]] = graph.reshape %[[R]] shape = [1, 5, 5, 40]
  // CHECK: graph.cast %[[O]]
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [2, 2], groups = 8 {channels_last} : (tensor<1x9x9x8xbf16>, tensor<40x1x3x3xbf16>) -> tensor<1x5x5x40xbf16>
  return %0 : tensor<1x5x5x40xbf16>
}

// -----

func.func @dynamic(%x: tensor<?x9x8xf32>, %w: tensor<16x8x3xf32>) -> tensor<?x7x16xf32> {
  // expected-error@+1 {{'graph.convolution' op [expand-convolutions] needs sizes known when it is compiled, got 'tensor<?x9x8xf32>' and 'tensor<16x8x3xf32>'; compile for each size that occurs}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 1 {channels_last} : (tensor<?x9x8xf32>, tensor<16x8x3xf32>) -> tensor<?x7x16xf32>
  return %0 : tensor<?x7x16xf32>
}
