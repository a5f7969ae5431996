// RUN: tessera-opt %s --tessera-schedule-to-tile --canonicalize --cse --split-input-file | FileCheck %s

// layer_norm: mean, variance and the result in three passes over the row; the variance is a sum of exact
// products.

// CHECK-LABEL: func.func @rows_
// CHECK:         scf.for
// CHECK:           %[[SUM:.*]] = scf.for {{.*}} iter_args({{.*}}) -> (vector<64xf32>) {
// CHECK:             arith.addf
// CHECK:           }
// CHECK:           vector.shuffle
// CHECK:           %[[MEAN:.*]] = arith.divf
// CHECK:           scf.for {{.*}} iter_args({{.*}}) -> (vector<64xf32>) {
// CHECK:             arith.subf
// CHECK:             math.fma
// CHECK:           }
// CHECK:           math.sqrt
// CHECK:           scf.for
// CHECK-NOT:         iter_args
// CHECK:             tile.store
func.func @main(%a: tensor<32x512xf32>, %w: tensor<512xf32>) -> tensor<32x512xf32> {
  %0 = schedule.kernel rows(%a, %w)
      {point = #schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 8, prefetchRow = false>}
      : (tensor<32x512xf32>, tensor<512xf32>) -> tensor<32x512xf32> {
  ^bb0(%x: tensor<32x512xf32>, %s: tensor<512xf32>):
    %1 = graph.layer_norm %x weight %s axes = 1, eps = 1.0e-5
        : (tensor<32x512xf32>, tensor<512xf32>) -> tensor<32x512xf32>
    schedule.yield %1 : tensor<32x512xf32>
  }
  return %0 : tensor<32x512xf32>
}

// -----

// softmax: exponentials are computed once and kept in scratch; the next row is fetched meanwhile.

// CHECK-LABEL: func.func @rows_
// CHECK:         %[[KEPT:.*]] = memref.view {{.*}} to memref<512xf32>
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} iter_args
// CHECK:             arith.cmpf ogt
// CHECK:           scf.for {{.*}} iter_args
// CHECK:             memref.prefetch
// CHECK:             tile.exp
// CHECK:             tile.store {{.*}}, %[[KEPT]]
// CHECK:           scf.for
// CHECK-NOT:         tile.exp
// CHECK:             tile.load %[[KEPT]]
// CHECK:             tile.store
func.func @main(%a: tensor<32x512xf32>) -> tensor<32x512xf32> {
  %0 = schedule.kernel rows(%a)
      {point = #schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 8, prefetchRow = true>}
      : (tensor<32x512xf32>) -> tensor<32x512xf32> {
  ^bb0(%x: tensor<32x512xf32>):
    %1 = graph.softmax %x dim = 1 : tensor<32x512xf32>
    schedule.yield %1 : tensor<32x512xf32>
  }
  return %0 : tensor<32x512xf32>
}

// -----

// Columns: vectors across neighbouring rows, four times as wide for a plain reduction; nothing to combine
// between lanes.

// CHECK-LABEL: func.func @rows_
// CHECK:         scf.for {{.*}} iter_args({{.*}}) -> (vector<256xf32>) {
// CHECK:           tile.load
// CHECK:           arith.maximumf {{.*}} fastmath<nsz>
// CHECK-NOT:     vector.shuffle
// CHECK:         tile.store
func.func @main(%a: tensor<32x512xf32>) -> tensor<512xf32> {
  %0 = schedule.kernel rows(%a)
      {point = #schedule.rows<lanes = 64, lanesAlongReduction = false, grain = 512, prefetchRow = false>}
      : (tensor<32x512xf32>) -> tensor<512xf32> {
  ^bb0(%x: tensor<32x512xf32>):
    %1 = graph.reduce max %x dims = [0] : (tensor<32x512xf32>) -> tensor<512xf32>
    schedule.yield %1 : tensor<512xf32>
  }
  return %0 : tensor<512xf32>
}

// -----

// Long sums are taken in blocks: nested loops, each from zero.

// CHECK-LABEL: func.func @rows_
// CHECK:         scf.for {{.*}} iter_args
// CHECK:           scf.for {{.*}} iter_args
// CHECK:             tile.load
func.func @main(%a: tensor<65536xf32>) -> tensor<f32> {
  %0 = schedule.kernel rows(%a)
      {point = #schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 1, prefetchRow = false>}
      : (tensor<65536xf32>) -> tensor<f32> {
  ^bb0(%x: tensor<65536xf32>):
    %1 = graph.reduce sum %x dims = [0] : (tensor<65536xf32>) -> tensor<f32>
    schedule.yield %1 : tensor<f32>
  }
  return %0 : tensor<f32>
}

// -----

// What is computed before the last reduction is stored in the pass that computes it.

// CHECK-LABEL: func.func @rows_
// CHECK:         scf.for {{.*}} iter_args
// CHECK:           %[[SUM:.*]] = arith.addf
// CHECK:           tile.store %[[SUM]]
func.func @main(%a: tensor<4x64xf32>, %b: tensor<4x64xf32>) -> (tensor<4x64xf32>, tensor<4x1xf32>) {
  %0:2 = schedule.kernel rows(%a, %b)
      {point = #schedule.rows<lanes = 32, lanesAlongReduction = true, grain = 8, prefetchRow = false>}
      : (tensor<4x64xf32>, tensor<4x64xf32>) -> (tensor<4x64xf32>, tensor<4x1xf32>) {
  ^bb0(%x: tensor<4x64xf32>, %y: tensor<4x64xf32>):
    %1 = graph.add %x, %y : (tensor<4x64xf32>, tensor<4x64xf32>) -> tensor<4x64xf32>
    %2 = graph.reduce sum %1 dims = [1] {keepdim} : (tensor<4x64xf32>) -> tensor<4x1xf32>
    schedule.yield %1, %2 : tensor<4x64xf32>, tensor<4x1xf32>
  }
  return %0#0, %0#1 : tensor<4x64xf32>, tensor<4x1xf32>
}

// -----

// Streamed rows: the next row is fetched in the pass that writes, and written past the caches.

// CHECK-LABEL: func.func @rows_
// CHECK:         scf.for {{.*}} iter_args
// CHECK:           scf.for {{.*}} iter_args
// CHECK:             tile.exp
// CHECK-NOT:         nontemporal
// CHECK:           scf.for
// CHECK:             memref.prefetch
// CHECK:             tile.store {{.*}} {nontemporal}
func.func @main(%a: tensor<32x512xf32>) -> tensor<32x512xf32> {
  %0 = schedule.kernel rows(%a)
      {point = #schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 8, prefetchRow = true, stream = true>}
      : (tensor<32x512xf32>) -> tensor<32x512xf32> {
  ^bb0(%x: tensor<32x512xf32>):
    %1 = graph.softmax %x dim = 1 : tensor<32x512xf32>
    schedule.yield %1 : tensor<32x512xf32>
  }
  return %0 : tensor<32x512xf32>
}

// -----

// A row of halves is widened once: three passes read it. Two would not be worth it.

// CHECK-LABEL: func.func @rows_
// CHECK:         %[[KEPT:.*]] = memref.view {{.*}} to memref<512xf32>
// CHECK:         tile.load {{.*}} -> vector<64xbf16>
// CHECK:         arith.extf
// CHECK:         tile.store %{{.*}}, %[[KEPT]]
// CHECK-NOT:     tile.load {{.*}} -> vector<64xbf16>
// CHECK:         math.sqrt
// CHECK-NOT:     tile.load {{.*}} -> vector<64xbf16>
// CHECK:         tile.load %[[KEPT]]
func.func @halves(%x: tensor<1024x512xbf16>) -> tensor<1024x512xbf16> {
  %0 = schedule.kernel rows(%x) {point = #schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 32, prefetchRow = false>} : (tensor<1024x512xbf16>) -> tensor<1024x512xbf16> {
  ^bb0(%a: tensor<1024x512xbf16>):
    %1 = graph.layer_norm %a axes = 1, eps = 1.0e-5 : (tensor<1024x512xbf16>) -> tensor<1024x512xbf16>
    schedule.yield %1 : tensor<1024x512xbf16>
  }
  return %0 : tensor<1024x512xbf16>
}
