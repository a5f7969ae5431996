// RUN: tessera-opt %s -tessera-schedule-to-tile -split-input-file -verify-diagnostics

func.func @main(%x: tensor<1x6x8x32xf32>, %p: tensor<2x9x16xf32>, %k: tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32> {
  // expected-error @below {{[depthwise] needs a #schedule.depthwise point}}
  %0 = schedule.kernel depthwise(%x, %p)
      : (tensor<1x6x8x32xf32>, tensor<2x9x16xf32>) -> tensor<1x6x8x32xf32> {
  ^bb0(%a: tensor<1x6x8x32xf32>, %panels: tensor<2x9x16xf32>):
    %c = schedule.unpack %panels : tensor<2x9x16xf32> to tensor<9x32xf32>
    %r = graph.reshape %c shape = [3, 3, 32, 1] : (tensor<9x32xf32>) -> tensor<3x3x32x1xf32>
    %w = graph.permute %r dims = [2, 3, 0, 1] : (tensor<3x3x32x1xf32>) -> tensor<32x1x3x3xf32>
    %1 = graph.convolution %a, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 32 {channels_last} : (tensor<1x6x8x32xf32>, tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32>
    schedule.yield %1 : tensor<1x6x8x32xf32>
  }
  return %0 : tensor<1x6x8x32xf32>
}

// -----

func.func @main(%x: tensor<1x6x8x32xf32>, %p: tensor<2x9x16xf32>, %k: tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32> {
  // expected-error @below {{[depthwise] sizes must be positive}}
  %0 = schedule.kernel depthwise(%x, %p) {point = #schedule.depthwise<lanes = 16, vectors = 1, tw = 0, rows = 6>}
      : (tensor<1x6x8x32xf32>, tensor<2x9x16xf32>) -> tensor<1x6x8x32xf32> {
  ^bb0(%a: tensor<1x6x8x32xf32>, %panels: tensor<2x9x16xf32>):
    %c = schedule.unpack %panels : tensor<2x9x16xf32> to tensor<9x32xf32>
    %r = graph.reshape %c shape = [3, 3, 32, 1] : (tensor<9x32xf32>) -> tensor<3x3x32x1xf32>
    %w = graph.permute %r dims = [2, 3, 0, 1] : (tensor<3x3x32x1xf32>) -> tensor<32x1x3x3xf32>
    %1 = graph.convolution %a, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 32 {channels_last} : (tensor<1x6x8x32xf32>, tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32>
    schedule.yield %1 : tensor<1x6x8x32xf32>
  }
  return %0 : tensor<1x6x8x32xf32>
}

// -----

func.func @main(%x: tensor<1x6x8x32xf32>, %p: tensor<2x9x16xf32>, %k: tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32> {
  // expected-error @below {{[depthwise] panels of 16 channels do not fit}}
  %0 = schedule.kernel depthwise(%x, %p) {point = #schedule.depthwise<lanes = 8, vectors = 1, tw = 2, rows = 6>}
      : (tensor<1x6x8x32xf32>, tensor<2x9x16xf32>) -> tensor<1x6x8x32xf32> {
  ^bb0(%a: tensor<1x6x8x32xf32>, %panels: tensor<2x9x16xf32>):
    %c = schedule.unpack %panels : tensor<2x9x16xf32> to tensor<9x32xf32>
    %r = graph.reshape %c shape = [3, 3, 32, 1] : (tensor<9x32xf32>) -> tensor<3x3x32x1xf32>
    %w = graph.permute %r dims = [2, 3, 0, 1] : (tensor<3x3x32x1xf32>) -> tensor<32x1x3x3xf32>
    %1 = graph.convolution %a, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 32 {channels_last} : (tensor<1x6x8x32xf32>, tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32>
    schedule.yield %1 : tensor<1x6x8x32xf32>
  }
  return %0 : tensor<1x6x8x32xf32>
}

// -----

func.func @main(%x: tensor<1x6x8x32xf32>, %p: tensor<2x9x16xf32>, %k: tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32> {
  // expected-error @below {{its weights from panels; compute them in kernels of their own}}
  %0 = schedule.kernel depthwise(%x, %k) {point = #schedule.depthwise<lanes = 16, vectors = 1, tw = 2, rows = 6>}
      : (tensor<1x6x8x32xf32>, tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32> {
  ^bb0(%a: tensor<1x6x8x32xf32>, %w: tensor<32x1x3x3xf32>):
    %1 = graph.convolution %a, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 32 {channels_last} : (tensor<1x6x8x32xf32>, tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32>
    schedule.yield %1 : tensor<1x6x8x32xf32>
  }
  return %0 : tensor<1x6x8x32xf32>
}

// -----

func.func @main(%x: tensor<1x6x8x32xf32>, %p: tensor<2x9x16xf32>, %k: tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32> {
  // expected-error @below {{[depthwise] body must hold exactly one graph.convolution}}
  %0 = schedule.kernel depthwise(%x, %p) {point = #schedule.depthwise<lanes = 16, vectors = 1, tw = 2, rows = 6>}
      : (tensor<1x6x8x32xf32>, tensor<2x9x16xf32>) -> tensor<1x6x8x32xf32> {
  ^bb0(%a: tensor<1x6x8x32xf32>, %panels: tensor<2x9x16xf32>):
    schedule.yield %a : tensor<1x6x8x32xf32>
  }
  return %0 : tensor<1x6x8x32xf32>
}
