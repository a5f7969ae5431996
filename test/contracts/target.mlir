// RUN: tessera-opt %s -tessera-verify-target -split-input-file -verify-diagnostics

#avx2 = #target.machine<cpu = "x86-64-v3", features = "", vectorBits = 256, mathLibrary = "none">
module attributes {target.machine = #avx2} {
  func.func @good(%x: memref<64xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
    %v = vector.load %x[%begin] : memref<64xf32>, vector<8xf32>
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

// expected-error @+1 {{[verify-target] has kernels but no target.machine}}
module {
  func.func @k(%s: memref<?xi8>, %begin: index, %end: index) -> i32 {
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

#avx2 = #target.machine<cpu = "x86-64-v3", features = "", vectorBits = 256, mathLibrary = "none">
module attributes {target.machine = #avx2} {
  func.func @wide(%x: memref<64xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
    // expected-error @+1 {{[verify-target] uses 'vector<16xf32>'; a machine of 256 bits has vectors of at most 8 lanes}}
    %v = vector.load %x[%begin] : memref<64xf32>, vector<16xf32>
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

#avx2 = #target.machine<cpu = "x86-64-v3", features = "", vectorBits = 256, mathLibrary = "none">
module attributes {target.machine = #avx2} {
  // expected-error @+1 {{[verify-target] uses 'memref<8x8xf32>'; buffers are flat}}
  func.func @shape(%x: memref<8x8xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}

// -----

#avx2 = #target.machine<cpu = "x86-64-v3", features = "", vectorBits = 256, mathLibrary = "none">
module attributes {target.machine = #avx2} {
  func.func @level(%x: memref<8xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
    // expected-error @+1 {{[verify-target] is not of the target level; run tessera-tile-to-target}}
    %v = tile.load %x[%begin] : memref<8xf32> -> vector<8xf32>
    %ok = arith.constant 0 : i32
    return %ok : i32
  }
}
