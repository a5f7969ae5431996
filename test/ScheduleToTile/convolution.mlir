// RUN: tessera-opt %s -pass-pipeline='builtin.module(tessera-schedule-to-tile,canonicalize,cse)' -split-input-file | FileCheck %s

// Rows of the border leave out taps by the loop's bounds; the first tile of a row has products of its own, the first
// without the output whose tap is outside. Other tiles have one product for the taps and channels of a row.

// CHECK-LABEL: func.func @convolution_
// CHECK-SAME:    %[[X:.*]]: memref<2x16x32x16xf32, {{.*}}>, %[[P:.*]]: memref<1x2x144x32xf32
// CHECK:         scf.for %[[UNIT:.*]] =
// CHECK:           scf.for %[[PANEL:.*]] = %c0 to %c2
// CHECK:             scf.for %[[ROW:.*]] = %{{.*}} to %{{.*}} step %c1
// CHECK:               %[[LOW:.*]] = arith.maxsi
// CHECK:               %[[HIGH:.*]] = arith.minsi
// CHECK:               scf.for %[[TAP:.*]] = %[[LOW]] to %[[HIGH]] step %c1 iter_args
// CHECK:                 tile.mma {{.*}} depth %c16 {{.*}} vector<7x32xf32>
// CHECK:                 tile.mma {{.*}} depth %c32 {{.*}} vector<8x32xf32>
// CHECK:               tile.store
// CHECK:               scf.for %{{.*}} = %[[LOW]] to %[[HIGH]] step %c1 iter_args
// CHECK:                 memref.reinterpret_cast %[[X]] {{.*}} sizes: [8, 48], strides: [32, 1]
// CHECK:                 tile.mma {{.*}}, %[[P]][%c0, %[[PANEL]], %{{.*}}, %c0] depth %c48 prefetch
// CHECK:               tile.load {{.*}} -> vector<16xf32>
// CHECK:               arith.addf
func.func @direct(%x: tensor<2x16x32x16xf32>, %p: tensor<1x2x144x32xf32>, %b: tensor<64xf32>) -> tensor<2x8x16x64xf32> {
  %0 = schedule.kernel convolution(%x, %p, %b) {point = #schedule.convolution<algorithm = direct, mr = 8, nr = 32, block = 8, nSplit = 0, unroll = 2, prefetchB = 1>}
      : (tensor<2x16x32x16xf32>, tensor<1x2x144x32xf32>, tensor<64xf32>) -> tensor<2x8x16x64xf32> {
  ^bb0(%image: tensor<2x16x32x16xf32>, %panels: tensor<1x2x144x32xf32>, %bias: tensor<64xf32>):
    %w = schedule.unpack_kernels %panels : tensor<1x2x144x32xf32> to tensor<64x16x3x3xf32>
    %1 = graph.convolution %image, %w stride = [2, 2], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<2x16x32x16xf32>, tensor<64x16x3x3xf32>) -> tensor<2x8x16x64xf32>
    %2 = graph.add %1, %bias : (tensor<2x8x16x64xf32>, tensor<64xf32>) -> tensor<2x8x16x64xf32>
    schedule.yield %2 : tensor<2x8x16x64xf32>
  }
  return %0 : tensor<2x8x16x64xf32>
}

// -----

// Tiles to scratch, sixteen products, sums to outputs; inputs outside the image are not read.

// CHECK-LABEL: func.func @convolution_
// CHECK-SAME:    %[[X:.*]]: memref<1x14x14x64xf32, {{.*}}>, %[[P:.*]]: memref<16x2x64x32xf32
// CHECK-DAG:     %[[V:.*]] = memref.view {{.*}} to memref<16x49x64xf32>
// CHECK:         scf.for %[[UNIT:.*]] =
// CHECK-COUNT-16:  tile.load {{.*}} : memref<14x14x16xf32
// CHECK-COUNT-16:  tile.store {{.*}}, %[[V]]
// CHECK-COUNT-16:  tile.load {{.*}} valid {{.*}} : memref<14x14x16xf32
// CHECK:           scf.for %[[PRODUCT:.*]] = %c0 to %c16
// CHECK:             scf.for %[[PANEL:.*]] = %c0 to %c2
// CHECK:               tile.mma %{{.*}}, %[[V]][%[[PRODUCT]], %{{.*}}, %c0], %[[P]][%[[PRODUCT]], %[[PANEL]], %c0, %c0] depth %c64 prefetch
// CHECK-COUNT-16:  tile.load {{.*}} : memref<16x49x64xf32> -> vector<16xf32>
// CHECK-COUNT-4:   math.absf
func.func @winograd(%x: tensor<1x14x14x64xf32>, %p: tensor<16x2x64x32xf32>) -> tensor<1x14x14x64xf32> {
  %0 = schedule.kernel convolution(%x, %p) {point = #schedule.convolution<algorithm = winograd, mr = 7, nr = 32, block = 7, nSplit = 0, unroll = 2, prefetchB = 1>}
      : (tensor<1x14x14x64xf32>, tensor<16x2x64x32xf32>) -> tensor<1x14x14x64xf32> {
  ^bb0(%image: tensor<1x14x14x64xf32>, %panels: tensor<16x2x64x32xf32>):
    %w = schedule.unpack_kernels %panels : tensor<16x2x64x32xf32> to tensor<64x64x3x3xf32>
    %1 = graph.convolution %image, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x14x14x64xf32>, tensor<64x64x3x3xf32>) -> tensor<1x14x14x64xf32>
    %2 = graph.abs %1 : tensor<1x14x14x64xf32>
    schedule.yield %2 : tensor<1x14x14x64xf32>
  }
  return %0 : tensor<1x14x14x64xf32>
}

// -----

// Pairs of channels, in the image as in the panels: whole windows, and the part of one at the border.

// CHECK-LABEL: func.func @convolution_
// CHECK-SAME:    %[[X:.*]]: memref<1x8x24x4xbf16, {{.*}}>, %[[P:.*]]: memref<1x1x18x32x2xbf16
// CHECK:         tile.mma {{.*}} depth %c4 {{.*}}pairs{{.*}} vector<7x32xf32>
// CHECK:         memref.reinterpret_cast %[[X]] {{.*}} sizes: [8, 6, 2], strides: [4, 2, 1]
// CHECK:         tile.mma {{.*}}, %[[P]][%c0, %c0, %{{.*}}, %c0, %c0] depth %c12 prefetch{{.*}}pairs{{.*}} vector<8x32xf32>
// CHECK:         arith.truncf
func.func @pairs(%x: tensor<1x8x24x4xbf16>, %p: tensor<1x1x18x32x2xbf16>) -> tensor<1x8x24x32xbf16> {
  %0 = schedule.kernel convolution(%x, %p) {point = #schedule.convolution<algorithm = direct, mr = 8, nr = 32, block = 8, nSplit = 0, unroll = 2, prefetchB = 1, pairs = true>}
      : (tensor<1x8x24x4xbf16>, tensor<1x1x18x32x2xbf16>) -> tensor<1x8x24x32xbf16> {
  ^bb0(%image: tensor<1x8x24x4xbf16>, %panels: tensor<1x1x18x32x2xbf16>):
    %w = schedule.unpack_kernels %panels : tensor<1x1x18x32x2xbf16> to tensor<32x4x3x3xbf16>
    %1 = graph.convolution %image, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 1 {channels_last} : (tensor<1x8x24x4xbf16>, tensor<32x4x3x3xbf16>) -> tensor<1x8x24x32xbf16>
    schedule.yield %1 : tensor<1x8x24x32xbf16>
  }
  return %0 : tensor<1x8x24x32xbf16>
}
