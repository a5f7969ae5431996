// RUN: tessera-opt %s -pass-pipeline="builtin.module(func.func(tessera-verify-tile))" -split-input-file -verify-diagnostics

func.func @good(%x: memref<8x8xf32, strided<[8, -1], offset: 7>>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %v = tile.load %x[%begin, %end] : memref<8x8xf32, strided<[8, -1], offset: 7>> -> vector<8xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// The host function beside the kernels is of another level.
func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  return %x : tensor<8xf32>
}

// -----

// expected-error @+1 {{[verify-tile] takes 'memref<?xf32>'; a kernel's arguments are buffers of static sizes}}
func.func @argument(%x: memref<?xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @op(%x: memref<8xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  // expected-error @+1 {{[verify-tile] is not of the tile level}}
  %v = vector.load %x[%begin] : memref<8xf32>, vector<8xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @rank(%s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  // expected-error @+1 {{[verify-tile] uses 'vector<2x2x2xf32>'; vectors have one or two fixed dimensions}}
  %v = arith.constant dense<0.0> : vector<2x2x2xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @tensor(%s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  // expected-error @+1 {{[verify-tile] uses 'tensor<2xf32>'; kernels work on buffers}}
  %v = arith.constant dense<0.0> : tensor<2xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @strides(%x: memref<8x8xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  // expected-error @+1 {{strides must be static}}
  %v = memref.subview %x[0, 0] [4, 4] [1, %begin] : memref<8x8xf32> to memref<4x4xf32, strided<[8, ?]>>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

func.func @half(%s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %v = arith.constant 1.0 : f16
  // expected-error @+1 {{[verify-tile] computes in 'f16'; f16 and bf16 are for storage, widen to f32}}
  %w = math.sin %v : f16
  %ok = arith.constant 0 : i32
  return %ok : i32
}
