// RUN: tessera-opt %s | tessera-opt | FileCheck %s
// RUN: tessera-opt %s -mlir-print-op-generic | tessera-opt | FileCheck %s

// CHECK: module attributes {target.machine = #target.machine<cpu = "x86-64-v3", features = "+avx2,+fma", vectorBits = 256, mathLibrary = "none">}
module attributes {target.machine = #target.machine<cpu = "x86-64-v3", features = "+avx2,+fma", vectorBits = 256, mathLibrary = "none">} {
  func.func @maths(%x: vector<16xf32>, %y: f64) {
    // CHECK: target.call_math "_ZGVeN16v_sinf"(%{{.*}}) : (vector<16xf32>) -> vector<16xf32>
    %0 = target.call_math "_ZGVeN16v_sinf"(%x) : (vector<16xf32>) -> vector<16xf32>
    // CHECK: target.call_math "pow"(%{{.*}}, %{{.*}}) : (f64, f64) -> f64
    %1 = target.call_math "pow"(%y, %y) : (f64, f64) -> f64
    return
  }

  // CHECK: target.program @main arena 256 {
  target.program @main arena 256 {
    // CHECK: %[[X:.*]] = target.input "x" : tensor<2x8xf32>
    %x = target.input "x" : tensor<2x8xf32>
    // CHECK: target.parameter prepared "fc.weight" : tensor<8x8xf32>
    %w = target.parameter prepared "fc.weight" : tensor<8x8xf32>
    // CHECK: target.constant dense<2.000000e+00> : tensor<4xf32>
    %c = target.constant dense<2.0> : tensor<4xf32>
    // CHECK: target.storage arena offset 64 bytes 64
    %a = target.storage arena offset 64 bytes 64
    // CHECK: target.storage output offset 0 bytes 64
    %o = target.storage output offset 0 bytes 64
    // CHECK: target.storage island offset 0 bytes 0
    %i = target.storage island offset 0 bytes 0
    // CHECK: %[[V:.*]] = target.value %[[X]] offset 32 strides [-8, 1] : tensor<2x8xf32>
    %v = target.value %x offset 32 strides [-8, 1] : tensor<2x8xf32>
    %t = target.value %a offset 0 strides [8, 1] : tensor<2x8xf32>
    %y = target.value %o offset 0 strides [8, 1] : tensor<2x8xf32>
    // CHECK: target.kernel @k0 units 2 grain 1 scratch 0 {flops = 3.200000e+01 : f64}
    target.kernel @k0 units 2 grain 1 scratch 0 {flops = 32.0}
    // CHECK: target.prepare {
    target.prepare {
    }
    // CHECK: target.main {
    target.main {
      // CHECK: target.launch @k0(%[[V]]) into(%{{.*}}) : (tensor<2x8xf32>) -> tensor<2x8xf32>
      target.launch @k0(%v) into(%t) : (tensor<2x8xf32>) -> tensor<2x8xf32>
      // CHECK: target.island 3 "no lowering"(%{{.*}}) into(%{{.*}}) : (tensor<2x8xf32>) -> tensor<2x8xf32>
      target.island 3 "no lowering"(%t) into(%y) : (tensor<2x8xf32>) -> tensor<2x8xf32>
    }
    // CHECK: target.outputs %{{.*}} : tensor<2x8xf32>
    target.outputs %y : tensor<2x8xf32>
  }
}
