// RUN: tessera-opt %s -pass-pipeline='builtin.module(tessera-schedule-to-tile,canonicalize,cse)' -split-input-file | FileCheck %s

// Panels of pairs; A is read in place, also where its rows are odd.

// CHECK-LABEL: func.func @contraction_
// CHECK-SAME:    %[[A:.*]]: memref<128x33xbf16, strided<[33, 1]>>, %[[P:.*]]: memref<2x17x32x2xbf16
// CHECK:         memref.reinterpret_cast %[[A]] to offset: [%{{.*}}], sizes: [64, 17, 2], strides: [33, 2, 1]
// CHECK:         tile.mma %{{.*}}, %{{.*}}[%{{.*}}, %c0, %c0], %[[P]][%{{.*}}, %c0, %c0, %c0] depth %c33 {{.*}}pairs
// CHECK:         arith.truncf
func.func @main(%x: tensor<128x33xbf16>, %p: tensor<2x17x32x2xbf16>) -> tensor<128x64xbf16> {
  %0 = schedule.kernel contraction(%x, %p) {point = #schedule.contraction<mr = 8, nr = 32, kc = 33, mc = 64, nSplit = 0, packA = false, unroll = 2, prefetchB = 256, pairs = true>}
      : (tensor<128x33xbf16>, tensor<2x17x32x2xbf16>) -> tensor<128x64xbf16> {
  ^bb0(%a: tensor<128x33xbf16>, %panels: tensor<2x17x32x2xbf16>):
    %w = schedule.unpack %panels : tensor<2x17x32x2xbf16> to tensor<33x64xbf16>
    %1 = graph.matmul %a, %w : (tensor<128x33xbf16>, tensor<33x64xbf16>) -> tensor<128x64xbf16>
    schedule.yield %1 : tensor<128x64xbf16>
  }
  return %0 : tensor<128x64xbf16>
}

// -----

// Both operands the other way round: packed as pairs in scratch.

// CHECK-LABEL: func.func @contraction_
// CHECK-DAG:     memref.view {{.*}} to memref<5x20x8x2xbf16>
// CHECK-DAG:     memref.view {{.*}} to memref<3x20x32x2xbf16>
// CHECK-COUNT-3: tile.pack {{.*}}pairs
// CHECK:         tile.mma {{.*}}pairs
func.func @main(%x: tensor<40x40xbf16>, %y: tensor<70x40xbf16>) -> tensor<40x70xbf16> {
  %0 = schedule.kernel contraction(%x, %y) {point = #schedule.contraction<mr = 8, nr = 32, kc = 40, mc = 40, nSplit = 0, packA = false, unroll = 2, prefetchB = 0, pairs = true>}
      : (tensor<40x40xbf16>, tensor<70x40xbf16>) -> tensor<40x70xbf16> {
  ^bb0(%a: tensor<40x40xbf16>, %b: tensor<70x40xbf16>):
    %1 = graph.matmul %a, %b {transpose_a, transpose_b} : (tensor<40x40xbf16>, tensor<70x40xbf16>) -> tensor<40x70xbf16>
    schedule.yield %1 : tensor<40x70xbf16>
  }
  return %0 : tensor<40x70xbf16>
}

// -----

// Without such a product A is widened once, as it is copied; B on its way into registers.

// CHECK-LABEL: func.func @contraction_
// CHECK:         memref.view {{.*}} to memref<40x64xf32>
// CHECK:         arith.extf %{{.*}} : vector<16xf16> to vector<16xf32>
// CHECK:         tile.mma {{.*}} memref<40x64xf32>, memref<3x40x32xf16>
func.func @main(%x: tensor<40x40xf16>, %y: tensor<40x70xf16>) -> tensor<40x70xf16> {
  %0 = schedule.kernel contraction(%x, %y) {point = #schedule.contraction<mr = 8, nr = 32, kc = 40, mc = 40, nSplit = 0, packA = false, unroll = 2, prefetchB = 0>}
      : (tensor<40x40xf16>, tensor<40x70xf16>) -> tensor<40x70xf16> {
  ^bb0(%a: tensor<40x40xf16>, %b: tensor<40x70xf16>):
    %1 = graph.matmul %a, %b : (tensor<40x40xf16>, tensor<40x70xf16>) -> tensor<40x70xf16>
    schedule.yield %1 : tensor<40x70xf16>
  }
  return %0 : tensor<40x70xf16>
}

// -----

// Scores and sums in f32, the weights stored as pairs beside them.

// CHECK-LABEL: func.func @attention_
// CHECK-DAG:     memref.view {{.*}} to memref<2x20x32x2xbf16>
// CHECK:         tile.mma {{.*}}pairs
// CHECK:         tile.exp2
// CHECK:         arith.truncf %{{.*}} to vector<{{.*}}xbf16>
// CHECK:         tile.mma {{.*}}pairs
func.func @main(%q: tensor<2x48x40xbf16>, %k: tensor<2x48x40xbf16>, %v: tensor<2x48x40xbf16>) -> tensor<2x48x40xbf16> {
  %0 = schedule.kernel attention(%q, %k, %v) {point = #schedule.attention<br = 32, bc = 64, mr = 8, nr = 32, unroll = 2, pairs = true>}
      : (tensor<2x48x40xbf16>, tensor<2x48x40xbf16>, tensor<2x48x40xbf16>) -> tensor<2x48x40xbf16> {
  ^bb0(%a: tensor<2x48x40xbf16>, %b: tensor<2x48x40xbf16>, %c: tensor<2x48x40xbf16>):
    %1 = graph.attention %a, %b, %c scale = 1.0 {causal} : (tensor<2x48x40xbf16>, tensor<2x48x40xbf16>, tensor<2x48x40xbf16>) -> tensor<2x48x40xbf16>
    schedule.yield %1 : tensor<2x48x40xbf16>
  }
  return %0 : tensor<2x48x40xbf16>
}
