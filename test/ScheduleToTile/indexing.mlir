// RUN: tessera-opt %s --tessera-schedule-to-tile --canonicalize --cse --split-input-file | FileCheck %s

// An embedding: one index a row, checked before it is used; a bad one reads row 0 and fails the kernel.

// CHECK-LABEL: func.func @indexing_
// CHECK-DAG:     %[[ROWS:.*]] = arith.constant 100 : i64
// CHECK-DAG:     %[[BAD:.*]] = arith.constant 1 : i32
// CHECK:         scf.for
// CHECK:           %[[I:.*]] = memref.load {{.*}} : memref<12xi64
// CHECK:           %[[OUTSIDE:.*]] = arith.cmpi uge, %[[I]], %[[ROWS]] : i64
// CHECK:           scf.if %[[OUTSIDE]] {
// CHECK:             memref.store %[[BAD]]
// CHECK:           arith.select %[[OUTSIDE]]
// CHECK:           tile.load {{.*}} -> vector<64xf32>
// CHECK:           tile.store
func.func @main(%table: tensor<100x64xf32>, %ids: tensor<12xi64>) -> tensor<12x64xf32> {
  %0 = schedule.kernel indexing(%table, %ids) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<100x64xf32>, tensor<12xi64>) -> tensor<12x64xf32> {
  ^bb0(%t: tensor<100x64xf32>, %i: tensor<12xi64>):
    %1 = graph.gather %t, %i dim = 0 : (tensor<100x64xf32>, tensor<12xi64>) -> tensor<12x64xf32>
    schedule.yield %1 : tensor<12x64xf32>
  }
  return %0 : tensor<12x64xf32>
}

// -----

// Chosen columns: vectors of indices, checked together, and elements loaded one by one.

// CHECK-LABEL: func.func @indexing_
// CHECK:         %[[I:.*]] = tile.load {{.*}} -> vector<16xi64>
// CHECK:         %[[OUTSIDE:.*]] = arith.cmpi uge, %[[I]], {{.*}} : vector<16xi64>
// CHECK:         vector.reduction <or>, %[[OUTSIDE]]
// CHECK-COUNT-16: memref.load
// CHECK:         vector.from_elements
func.func @main(%table: tensor<100x64xf32>, %ids: tensor<32xi64>) -> tensor<100x32xf32> {
  %0 = schedule.kernel indexing(%table, %ids) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<100x64xf32>, tensor<32xi64>) -> tensor<100x32xf32> {
  ^bb0(%t: tensor<100x64xf32>, %i: tensor<32xi64>):
    %1 = graph.gather %t, %i dim = 1 : (tensor<100x64xf32>, tensor<32xi64>) -> tensor<100x32xf32>
    schedule.yield %1 : tensor<100x32xf32>
  }
  return %0 : tensor<100x32xf32>
}

// -----

// Nothing to choose from: every index is out of range.

// CHECK-LABEL: func.func @indexing_
// CHECK:         %[[BAD:.*]] = arith.constant 1 : i32
// CHECK-NEXT:    return %[[BAD]] : i32
func.func @main(%table: tensor<0x64xf32>, %ids: tensor<12xi64>) -> tensor<12x64xf32> {
  %0 = schedule.kernel indexing(%table, %ids) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<0x64xf32>, tensor<12xi64>) -> tensor<12x64xf32> {
  ^bb0(%t: tensor<0x64xf32>, %i: tensor<12xi64>):
    %1 = graph.gather %t, %i dim = 0 : (tensor<0x64xf32>, tensor<12xi64>) -> tensor<12x64xf32>
    schedule.yield %1 : tensor<12x64xf32>
  }
  return %0 : tensor<12x64xf32>
}
