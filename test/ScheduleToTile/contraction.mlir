// RUN: tessera-opt %s -pass-pipeline='builtin.module(tessera-schedule-to-tile,canonicalize,cse)' -split-input-file | FileCheck %s

// Prepacked panels, an epilogue with a bias and a residual: one block of 64 rows a unit, panels outside strips.
// The residual is fetched before the product, the next panel of B during it.

// CHECK-LABEL: func.func @contraction_
// CHECK-SAME:    %[[A:.*]]: memref<128x512xf32, strided<[512, 1]>>, %[[P:.*]]: memref<2x512x32xf32, strided<[16384, 32, 1]>>
// CHECK:         scf.for %[[UNIT:.*]] =
// CHECK:           memref.reinterpret_cast %[[A]] to offset: [%{{.*}}], sizes: [64, 512], strides: [512, 1]
// CHECK:           scf.for %[[PANEL:.*]] = %c0 to %c2
// CHECK:             scf.for %[[STRIP:.*]] = %c0 to %c64 step %c8
// CHECK-COUNT-16:      memref.prefetch %{{.*}} memref<128x64xf32
// CHECK:               tile.mma %{{.*}}, %{{.*}}[%[[STRIP]], %c0], %[[P]][%[[PANEL]], %c0, %c0] depth %c512 prefetch[%{{.*}}] {prefetchStep = 4 : i64, unroll = 2 : i64}
// CHECK-COUNT-16:      tile.store {{.*}} vector<16xf32>
func.func @main(%x: tensor<128x512xf32>, %p: tensor<2x512x32xf32>, %b: tensor<64xf32>, %r: tensor<128x64xf32>) -> tensor<128x64xf32> {
  %0 = schedule.kernel contraction(%x, %p, %b, %r) {point = #schedule.contraction<mr = 8, nr = 32, kc = 512, mc = 64, nSplit = 0, packA = false, unroll = 2, prefetchB = 256>}
      : (tensor<128x512xf32>, tensor<2x512x32xf32>, tensor<64xf32>, tensor<128x64xf32>) -> tensor<128x64xf32> {
  ^bb0(%a: tensor<128x512xf32>, %panels: tensor<2x512x32xf32>, %bias: tensor<64xf32>, %res: tensor<128x64xf32>):
    %w = schedule.unpack %panels : tensor<2x512x32xf32> to tensor<512x64xf32>
    %1 = graph.matmul %a, %w : (tensor<128x512xf32>, tensor<512x64xf32>) -> tensor<128x64xf32>
    %2 = graph.add %1, %bias : (tensor<128x64xf32>, tensor<64xf32>) -> tensor<128x64xf32>
    %3 = graph.add %2, %res : tensor<128x64xf32>
    schedule.yield %3 : tensor<128x64xf32>
  }
  return %0 : tensor<128x64xf32>
}

// -----

// A plain second operand is packed by the first unit of a call; rows and columns that do not fill a tile get
// tiles of their own, the last columns masked.

// CHECK-LABEL: func.func @contraction_
// CHECK-SAME:    %[[A:.*]]: memref<37x40xf32, strided<[40, 1]>>, %[[B:.*]]: memref<40x70xf32, strided<[70, 1]>>
// CHECK:         %[[S:.*]] = memref.view {{.*}} to memref<3x40x32xf32>
// CHECK:         scf.for
// CHECK:           scf.if
// CHECK:             tile.pack %{{.*}}, %[[S]]{{.*}} valid %c32
// CHECK:             tile.pack %{{.*}}, %[[S]]{{.*}} valid %c6
// CHECK:           tile.mma {{.*}} vector<8x32xf32>
// CHECK:           tile.mma {{.*}} vector<5x32xf32>
// CHECK:           tile.mma {{.*}} vector<8x32xf32>
// CHECK:           tile.store {{.*}} valid %c6
// CHECK:           tile.mma {{.*}} vector<5x32xf32>
// CHECK:           tile.store {{.*}} valid %c6
func.func @main(%x: tensor<37x40xf32>, %y: tensor<40x70xf32>) -> tensor<37x70xf32> {
  %0 = schedule.kernel contraction(%x, %y) {point = #schedule.contraction<mr = 8, nr = 32, kc = 40, mc = 40, nSplit = 0, packA = false, unroll = 2, prefetchB = 0>}
      : (tensor<37x40xf32>, tensor<40x70xf32>) -> tensor<37x70xf32> {
  ^bb0(%a: tensor<37x40xf32>, %b: tensor<40x70xf32>):
    %1 = graph.matmul %a, %b : (tensor<37x40xf32>, tensor<40x70xf32>) -> tensor<37x70xf32>
    schedule.yield %1 : tensor<37x70xf32>
  }
  return %0 : tensor<37x70xf32>
}

// -----

// Several passes over K: rows of A are copied with a stride that is no multiple of a page, partial sums wait in
// scratch, the epilogue runs in the last pass.

// CHECK-LABEL: func.func @contraction_
// CHECK:         %[[ROWS:.*]] = memref.view {{.*}} to memref<16x1040xf32>
// CHECK:         %[[PARTIAL:.*]] = memref.view {{.*}} to memref<16x32xf32>
// CHECK:         scf.for
// CHECK:           scf.for %[[K:.*]] = %c0 to %c4096 step %c1024
// CHECK:             tile.store {{.*}} %[[ROWS]]
// CHECK:             tile.load %[[PARTIAL]]
// CHECK:             tile.mma {{.*}}, %[[ROWS]]
// CHECK:             scf.if
// CHECK:             tile.store {{.*}} %[[PARTIAL]]
func.func @main(%x: tensor<16x4096xf32>, %p: tensor<1x4096x32xf32>) -> tensor<16x32xf32> {
  %0 = schedule.kernel contraction(%x, %p) {point = #schedule.contraction<mr = 8, nr = 32, kc = 1024, mc = 16, nSplit = 0, packA = true, unroll = 2, prefetchB = 256>}
      : (tensor<16x4096xf32>, tensor<1x4096x32xf32>) -> tensor<16x32xf32> {
  ^bb0(%a: tensor<16x4096xf32>, %panels: tensor<1x4096x32xf32>):
    %w = schedule.unpack %panels : tensor<1x4096x32xf32> to tensor<4096x32xf32>
    %1 = graph.matmul %a, %w : (tensor<16x4096xf32>, tensor<4096x32xf32>) -> tensor<16x32xf32>
    schedule.yield %1 : tensor<16x32xf32>
  }
  return %0 : tensor<16x32xf32>
}

// -----

// A batch whose B's are packed one after the other: the next one, behind this, is fetched meanwhile.

// CHECK-LABEL: func.func @contraction_
// CHECK:         tile.pack
// CHECK:         memref.prefetch %{{.*}}[%c64, %{{.*}}], read, locality<2>, data : memref<64x64xf32,
// CHECK:         tile.mma
func.func @main(%x: tensor<6x64x64xf32>, %y: tensor<6x64x64xf32>) -> tensor<6x64x64xf32> {
  %0 = schedule.kernel contraction(%x, %y) {point = #schedule.contraction<mr = 8, nr = 32, kc = 64, mc = 64, nSplit = 0, packA = false, unroll = 2, prefetchB = 256>}
      : (tensor<6x64x64xf32>, tensor<6x64x64xf32>) -> tensor<6x64x64xf32> {
  ^bb0(%a: tensor<6x64x64xf32>, %b: tensor<6x64x64xf32>):
    %1 = graph.matmul %a, %b : (tensor<6x64x64xf32>, tensor<6x64x64xf32>) -> tensor<6x64x64xf32>
    schedule.yield %1 : tensor<6x64x64xf32>
  }
  return %0 : tensor<6x64x64xf32>
}

// -----

// One strip: B is fetched a fixed number of rows ahead, into the first level.

// CHECK-LABEL: func.func @contraction_
// CHECK:         tile.mma {{.*}} prefetch[%{{.*}}, %c128, %c0] {locality = 3 : i64, prefetchStep = 32 : i64
func.func @main(%x: tensor<4x512xf32>, %p: tensor<2x512x32xf32>) -> tensor<4x64xf32> {
  %0 = schedule.kernel contraction(%x, %p) {point = #schedule.contraction<mr = 4, nr = 32, kc = 512, mc = 4, nSplit = 0, packA = false, unroll = 2, prefetchB = 128>}
      : (tensor<4x512xf32>, tensor<2x512x32xf32>) -> tensor<4x64xf32> {
  ^bb0(%a: tensor<4x512xf32>, %panels: tensor<2x512x32xf32>):
    %w = schedule.unpack %panels : tensor<2x512x32xf32> to tensor<512x64xf32>
    %1 = graph.matmul %a, %w : (tensor<4x512xf32>, tensor<512x64xf32>) -> tensor<4x64xf32>
    schedule.yield %1 : tensor<4x64xf32>
  }
  return %0 : tensor<4x64xf32>
}

// -----

// A batch that only the first operand has becomes rows: 3·4·10 of them, one unit.

// CHECK-LABEL: func.func @main
// CHECK:         schedule.launch contraction {{.*}} units = 1 : i64
// CHECK-LABEL: func.func @contraction_
// CHECK:         memref.reinterpret_cast %arg0 to offset: [0], sizes: [120, 12], strides: [12, 1]
func.func @main(%x: tensor<3x4x10x12xf32>, %y: tensor<12x32xf32>) -> tensor<3x4x10x32xf32> {
  %0 = schedule.kernel contraction(%x, %y) {point = #schedule.contraction<mr = 8, nr = 32, kc = 12, mc = 120, nSplit = 0, packA = false, unroll = 2, prefetchB = 0>}
      : (tensor<3x4x10x12xf32>, tensor<12x32xf32>) -> tensor<3x4x10x32xf32> {
  ^bb0(%a: tensor<3x4x10x12xf32>, %b: tensor<12x32xf32>):
    %1 = graph.matmul %a, %b : (tensor<3x4x10x12xf32>, tensor<12x32xf32>) -> tensor<3x4x10x32xf32>
    schedule.yield %1 : tensor<3x4x10x32xf32>
  }
  return %0 : tensor<3x4x10x32xf32>
}

// -----

// Where its rows go on for a part of the batch only, that part: 3 products of 4·10 rows.

// CHECK-LABEL: func.func @main
// CHECK:         schedule.launch contraction {{.*}} units = 3 : i64
// CHECK-LABEL: func.func @contraction_
// CHECK:         memref.reinterpret_cast %arg0 to offset: [%{{.*}}], sizes: [40, 12], strides: [12, 1]
func.func @main(%x: tensor<3x5x10x12xf32>, %y: tensor<12x32xf32>) -> tensor<3x4x10x32xf32> {
  %v = schedule.view %x offset 0 strides [600, 120, 12, 1] : tensor<3x5x10x12xf32> to tensor<3x4x10x12xf32>
  %0 = schedule.kernel contraction(%v, %y) {point = #schedule.contraction<mr = 8, nr = 32, kc = 12, mc = 40, nSplit = 0, packA = false, unroll = 2, prefetchB = 0>}
      : (tensor<3x4x10x12xf32>, tensor<12x32xf32>) -> tensor<3x4x10x32xf32> {
  ^bb0(%a: tensor<3x4x10x12xf32>, %b: tensor<12x32xf32>):
    %1 = graph.matmul %a, %b : (tensor<3x4x10x12xf32>, tensor<12x32xf32>) -> tensor<3x4x10x32xf32>
    schedule.yield %1 : tensor<3x4x10x32xf32>
  }
  return %0 : tensor<3x4x10x32xf32>
}

// -----

// For any number of rows: strips are whole, the last of a block starts early, and sizes do not fold.

// CHECK-LABEL: func.func @contraction_
// CHECK-DAG:     tile.size 2
// CHECK-DAG:     tile.size 56
// CHECK-DAG:     tile.size 92
// CHECK-DAG:     tile.size 100
// CHECK:         tile.mma {{.*}} vector<8x32xf32>
// CHECK-NOT:     vector<4x32xf32>
// CHECK:         return
func.func @main(%x: tensor<100x512xf32>, %p: tensor<2x512x32xf32>) -> tensor<100x64xf32> {
  %0 = schedule.kernel contraction(%x, %p) {point = #schedule.contraction<mr = 8, nr = 32, kc = 512, mc = 56, nSplit = 0, packA = false, unroll = 2, prefetchB = 256, anyRows = true>}
      : (tensor<100x512xf32>, tensor<2x512x32xf32>) -> tensor<100x64xf32> {
  ^bb0(%a: tensor<100x512xf32>, %panels: tensor<2x512x32xf32>):
    %w = schedule.unpack %panels : tensor<2x512x32xf32> to tensor<512x64xf32>
    %1 = graph.matmul %a, %w : (tensor<100x512xf32>, tensor<512x64xf32>) -> tensor<100x64xf32>
    schedule.yield %1 : tensor<100x64xf32>
  }
  return %0 : tensor<100x64xf32>
}
