// RUN: tessera-opt %s --tessera-schedule-to-tile --split-input-file --verify-diagnostics

func.func @main(%a: tensor<4x64xf32>) -> (tensor<4x64xf32>, tensor<2xf32>) {
  // expected-error @+1 {{[rows] output 1 of type 'tensor<2xf32>' has neither an element for each of the reduced tensor nor one a row}}
  %0:2 = schedule.kernel rows(%a)
      {point = #schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 8, prefetchRow = false>}
      : (tensor<4x64xf32>) -> (tensor<4x64xf32>, tensor<2xf32>) {
  ^bb0(%x: tensor<4x64xf32>):
    %1 = graph.softmax %x dim = 1 : tensor<4x64xf32>
    %2 = graph.constant dense<1.0> : tensor<2xf32>
    schedule.yield %1, %2 : tensor<4x64xf32>, tensor<2xf32>
  }
  return %0#0, %0#1 : tensor<4x64xf32>, tensor<2xf32>
}

// -----

func.func @main(%a: tensor<64x64xf32>) -> tensor<64x64xf32> {
  // expected-note @+1 {{in a kernel of class rows; give the op a kernel of its own}}
  %0 = schedule.kernel rows(%a)
      {point = #schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 8, prefetchRow = false>}
      : (tensor<64x64xf32>) -> tensor<64x64xf32> {
  ^bb0(%x: tensor<64x64xf32>):
    // expected-error @+1 {{[reduce] is read across the rows it reduces}}
    %1 = graph.reduce sum %x dims = [1] : (tensor<64x64xf32>) -> tensor<64xf32>
    %2 = graph.sub %x, %1 : (tensor<64x64xf32>, tensor<64xf32>) -> tensor<64x64xf32>
    schedule.yield %2 : tensor<64x64xf32>
  }
  return %0 : tensor<64x64xf32>
}

// -----

func.func @main(%a: tensor<4x60xf32>, %b: tensor<4x4xf32>) -> tensor<4x64xf32> {
  // expected-error @+1 {{[rows] concat and pad cannot be part of a kernel of rows; give them a kernel of their own}}
  %0 = schedule.kernel rows(%a, %b)
      {point = #schedule.rows<lanes = 64, lanesAlongReduction = true, grain = 8, prefetchRow = false>}
      : (tensor<4x60xf32>, tensor<4x4xf32>) -> tensor<4x64xf32> {
  ^bb0(%x: tensor<4x60xf32>, %y: tensor<4x4xf32>):
    %1 = graph.concat %x, %y dim = 1 : (tensor<4x60xf32>, tensor<4x4xf32>) -> tensor<4x64xf32>
    %2 = graph.softmax %1 dim = 1 : tensor<4x64xf32>
    schedule.yield %2 : tensor<4x64xf32>
  }
  return %0 : tensor<4x64xf32>
}
