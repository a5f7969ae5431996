// RUN: tessera-opt %s -pass-pipeline='builtin.module(tessera-schedule-to-tile,canonicalize,cse)' -split-input-file | FileCheck %s

// Whole rows of scores in scratch: keys and values are packed for each key head, four query heads read them.

// CHECK-LABEL: func.func @main
// CHECK:         schedule.launch attention {{.*}} grain = 8 : i64, {{.*}} units = 64 : i64
// CHECK-LABEL: func.func @attention_
// CHECK-DAG:     %[[KEYS:.*]] = memref.view {{.*}} to memref<2x32x32xf32>
// CHECK-DAG:     %[[VALUES:.*]] = memref.view {{.*}} to memref<1x64x32xf32>
// CHECK-DAG:     %[[SCORES:.*]] = memref.view {{.*}} to memref<32x80xf32>
// CHECK:         scf.for %[[UNIT:.*]] =
// CHECK:           scf.if
// CHECK:             tile.pack %{{.*}}, %[[KEYS]]{{.*}} strided<[1, 32]
// CHECK:             tile.pack %{{.*}}, %[[VALUES]]{{.*}} strided<[32, 1]
// CHECK:           tile.mma {{.*}}, %[[KEYS]]
// CHECK:           tile.store {{.*}} %[[SCORES]]
// CHECK:           arith.maxnumf
// CHECK:           vector.reduction <maxnumf>
// CHECK:           tile.exp2
// CHECK:           vector.reduction <add>
// CHECK:           tile.mma {{.*}}, %[[SCORES]]{{.*}}, %[[VALUES]]
// CHECK:           arith.mulf
// CHECK:           tile.store
func.func @main(%q: tensor<1x32x64x32xf32>, %k: tensor<1x8x64x32xf32>, %v: tensor<1x8x64x32xf32>) -> tensor<1x32x64x32xf32> {
  %0 = schedule.kernel attention(%q, %k, %v) {point = #schedule.attention<br = 32, bc = 64, mr = 8, nr = 32, unroll = 2>}
      : (tensor<1x32x64x32xf32>, tensor<1x8x64x32xf32>, tensor<1x8x64x32xf32>) -> tensor<1x32x64x32xf32> {
  ^bb0(%a: tensor<1x32x64x32xf32>, %b: tensor<1x8x64x32xf32>, %c: tensor<1x8x64x32xf32>):
    %1 = graph.attention %a, %b, %c scale = 1.250000e-01 : (tensor<1x32x64x32xf32>, tensor<1x8x64x32xf32>, tensor<1x8x64x32xf32>) -> tensor<1x32x64x32xf32>
    schedule.yield %1 : tensor<1x32x64x32xf32>
  }
  return %0 : tensor<1x32x64x32xf32>
}

// -----

// Causal, keys in passes of 32: blocks stop at their last row, the diagonal is masked, the softmax takes four rows at
// a time, the output so far shrinks with the maximum.

// CHECK-LABEL: func.func @attention_
// CHECK:         scf.for %[[UNIT:.*]] =
// CHECK:           arith.minsi
// CHECK:           scf.for %[[PASS:.*]] = %c0 to %{{.*}} step %c32
// CHECK:             tile.mma
// CHECK:             tile.mma
// CHECK:             arith.cmpi s{{le|ge}}
// CHECK:             scf.for %{{.*}} = %c0 to %{{.*}} step %c16
// CHECK-COUNT-4:       tile.exp2 {{.*}} vector<16xf32>
// CHECK-COUNT-4:     tile.exp2 {{.*}} : f32
// CHECK:             tile.mma
// CHECK:           arith.divf
func.func @main(%q: tensor<1x2x70x16xf32>, %k: tensor<1x2x90x16xf32>, %v: tensor<1x2x90x16xf32>) -> tensor<1x2x70x16xf32> {
  %0 = schedule.kernel attention(%q, %k, %v) {point = #schedule.attention<br = 32, bc = 32, mr = 8, nr = 32, unroll = 2>}
      : (tensor<1x2x70x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x16xf32>) -> tensor<1x2x70x16xf32> {
  ^bb0(%a: tensor<1x2x70x16xf32>, %b: tensor<1x2x90x16xf32>, %c: tensor<1x2x90x16xf32>):
    %1 = graph.attention %a, %b, %c scale = 2.500000e-01 {causal} : (tensor<1x2x70x16xf32>, tensor<1x2x90x16xf32>, tensor<1x2x90x16xf32>) -> tensor<1x2x70x16xf32>
    schedule.yield %1 : tensor<1x2x70x16xf32>
  }
  return %0 : tensor<1x2x70x16xf32>
}

// -----

// A boolean mask selects, and is fetched before the product of its tile.

// CHECK-LABEL: func.func @attention_
// CHECK:         memref.prefetch %{{.*}} memref<64x64xi8
// CHECK:         tile.mma
// CHECK:         arith.select {{.*}} vector<16xi1>, vector<16xf32>
func.func @main(%q: tensor<1x1x64x16xf32>, %k: tensor<1x1x64x16xf32>, %v: tensor<1x1x64x16xf32>, %m: tensor<64x64xi1>) -> tensor<1x1x64x16xf32> {
  %0 = schedule.kernel attention(%q, %k, %v, %m) {point = #schedule.attention<br = 32, bc = 64, mr = 8, nr = 32, unroll = 2>}
      : (tensor<1x1x64x16xf32>, tensor<1x1x64x16xf32>, tensor<1x1x64x16xf32>, tensor<64x64xi1>) -> tensor<1x1x64x16xf32> {
  ^bb0(%a: tensor<1x1x64x16xf32>, %b: tensor<1x1x64x16xf32>, %c: tensor<1x1x64x16xf32>, %mask: tensor<64x64xi1>):
    %1 = graph.attention %a, %b, %c mask %mask scale = 2.500000e-01 : (tensor<1x1x64x16xf32>, tensor<1x1x64x16xf32>, tensor<1x1x64x16xf32>, tensor<64x64xi1>) -> tensor<1x1x64x16xf32>
    schedule.yield %1 : tensor<1x1x64x16xf32>
  }
  return %0 : tensor<1x1x64x16xf32>
}

// -----

// For any number of queries and keys: whole strips, a last panel that is always masked, and the softmax of rows past
// the last.

// CHECK-LABEL: func.func @attention_
// CHECK-DAG:     tile.size 50
// CHECK-DAG:     tile.size 42
// CHECK:         tile.mma {{.*}} vector<8x32xf32>
// CHECK-NOT:     vector<2x32xf32>
// CHECK-COUNT-4: tile.exp2 {{.*}} vector<16xf32>
// CHECK:         return
func.func @main(%q: tensor<4x50x64xf32>, %k: tensor<4x50x64xf32>, %v: tensor<4x50x64xf32>) -> tensor<4x50x64xf32> {
  %0 = schedule.kernel attention(%q, %k, %v) {point = #schedule.attention<br = 32, bc = 64, mr = 8, nr = 32, unroll = 2, anySizes = true>}
      : (tensor<4x50x64xf32>, tensor<4x50x64xf32>, tensor<4x50x64xf32>) -> tensor<4x50x64xf32> {
  ^bb0(%a: tensor<4x50x64xf32>, %b: tensor<4x50x64xf32>, %c: tensor<4x50x64xf32>):
    %1 = graph.attention %a, %b, %c scale = 0.125 : (tensor<4x50x64xf32>, tensor<4x50x64xf32>, tensor<4x50x64xf32>) -> tensor<4x50x64xf32>
    schedule.yield %1 : tensor<4x50x64xf32>
  }
  return %0 : tensor<4x50x64xf32>
}

// -----

// One query: keys and values are read where they lie, and fetched ahead.

// CHECK-LABEL: func.func @attention_
// CHECK-NOT:     tile.pack
// CHECK:         memref.prefetch
// CHECK:         tile.load {{.*}} vector<16xf32>
// CHECK:         vector.reduction <add>
// CHECK:         tile.mma {{.*}} vector<1x64xf32>{{.*}} memref<90x64xf32
func.func @main(%q: tensor<2x1x32xf32>, %k: tensor<2x90x32xf32>, %v: tensor<2x90x64xf32>) -> tensor<2x1x64xf32> {
  %0 = schedule.kernel attention(%q, %k, %v) {point = #schedule.attention<br = 1, bc = 96, mr = 1, nr = 32, unroll = 2, inPlace = true>}
      : (tensor<2x1x32xf32>, tensor<2x90x32xf32>, tensor<2x90x64xf32>) -> tensor<2x1x64xf32> {
  ^bb0(%a: tensor<2x1x32xf32>, %b: tensor<2x90x32xf32>, %c: tensor<2x90x64xf32>):
    %1 = graph.attention %a, %b, %c scale = 0.125 : (tensor<2x1x32xf32>, tensor<2x90x32xf32>, tensor<2x90x64xf32>) -> tensor<2x1x64xf32>
    schedule.yield %1 : tensor<2x1x64xf32>
  }
  return %0 : tensor<2x1x64xf32>
}

// -----

// Keys in two pieces that are kept together: of the two query heads that share them one unit stores them.

// CHECK-LABEL: func.func @attention_
// CHECK:         %[[KEEPS:.*]] = arith.cmpi eq
// CHECK:         scf.for
// CHECK:           memref.prefetch
// CHECK:           %[[ROW:.*]] = tile.load {{.*}} memref<40x16xf32
// CHECK:           scf.if %[[KEEPS]]
// CHECK:             tile.store %[[ROW]]{{.*}} {nontemporal} {{.*}} memref<41x16xf32
// CHECK:           vector.reduction <add>
// CHECK:         tile.load {{.*}} memref<1x16xf32
// CHECK:         tile.mma
func.func @main(%q: tensor<4x1x16xf32>, %k: tensor<2x40x16xf32>, %n: tensor<2x1x16xf32>, %v: tensor<2x41x16xf32>)
    -> (tensor<4x1x16xf32>, tensor<2x41x16xf32>) {
  %0:2 = schedule.kernel attention(%q, %k, %n, %v) {point = #schedule.attention<br = 1, bc = 64, mr = 1, nr = 32, unroll = 2, inPlace = true, stream = true>}
      : (tensor<4x1x16xf32>, tensor<2x40x16xf32>, tensor<2x1x16xf32>, tensor<2x41x16xf32>) -> (tensor<4x1x16xf32>, tensor<2x41x16xf32>) {
  ^bb0(%a: tensor<4x1x16xf32>, %b: tensor<2x40x16xf32>, %d: tensor<2x1x16xf32>, %c: tensor<2x41x16xf32>):
    %j = graph.concat %b, %d dim = 1 : (tensor<2x40x16xf32>, tensor<2x1x16xf32>) -> tensor<2x41x16xf32>
    %1 = graph.attention %a, %j, %c scale = 0.25 : (tensor<4x1x16xf32>, tensor<2x41x16xf32>, tensor<2x41x16xf32>) -> tensor<4x1x16xf32>
    schedule.yield %1, %j : tensor<4x1x16xf32>, tensor<2x41x16xf32>
  }
  return %0#0, %0#1 : tensor<4x1x16xf32>, tensor<2x41x16xf32>
}
