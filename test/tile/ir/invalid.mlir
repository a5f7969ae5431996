// RUN: tessera-opt %s -split-input-file -verify-diagnostics

func.func @load_rank(%m: memref<8x70xf32>, %i: index) {
  // expected-error @+1 {{[load] buffer 'memref<8x70xf32>' has rank 2 but got 1 indices}}
  %0 = tile.load %m[%i] : memref<8x70xf32> -> vector<16xf32>
  return
}

// -----

func.func @load_scalar_buffer(%m: memref<f32>) {
  // expected-error @+1 {{[load] needs a buffer with at least one dimension; use memref.load}}
  %0 = tile.load %m[] : memref<f32> -> vector<16xf32>
  return
}

// -----

func.func @load_type(%m: memref<8xf16>, %i: index) {
  // expected-error @+1 {{[load] lanes of type 'f32' differ from the buffer's elements of type 'f16'; convert in registers}}
  %0 = tile.load %m[%i] : memref<8xf16> -> vector<16xf32>
  return
}

// -----

func.func @load_dim(%m: memref<8xf32>, %i: index) {
  // expected-error @+1 {{[load] dim 1 is outside the buffer's rank 1}}
  %0 = tile.load %m[%i] {dim = 1} : memref<8xf32> -> vector<16xf32>
  return
}

// -----

func.func @load_pad(%m: memref<8xf32>, %i: index, %p: f32) {
  // expected-error @+1 {{[load] a pad needs `valid`: without it every lane is read}}
  %0 = tile.load %m[%i] pad %p : f32 : memref<8xf32> -> vector<16xf32>
  return
}

// -----

func.func @load_pad_type(%m: memref<8xf32>, %i: index, %p: f64) {
  // expected-error @+1 {{[load] pad of type 'f64' differs from the buffer's elements of type 'f32'}}
  %0 = tile.load %m[%i] valid %i pad %p : f64 : memref<8xf32> -> vector<16xf32>
  return
}

// -----

func.func @store_broadcast(%m: memref<8x8xf32, strided<[8, 0]>>, %i: index, %v: vector<8xf32>) {
  // expected-error @+1 {{has stride 0: its lanes are one element}}
  tile.store %v, %m[%i, %i] : vector<8xf32>, memref<8x8xf32, strided<[8, 0]>>
  return
}

// -----

func.func @mma_types(%acc: vector<8x32xf32>, %a: memref<8x8xf64>, %b: memref<8x32xf64>, %i: index) {
  // expected-error @+1 {{[mma] cannot accumulate 'f64' times 'f64' in 'f32'}}
  %0 = tile.mma %acc, %a[%i, %i], %b[%i, %i] depth %i : vector<8x32xf32>, memref<8x8xf64>, memref<8x32xf64>
  return
}

// -----

func.func @mma_lanes(%acc: vector<8x32xf32>, %a: memref<8x8xf32>, %b: memref<8x32xf32, strided<[1, 8]>>, %i: index) {
  // expected-error @+1 {{[mma] the lanes of B must be contiguous}}
  %0 = tile.mma %acc, %a[%i, %i], %b[%i, %i] depth %i : vector<8x32xf32>, memref<8x8xf32>, memref<8x32xf32, strided<[1, 8]>>
  return
}

// -----

func.func @mma_unroll(%acc: vector<8x32xf32>, %a: memref<8x8xf32>, %b: memref<8x32xf32>, %i: index) {
  // expected-error @+1 {{[mma] unroll must be positive, got 0}}
  %0 = tile.mma %acc, %a[%i, %i], %b[%i, %i] depth %i {unroll = 0} : vector<8x32xf32>, memref<8x8xf32>, memref<8x32xf32>
  return
}

// -----

func.func @mma_step(%acc: vector<8x32xf32>, %a: memref<8x8xf32>, %b: memref<8x32xf32>, %i: index) {
  // expected-error @+1 {{[mma] prefetchStep must be positive, got -1}}
  %0 = tile.mma %acc, %a[%i, %i], %b[%i, %i] depth %i {prefetchStep = -1} : vector<8x32xf32>, memref<8x8xf32>, memref<8x32xf32>
  return
}

// -----

func.func @mma_locality(%acc: vector<8x32xf32>, %a: memref<8x8xf32>, %b: memref<8x32xf32>, %i: index) {
  // expected-error @+1 {{[mma] locality must be 0 to 3, got 4}}
  %0 = tile.mma %acc, %a[%i, %i], %b[%i, %i] depth %i {locality = 4} : vector<8x32xf32>, memref<8x8xf32>, memref<8x32xf32>
  return
}

// -----

func.func @mma_prefetch(%acc: vector<8x32xf32>, %a: memref<8x8xf32>, %b: memref<8x32xf32>, %i: index) {
  // expected-error @+1 {{[mma] prefetch of B 'memref<8x32xf32>' has rank 2 but got 1 indices}}
  %0 = tile.mma %acc, %a[%i, %i], %b[%i, %i] depth %i prefetch [%i] : vector<8x32xf32>, memref<8x8xf32>, memref<8x32xf32>
  return
}

// -----

func.func @mma_rank(%acc: vector<8x32xf32>, %a: memref<8xf32>, %b: memref<8x32xf32>, %i: index) {
  // expected-error @+1 {{[mma] operands need at least two dimensions}}
  %0 = tile.mma %acc, %a[%i], %b[%i, %i] depth %i : vector<8x32xf32>, memref<8xf32>, memref<8x32xf32>
  return
}

// -----

func.func @pack_types(%a: memref<8x8xf32>, %b: memref<8x32xf64>, %i: index) {
  // expected-error @+1 {{[pack] cannot convert 'f32' to 'f64'}}
  tile.pack %a[%i, %i], %b[%i, %i] depth %i valid %i : memref<8x8xf32>, memref<8x32xf64>
  return
}

// -----

func.func @pack_panel(%a: memref<8x8xf32>, %b: memref<8x?xf32>, %i: index) {
  // expected-error @+1 {{[pack] the panel's last dimension must be static and contiguous}}
  tile.pack %a[%i, %i], %b[%i, %i] depth %i valid %i : memref<8x8xf32>, memref<8x?xf32>
  return
}

// -----

func.func @pack_rank(%a: memref<8xf32>, %b: memref<8x8xf32>, %i: index) {
  // expected-error @+1 {{[pack] buffers need at least two dimensions}}
  tile.pack %a[%i], %b[%i, %i] depth %i valid %i : memref<8xf32>, memref<8x8xf32>
  return
}

// -----

func.func @function_type(%x: vector<16xf16>) {
  // expected-error @+1 {{operand #0 must be}}
  %0 = tile.exp %x : vector<16xf16>
  return
}

// -----

func.func @mma_pairs(%acc: vector<8x32xf32>, %a: memref<8x8x2xbf16>, %b: memref<8x32xbf16>, %i: index) {
  // expected-error @+1 {{[mma] pairs are the last dimension of bf16 operands}}
  %0 = tile.mma %acc, %a[%i, %i, %i], %b[%i, %i] depth %i {pairs} : vector<8x32xf32>, memref<8x8x2xbf16>, memref<8x32xbf16>
  return
}

// -----

func.func @mma_pairs_apart(%acc: vector<8x32xf32>, %a: memref<8x8x2xbf16>, %b: memref<8x32x2xbf16, strided<[128, 4, 1]>>, %i: index) {
  // expected-error @+1 {{[mma] the pairs of B must be contiguous}}
  %0 = tile.mma %acc, %a[%i, %i, %i], %b[%i, %i, %i] depth %i {pairs} : vector<8x32xf32>, memref<8x8x2xbf16>, memref<8x32x2xbf16, strided<[128, 4, 1]>>
  return
}

// -----

func.func @pack_pairs(%a: memref<8x8xf32>, %b: memref<8x32xbf16>, %i: index) {
  // expected-error @+1 {{[pack] pairs are the last dimension of a panel of bf16}}
  tile.pack %a[%i, %i], %b[%i, %i] depth %i valid %i {pairs} : memref<8x8xf32>, memref<8x32xbf16>
  return
}
