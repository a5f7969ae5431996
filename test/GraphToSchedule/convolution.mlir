// RUN: tessera-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(tessera-schedule-claim-convolutions,tessera-graph-expand-convolutions,tessera-graph-sink-reshapes,tessera-graph-to-schedule,tessera-schedule-choose,tessera-schedule-prepack))' | FileCheck %s
// RUN: tessera-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(tessera-schedule-claim-convolutions{any-sizes=true}))' | FileCheck %s --check-prefix=ANY
// RUN: tessera-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(tessera-schedule-claim-convolutions{bf16-dot},tessera-graph-expand-convolutions,tessera-graph-to-schedule,tessera-schedule-choose{bf16-dot},tessera-schedule-prepack))' | FileCheck %s --check-prefix=DOT
// ANY-NOT: graph.claimed

// A convolution of a parameter is a kernel of its own, with what follows in its shape. Its weight is brought into the
// order in which windows are read and packed, both once.

// CHECK-LABEL: func.func @direct
// CHECK:         %[[W:.*]] = graph.parameter "w"
// CHECK:         %[[V:.*]] = schedule.view %[[W]] offset 0 strides [144, 3, 1, 9] : tensor<64x16x3x3xf32> to tensor<64x3x3x16xf32>
// CHECK:         %[[K:.*]] = schedule.kernel elementwise(%[[V]]) {{.*}}prepare
// CHECK:         %[[M:.*]] = schedule.view %[[K]] offset 0 strides [9216, 1, 144] : tensor<64x3x3x16xf32> to tensor<1x144x64xf32>
// CHECK:         %[[P:.*]] = schedule.kernel pack(%[[M]]) {prepare} : (tensor<1x144x64xf32>) -> tensor<1x2x144x32xf32>
// CHECK:         schedule.kernel convolution(%arg0, %{{.*}}, %[[P]]) {point = #schedule.convolution<algorithm = direct, mr = 8, nr = 32, block = 16, nSplit = 0, unroll = 2, prefetchB = 1>, space = {algorithm = ["direct"]
// CHECK:           %[[U:.*]] = schedule.unpack_kernels %{{.*}} : tensor<1x2x144x32xf32> to tensor<64x16x3x3xf32>
// CHECK:           graph.convolution %{{.*}}, %[[U]]
// CHECK:           graph.add
func.func @direct(%x: tensor<2x32x32x16xf32>, %b: tensor<64xf32>) -> tensor<2x16x16x64xf32> {
  %w = graph.parameter "w" : tensor<64x16x3x3xf32>
  %0 = graph.convolution %x, %w stride = [2, 2], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<2x32x32x16xf32>, tensor<64x16x3x3xf32>) -> tensor<2x16x16x64xf32>
  %1 = graph.add %0, %b : (tensor<2x16x16x64xf32>, tensor<64xf32>) -> tensor<2x16x16x64xf32>
  return %1 : tensor<2x16x16x64xf32>
}

// -----

// Kernels of 3x3 taps are transformed for sixteen products of tiles where that costs less.

// CHECK-LABEL: func.func @winograd
// CHECK:         %[[G:.*]] = graph.constant {{.*}} : tensor<16x9xf32>
// CHECK:         %[[T:.*]] = schedule.kernel contraction(%[[G]], %{{.*}}) {point = {{.*}}prepare{{.*}} : (tensor<16x9xf32>, tensor<64x9x64xf32>) -> tensor<64x16x64xf32>
// CHECK:         %[[V:.*]] = schedule.view %[[T]] offset 0 strides [64, 1, 1024] : tensor<64x16x64xf32> to tensor<16x64x64xf32>
// CHECK:         schedule.kernel pack(%[[V]]) {prepare} : (tensor<16x64x64xf32>) -> tensor<16x2x64x32xf32>
// CHECK:         schedule.kernel convolution({{.*}}algorithm = winograd, {{.*}}space = {algorithm = ["direct", "winograd"]
func.func @winograd(%x: tensor<1x56x56x64xf32>) -> tensor<1x56x56x64xf32> {
  %w = graph.parameter "w" : tensor<64x64x3x3xf32>
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x56x56x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x56x56x64xf32>
  return %0 : tensor<1x56x56x64xf32>
}

// -----

// An image stored by channels is copied first, unless it has few of them.

// CHECK-LABEL: func.func @by_channels
// CHECK:         %[[V:.*]] = schedule.view %arg0 {{.*}} to tensor<1x20x20x16xf32>
// CHECK:         %[[C:.*]] = schedule.kernel elementwise(%[[V]]) {{.*}} -> tensor<1x20x20x16xf32>
// CHECK:         schedule.kernel convolution(%[[C]],
func.func @by_channels(%x: tensor<1x16x20x20xf32>) -> tensor<1x20x20x16xf32> {
  %w = graph.parameter "w" : tensor<16x16x3x3xf32>
  %0 = graph.permute %x dims = [0, 2, 3, 1] : (tensor<1x16x20x20xf32>) -> tensor<1x20x20x16xf32>
  %1 = graph.convolution %0, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x20x20x16xf32>, tensor<16x16x3x3xf32>) -> tensor<1x20x20x16xf32>
  return %1 : tensor<1x20x20x16xf32>
}

// -----

// CHECK-LABEL: func.func @planes
// CHECK:         %[[V:.*]] = schedule.view %arg0 {{.*}} to tensor<1x20x20x3xf32>
// CHECK:         schedule.kernel convolution(%[[V]],
func.func @planes(%x: tensor<1x3x20x20xf32>) -> tensor<1x20x20x16xf32> {
  %w = graph.parameter "w" : tensor<16x3x3x3xf32>
  %0 = graph.permute %x dims = [0, 2, 3, 1] : (tensor<1x3x20x20xf32>) -> tensor<1x20x20x3xf32>
  %1 = graph.convolution %0, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x20x20x3xf32>, tensor<16x3x3x3xf32>) -> tensor<1x20x20x16xf32>
  return %1 : tensor<1x20x20x16xf32>
}

// -----

// What follows keeps the convolution's shape, also in front of a product of pixels.

// CHECK-LABEL: func.func @before_a_product
// CHECK:         schedule.kernel convolution
// CHECK:           graph.abs %{{.*}} : tensor<1x20x20x16xf32>
// CHECK:         schedule.kernel contraction
func.func @before_a_product(%x: tensor<1x20x20x16xf32>) -> tensor<1x20x20x8xf32> {
  %w = graph.parameter "w" : tensor<16x16x3x3xf32>
  %v = graph.parameter "v" : tensor<8x16x1x1xf32>
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x20x20x16xf32>, tensor<16x16x3x3xf32>) -> tensor<1x20x20x16xf32>
  %1 = graph.abs %0 : tensor<1x20x20x16xf32>
  %2 = graph.convolution %1, %v stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x20x20x16xf32>, tensor<8x16x1x1xf32>) -> tensor<1x20x20x8xf32>
  return %2 : tensor<1x20x20x8xf32>
}

// -----

// A weight that a call is given or computes is packed by every call; one in the kernel's order is not copied before.

// CHECK-LABEL: func.func @computed
// CHECK:         %[[V:.*]] = schedule.view %arg1 offset 0 strides [144, 3, 1, 9] : tensor<16x16x3x3xf32> to tensor<16x3x3x16xf32>
// CHECK:         %[[C:.*]] = schedule.kernel elementwise(%[[V]])
// CHECK-NOT:     prepare
// CHECK:         schedule.kernel pack
// CHECK:         schedule.kernel convolution(%arg0
func.func @computed(%x: tensor<1x20x20x16xf32>, %w: tensor<16x16x3x3xf32>) -> tensor<1x20x20x16xf32> {
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x20x20x16xf32>, tensor<16x16x3x3xf32>) -> tensor<1x20x20x16xf32>
  return %0 : tensor<1x20x20x16xf32>
}

// CHECK-LABEL: func.func @computed_in_order
// CHECK:         %[[W:.*]] = schedule.kernel elementwise
// CHECK-NOT:     schedule.kernel elementwise
// CHECK:         schedule.view %[[W]] offset 0 strides [2304, 1, 144] : tensor<16x3x3x16xf32> to tensor<1x144x16xf32>
// CHECK-NEXT:    schedule.kernel pack
func.func @computed_in_order(%x: tensor<1x20x20x16xf32>, %w: tensor<16x3x3x16xf32>) -> tensor<1x20x20x16xf32> {
  %0 = graph.abs %w : tensor<16x3x3x16xf32>
  %1 = graph.permute %0 dims = [0, 3, 1, 2] : (tensor<16x3x3x16xf32>) -> tensor<16x16x3x3xf32>
  %2 = graph.convolution %x, %1 stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x20x20x16xf32>, tensor<16x16x3x3xf32>) -> tensor<1x20x20x16xf32>
  return %2 : tensor<1x20x20x16xf32>
}

// -----

// Rows too short for a tile: products of rows of windows.

// CHECK-LABEL: func.func @expanded
// CHECK-NOT:     kernel convolution
// CHECK:         schedule.kernel contraction
func.func @expanded(%x: tensor<1x20x20x16xf32>) -> tensor<1x18x1x16xf32> {
  %v = graph.parameter "v" : tensor<16x16x3x20xf32>
  %0 = graph.convolution %x, %v stride = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x20x20x16xf32>, tensor<16x16x3x20xf32>) -> tensor<1x18x1x16xf32>
  return %0 : tensor<1x18x1x16xf32>
}

// -----

// Blocks of tiles fill the image: of fourteen rows two at a time, though three would fit.

// CHECK-LABEL: func.func @full_blocks
// CHECK:         #schedule.convolution<algorithm = winograd, mr = {{[0-9]+}}, nr = 32, block = 2,
func.func @full_blocks(%x: tensor<1x28x28x256xf32>) -> tensor<1x28x28x512xf32> {
  %w = graph.parameter "w" : tensor<512x256x3x3xf32>
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x28x28x256xf32>, tensor<512x256x3x3xf32>) -> tensor<1x28x28x512xf32>
  return %0 : tensor<1x28x28x512xf32>
}

// -----

// Where the machine multiplies pairs, of channels: panels of them, rounded from the parameter in one go. An odd number
// of channels is multiplied in rows of windows, which end in half a pair.

// DOT-LABEL: func.func @pairs
// DOT:         %[[V:.*]] = schedule.view %{{.*}} : tensor<64x16x3x3xf32> to tensor<64x3x3x16xf32>
// DOT:         schedule.kernel pack({{.*}}) {prepare} : (tensor<1x144x64xf32>) -> tensor<1x2x72x32x2xbf16>
// DOT:         schedule.kernel convolution({{.*}}algorithm = direct, mr = 8, nr = 32, {{.*}}pairs = true>
// DOT:           schedule.unpack_kernels %{{.*}} : tensor<1x2x72x32x2xbf16> to tensor<64x16x3x3xbf16>
// DOT-LABEL: func.func @odd
// DOT-NOT:     schedule.kernel convolution
// CHECK-LABEL: func.func @pairs
// CHECK-NOT:     schedule.kernel convolution
func.func @pairs(%x: tensor<2x32x32x16xbf16>) -> tensor<2x16x16x64xbf16> {
  %w = graph.parameter "w" : tensor<64x16x3x3xf32>
  %r = graph.cast %w to bf16 : (tensor<64x16x3x3xf32>) -> tensor<64x16x3x3xbf16>
  %0 = graph.convolution %x, %r stride = [2, 2], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<2x32x32x16xbf16>, tensor<64x16x3x3xbf16>) -> tensor<2x16x16x64xbf16>
  return %0 : tensor<2x16x16x64xbf16>
}

// -----

func.func @odd(%x: tensor<2x32x32x15xbf16>) -> tensor<2x16x16x64xbf16> {
  %w = graph.parameter "w" : tensor<64x15x3x3xbf16>
  %0 = graph.convolution %x, %w stride = [2, 2], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<2x32x32x15xbf16>, tensor<64x15x3x3xbf16>) -> tensor<2x16x16x64xbf16>
  return %0 : tensor<2x16x16x64xbf16>
}

// -----

// Where precision is bf16, pairs go through Winograd's algorithm: the parameter's transform is rounded, once. A graph's
// own bf16 does not.

// DOT-LABEL: func.func @rounded
// DOT:         schedule.kernel pack({{.*}}) {prepare} : (tensor<16x64x64xf32>) -> tensor<16x2x32x32x2xbf16>
// DOT:         schedule.kernel convolution({{.*}}algorithm = winograd, {{.*}}pairs = true>
// DOT-LABEL: func.func @own
// DOT:         schedule.kernel convolution({{.*}}algorithm = direct, {{.*}}pairs = true>
func.func @rounded(%x: tensor<1x56x56x64xbf16>) -> tensor<1x56x56x64xbf16> attributes {graph.precision = "bf16"} {
  %w = graph.parameter "w" : tensor<64x64x3x3xf32>
  %r = graph.cast %w to bf16 : (tensor<64x64x3x3xf32>) -> tensor<64x64x3x3xbf16>
  %0 = graph.convolution %x, %r stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x56x56x64xbf16>, tensor<64x64x3x3xbf16>) -> tensor<1x56x56x64xbf16>
  return %0 : tensor<1x56x56x64xbf16>
}
func.func @own(%x: tensor<1x56x56x64xbf16>) -> tensor<1x56x56x64xbf16> {
  %w = graph.parameter "w" : tensor<64x64x3x3xbf16>
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x56x56x64xbf16>, tensor<64x64x3x3xbf16>) -> tensor<1x56x56x64xbf16>
  return %0 : tensor<1x56x56x64xbf16>
}
