// RUN: tessera-opt %s --tessera-schedule-to-tile --canonicalize --cse --split-input-file | FileCheck %s

// Lanes that begin with a run share its counters: sixteen give the words of 64 elements, by two
// products a round but for one of zero.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         %[[KEY:.*]] = memref.load
// CHECK:         scf.for
// CHECK-COUNT-19:  arith.muli {{.*}} : vector<16xi64>
// CHECK-NOT:       arith.muli {{.*}} : vector<16xi64>
// CHECK:           arith.trunci {{.*}} : vector<16xi64> to vector<16xi32>
// CHECK-NOT:       arith.select
// CHECK:           vector.shuffle {{.*}} : vector<32xi32>, vector<32xi32>
// CHECK:           tile.store {{.*}} : vector<64xi32>
func.func @main(%k: tensor<i64>) -> tensor<64x128xi32> {
  %0 = schedule.kernel elementwise(%k) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<i64>) -> tensor<64x128xi32> {
  ^bb0(%key: tensor<i64>):
    %1 = graph.random_bits %key shape = [64, 128], dtype = i32 : (tensor<i64>) -> tensor<64x128xi32>
    schedule.yield %1 : tensor<64x128xi32>
  }
  return %0 : tensor<64x128xi32>
}

// -----

// Eight lanes of 64 bits begin with half a run: which half, one number for all lanes says.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         arith.select %{{.*}}, %{{.*}}, %{{.*}} : vector<8xi64>
// CHECK:         tile.store {{.*}} : vector<8xi64>
func.func @main(%k: tensor<i64>) -> tensor<64xi64> {
  %0 = schedule.kernel elementwise(%k) {point = #schedule.elementwise<lanes = 8, grain = 16384>}
      : (tensor<i64>) -> tensor<64xi64> {
  ^bb0(%key: tensor<i64>):
    %1 = graph.random_bits %key shape = [64], dtype = i64 : (tensor<i64>) -> tensor<64xi64>
    schedule.yield %1 : tensor<64xi64>
  }
  return %0 : tensor<64xi64>
}

// -----

// Lanes that begin anywhere, or do not follow one another, evaluate a counter each.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         arith.muli {{.*}} : vector<16xi64>
// CHECK:         arith.select %{{.*}}, %{{.*}}, %{{.*}} : vector<16xi1>, vector<16xi32>
func.func @main(%k: tensor<i64>, %x: tensor<7x16x5xi32>) -> tensor<7x5x16xi32> {
  %0 = schedule.kernel elementwise(%k, %x) {point = #schedule.elementwise<lanes = 16, grain = 16384>}
      : (tensor<i64>, tensor<7x16x5xi32>) -> tensor<7x5x16xi32> {
  ^bb0(%key: tensor<i64>, %y: tensor<7x16x5xi32>):
    %1 = graph.random_bits %key shape = [7, 16, 5], dtype = i32 : (tensor<i64>) -> tensor<7x16x5xi32>
    %2 = graph.permute %1 dims = [0, 2, 1] : (tensor<7x16x5xi32>) -> tensor<7x5x16xi32>
    schedule.yield %2 : tensor<7x5x16xi32>
  }
  return %0 : tensor<7x5x16xi32>
}

// -----

// A condition that fails somewhere leaves its status, which the kernel returns.

// CHECK-LABEL: func.func @elementwise_
// CHECK-DAG:     %[[STATUS:.*]] = arith.constant 4 : i32
// CHECK:         vector.reduction <or>
// CHECK:         scf.if
// CHECK:           memref.store %[[STATUS]]
// CHECK:         %[[CODE:.*]] = memref.load
// CHECK:         return %[[CODE]] : i32
func.func @main(%a: tensor<64xf32>, %b: tensor<64xi1>) -> tensor<64xf32> {
  %0 = schedule.kernel elementwise(%a, %b) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<64xf32>, tensor<64xi1>) -> tensor<64xf32> {
  ^bb0(%p: tensor<64xf32>, %valid: tensor<64xi1>):
    %1 = graph.require probability %valid, %p : (tensor<64xi1>, tensor<64xf32>) -> tensor<64xf32>
    schedule.yield %1 : tensor<64xf32>
  }
  return %0 : tensor<64xf32>
}
