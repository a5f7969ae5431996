// RUN: tessera-opt %s | tessera-opt | FileCheck %s
// RUN: tessera-opt %s -mlir-print-op-generic | tessera-opt | FileCheck %s

// CHECK-LABEL: func.func @memory
func.func @memory(%m: memref<8x70xf32>, %i: index, %n: index, %p: f32) {
  // CHECK: tile.load %{{.*}}[%{{.*}}, %{{.*}}] : memref<8x70xf32> -> vector<64xf32>
  %0 = tile.load %m[%i, %i] : memref<8x70xf32> -> vector<64xf32>
  // CHECK: tile.load %{{.*}}[%{{.*}}, %{{.*}}] valid %{{.*}} pad %{{.*}} : f32 {dim = 0 : i64} : memref<8x70xf32> -> vector<8xf32>
  %1 = tile.load %m[%i, %i] valid %n pad %p : f32 {dim = 0 : i64} : memref<8x70xf32> -> vector<8xf32>
  // CHECK: tile.store %{{.*}}, %{{.*}}[%{{.*}}, %{{.*}}] valid %{{.*}} : vector<64xf32>, memref<8x70xf32>
  tile.store %0, %m[%i, %i] valid %n : vector<64xf32>, memref<8x70xf32>
  return
}

// CHECK-LABEL: func.func @products
func.func @products(%acc: vector<8x32xf32>, %a: memref<1024x512xbf16>, %b: memref<16x512x32xbf16>, %i: index) -> vector<8x32xf32> {
  // CHECK: tile.mma %{{.*}}, %{{.*}}[%{{.*}}, %{{.*}}], %{{.*}}[%{{.*}}, %{{.*}}, %{{.*}}] depth %{{.*}} : vector<8x32xf32>, memref<1024x512xbf16>, memref<16x512x32xbf16>
  %0 = tile.mma %acc, %a[%i, %i], %b[%i, %i, %i] depth %i : vector<8x32xf32>, memref<1024x512xbf16>, memref<16x512x32xbf16>
  // CHECK: prefetch[%{{.*}}, %{{.*}}, %{{.*}}] {locality = 3 : i64, prefetchStep = 8 : i64, unroll = 4 : i64}
  %1 = tile.mma %0, %a[%i, %i], %b[%i, %i, %i] depth %i prefetch [%i, %i, %i] {unroll = 4, prefetchStep = 8, locality = 3}
      : vector<8x32xf32>, memref<1024x512xbf16>, memref<16x512x32xbf16>
  // CHECK: tile.pack %{{.*}}[%{{.*}}, %{{.*}}], %{{.*}}[%{{.*}}, %{{.*}}, %{{.*}}] depth %{{.*}} valid %{{.*}} : memref<1024x512xbf16>, memref<16x512x32xbf16>
  tile.pack %a[%i, %i], %b[%i, %i, %i] depth %i valid %i : memref<1024x512xbf16>, memref<16x512x32xbf16>
  return %1 : vector<8x32xf32>
}

// CHECK-LABEL: func.func @functions
func.func @functions(%x: vector<64xf32>, %y: f64) {
  // CHECK: tile.exp %{{.*}} {accuracy = 2.000000e+00 : f64} : vector<64xf32>
  %0 = tile.exp %x {accuracy = 2.0} : vector<64xf32>
  // CHECK: tile.exp2 %{{.*}} : vector<64xf32>
  %1 = tile.exp2 %x : vector<64xf32>
  // CHECK: tile.erf %{{.*}} : f64
  %2 = tile.erf %y : f64
  // CHECK: tile.tanh %{{.*}} : vector<64xf32>
  %3 = tile.tanh %x : vector<64xf32>
  // CHECK: tile.gelu %{{.*}} : vector<64xf32>
  %5 = tile.gelu %x : vector<64xf32>
  // CHECK: tile.gelu_tanh %{{.*}} : f64
  %6 = tile.gelu_tanh %y : f64
  // CHECK: tile.special "zeta"(%{{.*}}, %{{.*}}) : vector<64xf32>
  %4 = tile.special "zeta"(%x, %x) : vector<64xf32>
  return
}
