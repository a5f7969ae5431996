// RUN: tessera-opt %s --split-input-file --verify-diagnostics

func.func @offsets(%x: memref<8xf32>, %b: index, %e: index) {
  // expected-error@+1 {{[call_library] needs one offset a buffer, got 2 for 1}}
  %0 = target.call_library "f"(%x at %b, %e) units %b to %e description [1, 8, 0] : memref<8xf32>
  return
}

// -----

func.func @count(%x: memref<8xf32>, %b: index, %e: index) {
  // expected-error@+1 {{[call_library] description must begin with the number of buffers, 1}}
  %0 = target.call_library "f"(%x at %b) units %b to %e description [2, 8, 0] : memref<8xf32>
  return
}

// -----

func.func @short(%x: memref<8xf32>, %b: index, %e: index) {
  // expected-error@+1 {{[call_library] description ends within buffer 0}}
  %0 = target.call_library "f"(%x at %b) units %b to %e description [1, 8, 1, 8] : memref<8xf32>
  return
}
