// RUN: tessera-opt %s --split-input-file --verify-diagnostics

func.func @count(%x: memref<8xf32>, %y: memref<8xf32>, %b: index, %e: index) {
  // expected-error@+1 {{[call_library] has 1 element types for 2 buffers}}
  %0 = tile.call_library "f"(%x) into(%y) units %b to %e types [f32] parameters [] : (memref<8xf32>) -> memref<8xf32>
  return
}

// -----

func.func @type(%x: memref<8xf32>, %y: memref<8xi8>, %b: index, %e: index) {
  // expected-error@+1 {{[call_library] a buffer of 'f32' does not hold elements of type 'i1'}}
  %0 = tile.call_library "f"(%x) into(%y) units %b to %e types [i1, ui8] parameters [] : (memref<8xf32>) -> memref<8xi8>
  return
}
