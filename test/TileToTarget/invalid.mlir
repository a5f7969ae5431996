// RUN: tessera-opt %s -tessera-tile-to-target -split-input-file -verify-diagnostics

// expected-error @+1 {{needs static strides; only the outermost size may be dynamic}}
func.func @dynamic(%x: memref<4x?xf32, strided<[?, 1]>>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

// expected-error @+1 {{[tile] argument 0 of type 'memref<?x4xf32>' needs static sizes}}
func.func @sizes(%x: memref<?x4xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @alloc(%s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  // expected-error @+1 {{[tile] cannot make a kernel's buffer: use arguments and memref.view}}
  %m = memref.alloc() : memref<4xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @rank(%s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %a = arith.constant dense<1.0> : vector<2x2x2xf32>
  // expected-error @+1 {{failed to legalize operation 'arith.addf'}}
  %b = arith.addf %a, %a : vector<2x2x2xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @pairs(%a: memref<64x65x2xbf16>, %b: memref<65x16x2xbf16>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %zero = arith.constant dense<0.0> : vector<8x16xf32>
  // expected-error @+2 {{failed to legalize operation 'tile.mma'}}
  // expected-error @+1 {{has no product of pairs; choose a schedule without}}
  %r = tile.mma %zero, %a[%begin, %c0, %c0], %b[%c0, %c0, %c0] depth %end {pairs} : vector<8x16xf32>, memref<64x65x2xbf16>, memref<65x16x2xbf16>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
