// RUN: tessera-opt %s -pass-pipeline='builtin.module(tessera-schedule-to-tile,canonicalize,cse)' | FileCheck %s

// Tiles at both ends of a row leave out the columns of the kernel outside of the image; those
// between share their code. Rows outside are not in the loop's bounds.

// CHECK:         schedule.launch depthwise {{.*}} units = 2 : i64
// CHECK-LABEL: func.func @depthwise_
// CHECK:         scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c1
// CHECK:           scf.for %[[ROW:.*]] = %c0 to %c6
// The first tile: two outputs see three columns, and the third is not the image's first.
// CHECK:             %[[LOW:.*]] = arith.minsi
// CHECK:             scf.for %{{.*}} = %{{.*}} to %[[LOW]] {{.*}} iter_args(%{{.*}}, %{{.*}}) -> (vector<16xf32>, vector<16xf32>)
// CHECK-COUNT-5:       math.fma
// CHECK-NOT:           math.fma
// CHECK:               scf.yield
// Two tiles inside.
// CHECK:             scf.for %{{.*}} = %c0 to %c2
// CHECK:               scf.for
// CHECK-COUNT-6:         math.fma
// CHECK-NOT:             math.fma
// CHECK:                 scf.yield
// The last one.
// CHECK:             scf.for
// CHECK-COUNT-5:       math.fma
// CHECK-NOT:           math.fma
// CHECK:               scf.yield
// CHECK:             math.
// CHECK:             tile.store
func.func @main(%x: tensor<1x6x8x32xf32>, %p: tensor<2x9x16xf32>) -> tensor<1x6x8x32xf32> {
  %0 = schedule.kernel depthwise(%x, %p) {point = #schedule.depthwise<lanes = 16, vectors = 1, tw = 2, rows = 6>}
      : (tensor<1x6x8x32xf32>, tensor<2x9x16xf32>) -> tensor<1x6x8x32xf32> {
  ^bb0(%a: tensor<1x6x8x32xf32>, %panels: tensor<2x9x16xf32>):
    %c = schedule.unpack %panels : tensor<2x9x16xf32> to tensor<9x32xf32>
    %r = graph.reshape %c shape = [3, 3, 32, 1] : (tensor<9x32xf32>) -> tensor<3x3x32x1xf32>
    %w = graph.permute %r dims = [2, 3, 0, 1] : (tensor<3x3x32x1xf32>) -> tensor<32x1x3x3xf32>
    %1 = graph.convolution %a, %w stride = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilation = [1, 1], groups = 32 {channels_last} : (tensor<1x6x8x32xf32>, tensor<32x1x3x3xf32>) -> tensor<1x6x8x32xf32>
    %2 = graph.sqrt %1 : tensor<1x6x8x32xf32>
    schedule.yield %2 : tensor<1x6x8x32xf32>
  }
  return %0 : tensor<1x6x8x32xf32>
}
