// RUN: tessera-opt %s --tessera-schedule-to-tile --split-input-file --verify-diagnostics

func.func @main(%a: tensor<4x64xf32>, %b: tensor<64x4xf32>) -> tensor<4x4xf32> {
  // expected-note @+1 {{in a kernel of class elementwise; give the op a kernel of its own}}
  %0 = schedule.kernel elementwise(%a, %b) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<4x64xf32>, tensor<64x4xf32>) -> tensor<4x4xf32> {
  ^bb0(%x: tensor<4x64xf32>, %y: tensor<64x4xf32>):
    // expected-error @+1 {{[matmul] cannot be computed element by element}}
    %1 = graph.matmul %x, %y : (tensor<4x64xf32>, tensor<64x4xf32>) -> tensor<4x4xf32>
    schedule.yield %1 : tensor<4x4xf32>
  }
  return %0 : tensor<4x4xf32>
}
