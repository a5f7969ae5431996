// RUN: tessera-opt %s --tessera-schedule-to-tile --canonicalize --cse --split-input-file | FileCheck %s

// concat: a nest for each input, no choice at run time.

// CHECK-LABEL: func.func @elementwise_
// CHECK-NOT:     scf.if
// CHECK:         scf.for
// CHECK:           tile.load {{.*}} : memref<{{.*}}f32
// CHECK:           tile.store
// CHECK:         scf.for
// CHECK:           tile.load
// CHECK:           tile.store
// CHECK-NOT:     scf.if
func.func @main(%a: tensor<4x64xf32>, %b: tensor<4x128xf32>) -> tensor<4x192xf32> {
  %0 = schedule.kernel elementwise(%a, %b) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<4x64xf32>, tensor<4x128xf32>) -> tensor<4x192xf32> {
  ^bb0(%x: tensor<4x64xf32>, %y: tensor<4x128xf32>):
    %1 = graph.concat %x, %y dim = 1 : (tensor<4x64xf32>, tensor<4x128xf32>) -> tensor<4x192xf32>
    schedule.yield %1 : tensor<4x192xf32>
  }
  return %0 : tensor<4x192xf32>
}

// -----

// pad: the border is stores of the value alone.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         %[[V:.*]] = memref.load
// CHECK:         vector.broadcast %[[V]]
func.func @main(%a: tensor<16xf32>, %v: tensor<f32>) -> tensor<32xf32> {
  %0 = schedule.kernel elementwise(%a, %v) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<16xf32>, tensor<f32>) -> tensor<32xf32> {
  ^bb0(%x: tensor<16xf32>, %y: tensor<f32>):
    %1 = graph.pad %x, %y low = [8], high = [8] : (tensor<16xf32>, tensor<f32>) -> tensor<32xf32>
    schedule.yield %1 : tensor<32xf32>
  }
  return %0 : tensor<32xf32>
}

// -----

// A transposing read: squares of 16 x 16 are transposed in registers on the way to a tile in scratch.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         %[[TILE:.*]] = memref.view {{.*}} to memref<1024xf32>
// CHECK-COUNT-16: tile.load {{.*}} -> vector<16xf32>
// CHECK-COUNT-64: vector.shuffle
// CHECK-COUNT-16: tile.store
// CHECK:         scf.for
// CHECK:           tile.load {{.*}} -> vector<64xf32>
// CHECK:           tile.store {{.*}} : vector<64xf32>
func.func @main(%a: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %t = schedule.view %a offset 0 strides [1, 64] : tensor<64x64xf32> to tensor<64x64xf32>
  %0 = schedule.kernel elementwise(%t) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<64x64xf32>) -> tensor<64x64xf32> {
  ^bb0(%x: tensor<64x64xf32>):
    %1 = graph.neg %x : tensor<64x64xf32>
    schedule.yield %1 : tensor<64x64xf32>
  }
  return %0 : tensor<64x64xf32>
}

// -----

// A reshape in the body that merges what a permutation took apart: the space is refined, indices stay linear.

// CHECK-LABEL: func.func @elementwise_
// CHECK-NOT:     arith.remui {{.*}} : vector
// CHECK:         tile.store
func.func @main(%a: tensor<4x8x64xf32>) -> tensor<4x512xf32> {
  %0 = schedule.kernel elementwise(%a) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<4x8x64xf32>) -> tensor<4x512xf32> {
  ^bb0(%x: tensor<4x8x64xf32>):
    %1 = graph.reverse %x dims = [1] : (tensor<4x8x64xf32>) -> tensor<4x8x64xf32>
    %2 = graph.reshape %1 shape = [4, 512] : (tensor<4x8x64xf32>) -> tensor<4x512xf32>
    schedule.yield %2 : tensor<4x512xf32>
  }
  return %0 : tensor<4x512xf32>
}
