// RUN: tessera-opt %s -tessera-tile-to-target -canonicalize -cse | FileCheck %s

// Values of two dimensions become machine vectors; what carries them through loops follows.
// CHECK-LABEL: func.func @carried
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}) -> (vector<16xf32>, vector<8xf32>, vector<16xf32>, vector<8xf32>)
// CHECK: vector.reduction <add>, %{{.*}} : vector<16xf32> into f32
// CHECK: vector.reduction <add>, %{{.*}}, %{{.*}} : vector<8xf32> into f32
func.func @carried(%x: memref<24xf32>, %y: memref<1xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant dense<0.0> : vector<2x24xf32>
  %r = scf.for %i = %begin to %end step %c1 iter_args(%acc = %zero) -> (vector<2x24xf32>) {
    %v = tile.load %x[%c0] : memref<24xf32> -> vector<24xf32>
    %b = vector.broadcast %v : vector<24xf32> to vector<2x24xf32>
    %n = arith.addf %acc, %b : vector<2x24xf32>
    scf.yield %n : vector<2x24xf32>
  }
  %row = vector.extract %r[1] : vector<24xf32> from vector<2x24xf32>
  %sum = vector.reduction <add>, %row : vector<24xf32> into f32
  memref.store %sum, %y[%c0] : memref<1xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Narrow floats without an instruction for it: bf16 rounds on its bits, f64 goes by way of f32.
// CHECK-LABEL: func.func @narrow
// CHECK: arith.bitcast %{{.*}} : vector<16xf32> to vector<16xi32>
// CHECK: arith.select
// CHECK: arith.bitcast %{{.*}} : vector<16xi16> to vector<16xbf16>
// CHECK: %[[F32:.*]] = arith.truncf %{{.*}} : vector<16xf64> to vector<16xf32>
// CHECK: arith.truncf %[[F32]] : vector<16xf32> to vector<16xf16>
func.func @narrow(%x: memref<16xf32>, %y: memref<16xbf16>, %z: memref<16xf16>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %0 = tile.load %x[%c0] : memref<16xf32> -> vector<16xf32>
  %1 = arith.truncf %0 : vector<16xf32> to vector<16xbf16>
  tile.store %1, %y[%c0] : vector<16xbf16>, memref<16xbf16>
  %2 = arith.extf %0 : vector<16xf32> to vector<16xf64>
  %3 = arith.addf %2, %2 : vector<16xf64>
  %4 = arith.truncf %3 : vector<16xf64> to vector<16xf16>
  tile.store %4, %z[%c0] : vector<16xf16>, memref<16xf16>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Masks, steps, selects by a scalar, lanes across machine vectors.
// CHECK-LABEL: func.func @lanes
// CHECK-DAG: arith.constant dense<[16, 17, 18, 19]> : vector<4xindex>
// CHECK: arith.cmpi sgt, %{{.*}}, %{{.*}} : vector<16xi32>
// CHECK: arith.select %{{.*}}, %{{.*}}, %{{.*}} : vector<16xi1>, vector<16xindex>
// CHECK: arith.select %{{.*}}, %{{.*}}, %{{.*}} : vector<4xindex>
// CHECK: vector.shuffle %{{.*}}, %{{.*}} [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 0]
func.func @lanes(%y: memref<20xindex>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<7> : vector<20xindex>
  %c = arith.cmpi slt, %begin, %end : index
  %step = vector.step : vector<20xindex>
  %mask = vector.create_mask %end : vector<20xi1>
  %0 = arith.select %mask, %step, %zero : vector<20xi1>, vector<20xindex>
  %1 = arith.select %c, %0, %step : vector<20xindex>
  %2 = vector.extract_strided_slice %1 {offsets = [2], sizes = [16], strides = [1]} : vector<20xindex> to vector<16xindex>
  tile.store %1, %y[%c0] : vector<20xindex>, memref<20xindex>
  tile.store %2, %y[%c0] : vector<16xindex>, memref<20xindex>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
