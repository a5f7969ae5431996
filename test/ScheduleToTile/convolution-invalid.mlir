// RUN: tessera-opt %s -tessera-schedule-to-tile -split-input-file -verify-diagnostics

func.func @width(%x: tensor<1x14x14x64xf32>, %p: tensor<1x2x576x32xf32>) -> tensor<1x14x14x64xf32> {
  // expected-error @+1 {{[convolution] panels of 32 channels do not fit a register tile of 16}}
  %0 = schedule.kernel convolution(%x, %p) {point = #schedule.convolution<algorithm = direct, mr = 7, nr = 16, block = 7, nSplit = 0, unroll = 2, prefetchB = 1>}
      : (tensor<1x14x14x64xf32>, tensor<1x2x576x32xf32>) -> tensor<1x14x14x64xf32> {
  ^bb0(%image: tensor<1x14x14x64xf32>, %panels: tensor<1x2x576x32xf32>):
    %w = schedule.unpack_kernels %panels : tensor<1x2x576x32xf32> to tensor<64x64x3x3xf32>
    %1 = graph.convolution %image, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x14x14x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x14x14x64xf32>
    schedule.yield %1 : tensor<1x14x14x64xf32>
  }
  return %0 : tensor<1x14x14x64xf32>
}

// -----

func.func @winograd(%x: tensor<1x14x14x64xf32>, %p: tensor<16x2x64x32xf32>) -> tensor<1x7x7x64xf32> {
  // expected-error @+1 {{[convolution] winograd needs f32 or pairs of bf16, kernels of 3x3, stride and dilation 1 and one group; choose direct}}
  %0 = schedule.kernel convolution(%x, %p) {point = #schedule.convolution<algorithm = winograd, mr = 7, nr = 32, block = 7, nSplit = 0, unroll = 2, prefetchB = 1>}
      : (tensor<1x14x14x64xf32>, tensor<16x2x64x32xf32>) -> tensor<1x7x7x64xf32> {
  ^bb0(%image: tensor<1x14x14x64xf32>, %panels: tensor<16x2x64x32xf32>):
    %w = schedule.unpack_kernels %panels : tensor<16x2x64x32xf32> to tensor<64x64x3x3xf32>
    %1 = graph.convolution %image, %w stride = [2, 2], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x14x14x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x7x7x64xf32>
    schedule.yield %1 : tensor<1x7x7x64xf32>
  }
  return %0 : tensor<1x7x7x64xf32>
}

// -----

func.func @unpacked(%x: tensor<1x14x14x64xf32>, %w: tensor<64x64x3x3xf32>) -> tensor<1x14x14x64xf32> {
  // expected-error @+1 {{[convolution] reads an input and schedule.unpack_kernels of another; run tessera-schedule-prepack}}
  %0 = schedule.kernel convolution(%x, %w) {point = #schedule.convolution<algorithm = direct, mr = 7, nr = 32, block = 7, nSplit = 0, unroll = 2, prefetchB = 1>}
      : (tensor<1x14x14x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x14x14x64xf32> {
  ^bb0(%image: tensor<1x14x14x64xf32>, %weight: tensor<64x64x3x3xf32>):
    %1 = graph.convolution %image, %weight stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x14x14x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x14x14x64xf32>
    schedule.yield %1 : tensor<1x14x14x64xf32>
  }
  return %0 : tensor<1x14x14x64xf32>
}

// -----

func.func @pairs(%x: tensor<1x8x16x7xbf16>, %p: tensor<1x1x14x32x2xbf16>) -> tensor<1x8x16x32xbf16> {
  // expected-error @+1 {{[convolution] pairs need an even number of channels a group that lie side by side, got 7 at a distance of 1; drop pairs}}
  %0 = schedule.kernel convolution(%x, %p) {point = #schedule.convolution<algorithm = direct, mr = 8, nr = 32, block = 8, nSplit = 0, unroll = 2, prefetchB = 1, pairs = true>}
      : (tensor<1x8x16x7xbf16>, tensor<1x1x14x32x2xbf16>) -> tensor<1x8x16x32xbf16> {
  ^bb0(%image: tensor<1x8x16x7xbf16>, %panels: tensor<1x1x14x32x2xbf16>):
    %w = schedule.unpack_kernels %panels : tensor<1x1x14x32x2xbf16> to tensor<32x7x2x2xbf16>
    %1 = graph.convolution %image, %w stride = [1, 1], padding_low = [1, 1], padding_high = [0, 0], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x8x16x7xbf16>, tensor<32x7x2x2xbf16>) -> tensor<1x8x16x32xbf16>
    schedule.yield %1 : tensor<1x8x16x32xbf16>
  }
  return %0 : tensor<1x8x16x32xbf16>
}
