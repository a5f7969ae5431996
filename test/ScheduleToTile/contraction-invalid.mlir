// RUN: tessera-opt %s -tessera-schedule-to-tile -split-input-file -verify-diagnostics

func.func @main(%x: tensor<8x16xf32>, %p: tensor<1x16x32xf32>) -> tensor<8x32xf32> {
  // expected-error @below {{[contraction] panels of 32 columns do not fit a register tile of 16}}
  %0 = schedule.kernel contraction(%x, %p) {point = #schedule.contraction<mr = 8, nr = 16, kc = 16, mc = 8, nSplit = 0, packA = false, unroll = 1, prefetchB = 0>}
      : (tensor<8x16xf32>, tensor<1x16x32xf32>) -> tensor<8x32xf32> {
  ^bb0(%a: tensor<8x16xf32>, %panels: tensor<1x16x32xf32>):
    %w = schedule.unpack %panels : tensor<1x16x32xf32> to tensor<16x32xf32>
    %1 = graph.matmul %a, %w : (tensor<8x16xf32>, tensor<16x32xf32>) -> tensor<8x32xf32>
    schedule.yield %1 : tensor<8x32xf32>
  }
  return %0 : tensor<8x32xf32>
}

// -----

func.func @main(%x: tensor<8x16xf32>, %y: tensor<16x32xf32>) -> tensor<8x32xf32> {
  // expected-error @below {{[contraction] needs a #schedule.contraction point}}
  %0 = schedule.kernel contraction(%x, %y) : (tensor<8x16xf32>, tensor<16x32xf32>) -> tensor<8x32xf32> {
  ^bb0(%a: tensor<8x16xf32>, %b: tensor<16x32xf32>):
    %1 = graph.matmul %a, %b : (tensor<8x16xf32>, tensor<16x32xf32>) -> tensor<8x32xf32>
    schedule.yield %1 : tensor<8x32xf32>
  }
  return %0 : tensor<8x32xf32>
}

// -----

func.func @main(%x: tensor<8x16xf32>, %y: tensor<16x32xf32>) -> tensor<8x32xf32> {
  // expected-error @below {{[contraction] tile sizes must be positive}}
  %0 = schedule.kernel contraction(%x, %y) {point = #schedule.contraction<mr = 0, nr = 16, kc = 16, mc = 8, nSplit = 0, packA = false, unroll = 1, prefetchB = 0>}
      : (tensor<8x16xf32>, tensor<16x32xf32>) -> tensor<8x32xf32> {
  ^bb0(%a: tensor<8x16xf32>, %b: tensor<16x32xf32>):
    %1 = graph.matmul %a, %b : (tensor<8x16xf32>, tensor<16x32xf32>) -> tensor<8x32xf32>
    schedule.yield %1 : tensor<8x32xf32>
  }
  return %0 : tensor<8x32xf32>
}

// -----

func.func @main(%x: tensor<8x16xf32>, %y: tensor<16x32xf32>) -> tensor<8x32xf32> {
  // expected-error @below {{[contraction] the second operand must be an input or schedule.unpack of one}}
  %0 = schedule.kernel contraction(%x, %y) {point = #schedule.contraction<mr = 8, nr = 32, kc = 16, mc = 8, nSplit = 0, packA = false, unroll = 1, prefetchB = 0>}
      : (tensor<8x16xf32>, tensor<16x32xf32>) -> tensor<8x32xf32> {
  ^bb0(%a: tensor<8x16xf32>, %b: tensor<16x32xf32>):
    %n = graph.neg %b : tensor<16x32xf32>
    %1 = graph.matmul %a, %n : (tensor<8x16xf32>, tensor<16x32xf32>) -> tensor<8x32xf32>
    schedule.yield %1 : tensor<8x32xf32>
  }
  return %0 : tensor<8x32xf32>
}
