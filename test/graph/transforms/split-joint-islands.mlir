// RUN: tessera-opt --tessera-graph-split-joint=rematerialize=full %s | FileCheck %s

// An island may have side effects: it runs once, in the half it belongs to, even where nobody reads
// what it gives. Random numbers are a function of their key, which both halves are given.

// CHECK-LABEL: func.func @forward(
// CHECK: graph.island 0
// CHECK: graph.island 1
// CHECK-NOT: graph.island 2
// CHECK-LABEL: func.func @backward(
// CHECK-SAME: tensor<1xi64> {graph.argument = 0 : i64}
// CHECK-SAME: tensor<8xf32> {graph.saved = 1 : i64}
// CHECK-NOT: graph.island 0
// CHECK-NOT: graph.island 1
// CHECK: graph.random_bits
// CHECK: graph.island 2
func.func @main(%keys: tensor<1xi64>, %x: tensor<8xf32>, %t: tensor<8xf32>)
    -> (tensor<8xf32>, tensor<8xf32>) attributes {graph.joint = array<i64: 1, 1>} {
  %zero = graph.constant dense<0> : tensor<i32>
  %a = graph.island 0 "kept" (%x) : (tensor<8xf32>) -> tensor<8xf32>
  %unread = graph.island 1 "kept" (%x) : (tensor<8xf32>) -> tensor<8xf32>
  %key = graph.reshape %keys shape = [] : (tensor<1xi64>) -> tensor<i64>
  %bits = graph.random_bits %key shape = [8], dtype = i32 : (tensor<i64>) -> tensor<8xi32>
  %mask = graph.compare gt %bits, %zero : (tensor<8xi32>, tensor<i32>) -> tensor<8xi1>
  %y = graph.select %mask, %a, %x : (tensor<8xi1>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %d = graph.select %mask, %t, %a : (tensor<8xi1>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  %dx = graph.island 2 "kept" (%d) : (tensor<8xf32>) -> tensor<8xf32>
  return %y, %dx : tensor<8xf32>, tensor<8xf32>
}
