// RUN: tessera-opt %s --tessera-schedule-to-tile --canonicalize --cse --split-input-file | FileCheck %s

// Contiguous inputs and outputs become one dimension; a scalar is read once, before the loop.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         memref.load
// CHECK:         scf.for
// CHECK:           %[[X:.*]] = tile.load {{.*}} : memref<4096xf32{{.*}} -> vector<64xf32>
// CHECK:           %[[Y:.*]] = arith.mulf %[[X]]
// CHECK:           %[[E:.*]] = tile.exp %[[Y]] : vector<64xf32>
// CHECK:           tile.store %[[E]], {{.*}} : vector<64xf32>, memref<4096xf32, strided<[1]>>
// CHECK-NOT:     valid
// CHECK:         return
func.func @main(%a: tensor<8x512xf32>, %s: tensor<f32>) -> tensor<8x512xf32> {
  %0 = schedule.kernel elementwise(%a, %s) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<8x512xf32>, tensor<f32>) -> tensor<8x512xf32> {
  ^bb0(%x: tensor<8x512xf32>, %t: tensor<f32>):
    %1 = graph.mul %x, %t : (tensor<8x512xf32>, tensor<f32>) -> tensor<8x512xf32>
    %2 = graph.exp %1 : tensor<8x512xf32>
    schedule.yield %2 : tensor<8x512xf32>
  }
  return %0 : tensor<8x512xf32>
}

// -----

// The tail is as narrow as holds it; f16 is f32 in registers.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         %[[REST:.*]] = arith.constant 6 : index
// CHECK:         tile.load {{.*}} -> vector<64xf16>
// CHECK:         arith.extf {{.*}} : vector<64xf16> to vector<64xf32>
// CHECK:         tile.load {{.*}} valid %[[REST]] {{.*}} -> vector<8xf16>
// CHECK:         arith.truncf {{.*}} : vector<8xf32> to vector<8xf16>
// CHECK:         tile.store {{.*}} valid %[[REST]]
func.func @main(%a: tensor<70xf16>) -> tensor<70xf16> {
  %0 = schedule.kernel elementwise(%a) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<70xf16>) -> tensor<70xf16> {
  ^bb0(%x: tensor<70xf16>):
    %1 = graph.add %x, %x : (tensor<70xf16>, tensor<70xf16>) -> tensor<70xf16>
    schedule.yield %1 : tensor<70xf16>
  }
  return %0 : tensor<70xf16>
}

// -----

// A row broadcast over rows: two loops, the row's lanes loaded beside the matrix's.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:             tile.load {{.*}} : memref<4096xf32
// CHECK:             tile.load {{.*}} : memref<512xf32
func.func @main(%a: tensor<8x512xf32>, %s: tensor<512xf32>) -> tensor<8x512xf32> {
  %0 = schedule.kernel elementwise(%a, %s) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<8x512xf32>, tensor<512xf32>) -> tensor<8x512xf32> {
  ^bb0(%x: tensor<8x512xf32>, %t: tensor<512xf32>):
    %1 = graph.add %x, %t : (tensor<8x512xf32>, tensor<512xf32>) -> tensor<8x512xf32>
    schedule.yield %1 : tensor<8x512xf32>
  }
  return %0 : tensor<8x512xf32>
}

// -----

// bool is a byte in memory and one bit in registers; ui8 is compared as unsigned.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         %[[X:.*]] = tile.load {{.*}} -> vector<64xi8>
// CHECK:         %[[C:.*]] = arith.cmpi ult, %[[X]], {{.*}} : vector<64xi8>
// CHECK:         %[[B:.*]] = arith.extui %[[C]] : vector<64xi1> to vector<64xi8>
// CHECK:         tile.store %[[B]]
func.func @main(%a: tensor<64xui8>, %b: tensor<64xui8>) -> tensor<64xi1> {
  %0 = schedule.kernel elementwise(%a, %b) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<64xui8>, tensor<64xui8>) -> tensor<64xi1> {
  ^bb0(%x: tensor<64xui8>, %y: tensor<64xui8>):
    %1 = graph.compare lt %x, %y : (tensor<64xui8>, tensor<64xui8>) -> tensor<64xi1>
    schedule.yield %1 : tensor<64xi1>
  }
  return %0 : tensor<64xi1>
}

// -----

// Integer division: a zero divisor fails the kernel, and none reaches the machine's division.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         %[[STATUS:.*]] = memref.view
// CHECK:         %[[ZERO:.*]] = arith.cmpi eq, {{.*}} : vector<16xi32>
// CHECK:         %[[ANY:.*]] = vector.reduction <or>, %[[ZERO]]
// CHECK:         scf.if %[[ANY]] {
// CHECK:           memref.store %c2_i32, %[[STATUS]]
// CHECK:         %[[SAFE:.*]] = arith.select
// CHECK:         arith.divsi {{.*}}, %[[SAFE]]
// CHECK:         %[[RESULT:.*]] = memref.load %[[STATUS]]
// CHECK:         return %[[RESULT]] : i32
func.func @main(%a: tensor<16xi32>, %b: tensor<16xi32>) -> tensor<16xi32> {
  %0 = schedule.kernel elementwise(%a, %b) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<16xi32>, tensor<16xi32>) -> tensor<16xi32> {
  ^bb0(%x: tensor<16xi32>, %y: tensor<16xi32>):
    %1 = graph.trunc_div %x, %y : (tensor<16xi32>, tensor<16xi32>) -> tensor<16xi32>
    schedule.yield %1 : tensor<16xi32>
  }
  return %0 : tensor<16xi32>
}

// -----

// Streamed results: lanes that fill whole lines go past the caches, the others do not.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         tile.store {{.*}} {nontemporal} : vector<64xf32>
// CHECK-NOT:     nontemporal
// CHECK:         tile.store {{.*}} : vector<8xf32>
func.func @main(%a: tensor<1032xf32>) -> tensor<1032xf32> {
  %0 = schedule.kernel elementwise(%a) {point = #schedule.elementwise<lanes = 64, grain = 16384, stream = true>}
      : (tensor<1032xf32>) -> tensor<1032xf32> {
  ^bb0(%x: tensor<1032xf32>):
    %1 = graph.exp %x : tensor<1032xf32>
    schedule.yield %1 : tensor<1032xf32>
  }
  return %0 : tensor<1032xf32>
}

// -----

// Rows of a concat's first half start in the middle of a line.

// CHECK-LABEL: func.func @elementwise_
// CHECK-NOT:     nontemporal
// CHECK:         return
func.func @main(%a: tensor<16x72xf32>, %b: tensor<16x64xf32>) -> tensor<16x136xf32> {
  %0 = schedule.kernel elementwise(%a, %b) {point = #schedule.elementwise<lanes = 64, grain = 16384, stream = true>}
      : (tensor<16x72xf32>, tensor<16x64xf32>) -> tensor<16x136xf32> {
  ^bb0(%x: tensor<16x72xf32>, %y: tensor<16x64xf32>):
    %1 = graph.concat %x, %y dim = 1 : (tensor<16x72xf32>, tensor<16x64xf32>) -> tensor<16x136xf32>
    schedule.yield %1 : tensor<16x136xf32>
  }
  return %0 : tensor<16x136xf32>
}

// -----

// Either definition of GELU is one function.

// CHECK-LABEL: func.func @elementwise_
// CHECK:         %[[X:.*]] = tile.load
// CHECK:         %[[G:.*]] = tile.gelu %[[X]] : vector<64xf32>
// CHECK:         tile.gelu_tanh %[[G]] : vector<64xf32>
func.func @main(%a: tensor<8x512xf32>) -> tensor<8x512xf32> {
  %0 = schedule.kernel elementwise(%a) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<8x512xf32>) -> tensor<8x512xf32> {
  ^bb0(%x: tensor<8x512xf32>):
    %1 = graph.gelu %x : tensor<8x512xf32>
    %2 = graph.gelu %1 approximate = tanh : tensor<8x512xf32>
    schedule.yield %2 : tensor<8x512xf32>
  }
  return %0 : tensor<8x512xf32>
}
