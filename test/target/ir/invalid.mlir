// RUN: tessera-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{[machine] vectorBits must be 512 (AVX-512) or 256 (AVX2), got 128 for sse}}
module attributes {target.machine = #target.machine<cpu = "sse", features = "", vectorBits = 128, mathLibrary = "none">} {}

// -----

// expected-error @+1 {{[machine] mathLibrary must be libmvec-2.35, libmvec-2.22 or none, got svml}}
module attributes {target.machine = #target.machine<cpu = "x", features = "", vectorBits = 512, mathLibrary = "svml">} {}

// -----

func.func @types(%x: vector<16xf32>) {
  // expected-error @+1 {{[call_math] operand of type 'vector<16xf32>' differs from the result's type 'vector<8xf32>'}}
  %0 = target.call_math "f"(%x) : (vector<16xf32>) -> vector<8xf32>
  return
}

// -----

func.func @element(%x: f16) {
  // expected-error @+1 {{[call_math] libraries compute in f32 or f64, got 'f16'}}
  %0 = target.call_math "f"(%x) : (f16) -> f16
  return
}

// -----

// expected-error @+1 {{[program] needs exactly one target.prepare, one target.main and one target.outputs}}
target.program @main arena 0 {
  target.main {
  }
  target.outputs
}

// -----

// expected-error @+1 {{[program] must end in target.outputs}}
target.program @main arena 0 {
  target.prepare {
  }
  target.outputs
  target.main {
  }
}

// -----

target.program @main arena 64 {
  // expected-error @+1 {{[storage] bytes 32 to 96 lie outside the arena of 64}}
  %s = target.storage arena offset 32 bytes 64
  target.prepare {
  }
  target.main {
  }
  target.outputs
}

// -----

target.program @main arena 64 {
  // expected-error @+1 {{[storage] only the arena has offsets, got 32}}
  %s = target.storage heap offset 32 bytes 64
  target.prepare {
  }
  target.main {
  }
  target.outputs
}

// -----

target.program @main arena 0 {
  %x = target.input "x" : tensor<8xf32>
  // expected-error @+1 {{[value] addresses bytes 4 to 36 of a storage of 32}}
  %v = target.value %x offset 4 strides [1] : tensor<8xf32>
  target.prepare {
  }
  target.main {
  }
  target.outputs
}

// -----

target.program @main arena 0 {
  %x = target.input "x" : tensor<8xf32>
  // expected-error @+1 {{[value] needs one stride a dimension}}
  %v = target.value %x offset 0 strides [] : tensor<8xf32>
  target.prepare {
  }
  target.main {
  }
  target.outputs
}

// -----

target.program @main arena 0 {
  target.prepare {
  }
  target.main {
    // expected-error @+1 {{[launch] no target.kernel named @k0}}
    target.launch @k0() into() : () -> ()
  }
  target.outputs
}

// -----

target.program @main arena 0 {
  // expected-error @+1 {{[kernel] needs units and scratch of at least 0 and a grain of at least 1}}
  target.kernel @k0 units 2 grain 0 scratch 0
  target.prepare {
  }
  target.main {
  }
  target.outputs
}
