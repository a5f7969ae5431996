// RUN: tessera-opt %s -tessera-schedule-to-tile -split-input-file -verify-diagnostics

func.func @main(%q: tensor<2x8x16xf32>, %k: tensor<2x8x16xf32>, %v: tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  // expected-error @below {{[attention] needs a #schedule.attention point}}
  %0 = schedule.kernel attention(%q, %k, %v) : (tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  ^bb0(%a: tensor<2x8x16xf32>, %b: tensor<2x8x16xf32>, %c: tensor<2x8x16xf32>):
    %1 = graph.attention %a, %b, %c scale = 1.0 : (tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>) -> tensor<2x8x16xf32>
    schedule.yield %1 : tensor<2x8x16xf32>
  }
  return %0 : tensor<2x8x16xf32>
}

// -----

func.func @main(%q: tensor<2x8x16xf32>, %k: tensor<2x8x16xf32>, %v: tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  // expected-error @below {{[attention] key must be an input of the kernel}}
  %0 = schedule.kernel attention(%q, %k, %v) {point = #schedule.attention<br = 8, bc = 32, mr = 8, nr = 32, unroll = 2>}
      : (tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>) -> tensor<2x8x16xf32> {
  ^bb0(%a: tensor<2x8x16xf32>, %b: tensor<2x8x16xf32>, %c: tensor<2x8x16xf32>):
    %n = graph.neg %b : tensor<2x8x16xf32>
    %1 = graph.attention %a, %n, %c scale = 1.0 : (tensor<2x8x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>) -> tensor<2x8x16xf32>
    schedule.yield %1 : tensor<2x8x16xf32>
  }
  return %0 : tensor<2x8x16xf32>
}

// -----

func.func @main(%q: tensor<2x1x16xf32>, %k: tensor<2x16x8xf32>, %v: tensor<2x8x16xf32>) -> tensor<2x1x16xf32> {
  %t = schedule.view %k offset 0 strides [128, 1, 8] : tensor<2x16x8xf32> to tensor<2x8x16xf32>
  // expected-error @below {{[attention] keys and values are read in place only where their elements lie side by side}}
  %0 = schedule.kernel attention(%q, %t, %v) {point = #schedule.attention<br = 1, bc = 32, mr = 1, nr = 32, unroll = 2, inPlace = true>}
      : (tensor<2x1x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>) -> tensor<2x1x16xf32> {
  ^bb0(%a: tensor<2x1x16xf32>, %b: tensor<2x8x16xf32>, %c: tensor<2x8x16xf32>):
    %1 = graph.attention %a, %b, %c scale = 1.0 : (tensor<2x1x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>) -> tensor<2x1x16xf32>
    schedule.yield %1 : tensor<2x1x16xf32>
  }
  return %0 : tensor<2x1x16xf32>
}

// -----

func.func @main(%q: tensor<2x1x16xf32>, %k: tensor<2x7x16xf32>, %n: tensor<2x1x16xf32>, %v: tensor<2x8x16xf32>) -> tensor<2x1x16xf32> {
  // expected-error @below {{[attention] keys and values are put together only by queries that read all of them in place}}
  %0 = schedule.kernel attention(%q, %k, %n, %v) {point = #schedule.attention<br = 1, bc = 32, mr = 1, nr = 32, unroll = 2>}
      : (tensor<2x1x16xf32>, tensor<2x7x16xf32>, tensor<2x1x16xf32>, tensor<2x8x16xf32>) -> tensor<2x1x16xf32> {
  ^bb0(%a: tensor<2x1x16xf32>, %b: tensor<2x7x16xf32>, %d: tensor<2x1x16xf32>, %c: tensor<2x8x16xf32>):
    %j = graph.concat %b, %d dim = 1 : (tensor<2x7x16xf32>, tensor<2x1x16xf32>) -> tensor<2x8x16xf32>
    %1 = graph.attention %a, %j, %c scale = 1.0 : (tensor<2x1x16xf32>, tensor<2x8x16xf32>, tensor<2x8x16xf32>) -> tensor<2x1x16xf32>
    schedule.yield %1 : tensor<2x1x16xf32>
  }
  return %0 : tensor<2x1x16xf32>
}
