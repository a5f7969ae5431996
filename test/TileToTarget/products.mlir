// RUN: tessera-opt %s -tessera-tile-to-target -canonicalize -cse | FileCheck %s
// RUN: tessera-opt %s -tessera-tile-to-target="cpu=x86-64-v3 vector-bits=256" -canonicalize -cse | FileCheck %s --check-prefix=AVX2

// One loop with an accumulator a register, inside one that adds up its sums; on sixteen registers, strips that
// wait on the stack.
// CHECK-LABEL: func.func @mma
// CHECK: scf.for %{{.*}} = %c0 to %c512 step %c256 iter_args({{.*}}) -> ({{((vector<16xf32>, ){15})}}vector<16xf32>)
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c2 iter_args({{.*}}) -> ({{((vector<16xf32>, ){15})}}vector<16xf32>)
// CHECK: memref.prefetch %{{.*}}, read, locality<2>, data
// CHECK-COUNT-2: vector.load
// CHECK: memref.load
// CHECK: vector.broadcast
// CHECK: vector.fma
// CHECK-NOT: scf.for
// AVX2-LABEL: func.func @mma
// AVX2: llvm.alloca
// AVX2-COUNT-8: scf.for {{.*}} -> ({{((vector<8xf32>, ){7})}}vector<8xf32>)
func.func @mma(%a: memref<64x512xf32>, %b: memref<4x512x32xf32>, %c: memref<64x128xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %depth = arith.constant 512 : index
  %zero = arith.constant dense<0.0> : vector<8x32xf32>
  %r = tile.mma %zero, %a[%begin, %c0], %b[%end, %c0, %c0] depth %depth prefetch [%begin, %c0, %c0] {unroll = 2, prefetchStep = 8}
      : vector<8x32xf32>, memref<64x512xf32>, memref<4x512x32xf32>
  %row = vector.extract %r[3] : vector<32xf32> from vector<8x32xf32>
  tile.store %row, %c[%begin, %c0] : vector<32xf32>, memref<64x128xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// A depth the unroll may not divide; storage types widen on the way in; integers.
// CHECK-LABEL: func.func @tails
// CHECK: arith.remsi
// A sum alone waits for itself: eight steps are summed apart.
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c8 iter_args({{.*}}) -> ({{((vector<16xf32>, ){7})}}vector<16xf32>)
// CHECK: arith.shli %{{.*}} : vector<16xi32>
// CHECK: arith.shli %{{.*}} : i32
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %c1
// CHECK: arith.extsi %{{.*}} : vector<16xi8> to vector<16xi32>
// CHECK: arith.muli
// CHECK: arith.addi
func.func @tails(%a: memref<64x512xbf16>, %b: memref<512x16xbf16>, %c: memref<16xf32>, %d: memref<64x512xi8>, %e: memref<512x16xi8>,
                 %f: memref<16xi32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<0.0> : vector<1x16xf32>
  %r = tile.mma %zero, %a[%begin, %c0], %b[%c0, %c0] depth %end {unroll = 4} : vector<1x16xf32>, memref<64x512xbf16>, memref<512x16xbf16>
  %row = vector.extract %r[0] : vector<16xf32> from vector<1x16xf32>
  tile.store %row, %c[%c0] : vector<16xf32>, memref<16xf32>
  %izero = arith.constant dense<0> : vector<1x16xi32>
  %q = tile.mma %izero, %d[%begin, %c0], %e[%c0, %c0] depth %end : vector<1x16xi32>, memref<64x512xi8>, memref<512x16xi8>
  %irow = vector.extract %q[0] : vector<16xi32> from vector<1x16xi32>
  tile.store %irow, %f[%c0] : vector<16xi32>, memref<16xi32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Rows are copied; a contiguous depth is transposed in registers.
// CHECK-LABEL: func.func @pack
// CHECK: scf.for
// CHECK-COUNT-2: vector.maskedload
// CHECK: scf.if
// CHECK: scf.for
// CHECK-COUNT-16: vector.load
// CHECK-COUNT-64: vector.shuffle
// CHECK-COUNT-16: vector.store
// CHECK: else
// CHECK: vector.gather
func.func @pack(%a: memref<512x70xf32>, %t: memref<512x70xf32, strided<[1, 512]>>, %p: memref<3x512x32xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  tile.pack %a[%c0, %begin], %p[%c0, %c0, %c0] depth %end valid %begin : memref<512x70xf32>, memref<3x512x32xf32>
  tile.pack %t[%c0, %begin], %p[%c0, %c0, %c0] depth %end valid %begin : memref<512x70xf32, strided<[1, 512]>>, memref<3x512x32xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
