// RUN: tessera-opt %s -tessera-tile-to-target="features=+avx512bf16" -canonicalize -cse -split-input-file | FileCheck %s
// RUN: tessera-opt %s -tessera-tile-to-target="features=+avx512bf16" -canonicalize -cse -tessera-target-to-llvm -split-input-file | FileCheck %s --check-prefix=LLVM

// Half as many steps as the depth is long; A is read in place, a pair at a time. The last of an odd depth is half a
// pair: nothing is read behind it.
// CHECK-LABEL: func.func @mma
// CHECK: scf.for %{{.*}} = %c0 to %c64 step %c2 iter_args({{.*}}) -> ({{((vector<16xf32>, ){15})}}vector<16xf32>)
// CHECK: memref.prefetch
// CHECK-COUNT-2: target.load_pairs %{{.*}} -> vector<16xi32>
// CHECK: %[[A:.*]] = target.load_pairs %{{.*}} -> i32
// CHECK: %[[F:.*]] = vector.broadcast %[[A]] : i32 to vector<16xi32>
// CHECK: target.dot_pairs %{{.*}}, %[[F]], %{{.*}} : vector<16xf32>, vector<16xi32>
// CHECK-NOT: vector.fma
// CHECK: scf.yield
// CHECK: arith.andi %{{.*}} : vector<16xi32>
// CHECK: memref.load
// CHECK: arith.extui %{{.*}} : i16 to i32
// CHECK: target.dot_pairs
// LLVM: llvm.load %{{.*}} {alignment = 2 : i64} : !llvm.ptr -> i32
// LLVM: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
func.func @mma(%a: memref<64x65x2xbf16, strided<[129, 2, 1]>>, %b: memref<4x65x32x2xbf16>, %c: memref<64x128xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %depth = arith.constant 129 : index
  %zero = arith.constant dense<0.0> : vector<8x32xf32>
  %r = tile.mma %zero, %a[%begin, %c0, %c0], %b[%end, %c0, %c0, %c0] depth %depth prefetch [%begin, %c0, %c0, %c0] {pairs, unroll = 2, prefetchStep = 8}
      : vector<8x32xf32>, memref<64x65x2xbf16, strided<[129, 2, 1]>>, memref<4x65x32x2xbf16>
  %row = vector.extract %r[3] : vector<32xf32> from vector<8x32xf32>
  tile.store %row, %c[%begin, %c0] : vector<32xf32>, memref<64x128xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

// Rows side by side are interleaved, f32 rounded on the way; a contiguous depth is transposed as pairs, and what is
// left of it behind a mask.
// CHECK-LABEL: func.func @pack
// CHECK: scf.for
// CHECK: vector.maskedload %{{.*}} vector<16xf32>
// CHECK: arith.shli
// CHECK: target.store_pairs %{{.*}} : vector<16xi32>
// CHECK: scf.for
// CHECK-COUNT-16: target.load_pairs %{{.*}} -> vector<16xi32>
// CHECK-COUNT-64: vector.shuffle
// CHECK-COUNT-16: target.store_pairs
// CHECK: scf.for
// CHECK: vector.maskedload %{{.*}} vector<16xbf16>
// LLVM-LABEL: llvm.func internal @pack.body
// LLVM: llvm.store %{{.*}} {alignment = 2 : i64} : vector<16xi32>, !llvm.ptr
func.func @pack(%a: memref<512x70xf32>, %t: memref<512x70xbf16, strided<[1, 512]>>, %p: memref<3x256x32x2xbf16>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  tile.pack %a[%c0, %begin], %p[%c0, %c0, %c0, %c0] depth %end valid %begin {pairs} : memref<512x70xf32>, memref<3x256x32x2xbf16>
  tile.pack %t[%c0, %begin], %p[%c0, %c0, %c0, %c0] depth %end valid %begin {pairs} : memref<512x70xbf16, strided<[1, 512]>>, memref<3x256x32x2xbf16>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

// Denormals are zero to what reads these: one instruction.
// CHECK-LABEL: func.func @factors
// CHECK-COUNT-2: target.round_factors %{{.*}} : vector<16xf32> -> vector<16xbf16>
// LLVM: llvm.fptrunc %{{.*}} : vector<16xf32> to vector<16xbf16>
func.func @factors(%a: memref<32xf32>, %c: memref<32xbf16>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %x = tile.load %a[%c0] : memref<32xf32> -> vector<32xf32>
  %y = tile.round_factors %x : vector<32xf32> -> vector<32xbf16>
  tile.store %y, %c[%c0] : vector<32xbf16>, memref<32xbf16>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

// Several vectors are rounded by that instruction as well where no lane is denormal.
// CHECK-LABEL: func.func @round
// CHECK:         arith.minui
// CHECK:         %[[ANY:.*]] = vector.reduction <or>
// CHECK:         scf.if %[[ANY]] -> (vector<16xbf16>, vector<16xbf16>) {
// CHECK-NOT:       target.round_factors
// CHECK:         } else {
// CHECK-COUNT-2:   target.round_factors
func.func @round(%a: memref<32xf32>, %c: memref<32xbf16>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %x = tile.load %a[%c0] : memref<32xf32> -> vector<32xf32>
  %y = arith.truncf %x : vector<32xf32> to vector<32xbf16>
  tile.store %y, %c[%c0] : vector<32xbf16>, memref<32xbf16>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
