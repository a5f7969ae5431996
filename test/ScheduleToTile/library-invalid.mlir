// RUN: tessera-opt %s --tessera-schedule-to-tile --split-input-file --verify-diagnostics

func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  // expected-error@+1 {{[kernel] body must be one library op of the kernel's inputs, all results yielded}}
  %0 = schedule.kernel library(%x) {point = #schedule.library<grain = 16384>} : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>):
    %1:2 = graph.sort %a dim = 0 : (tensor<8xf32>) -> (tensor<8xf32>, tensor<8xi64>)
    schedule.yield %1#0 : tensor<8xf32>
  }
  return %0 : tensor<8xf32>
}

// -----

func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> {
  // expected-error@+1 {{[kernel] body must be one library op of the kernel's inputs, all results yielded}}
  %0 = schedule.kernel library(%x) {point = #schedule.library<grain = 16384>} : (tensor<8xf32>) -> tensor<8xf32> {
  ^bb0(%a: tensor<8xf32>):
    %1 = graph.exp %a : tensor<8xf32>
    schedule.yield %1 : tensor<8xf32>
  }
  return %0 : tensor<8xf32>
}
