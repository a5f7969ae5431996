// RUN: not tessera-opt --tessera-graph-split-joint %s 2>&1 | FileCheck %s

// CHECK: [split-joint] `graph.joint` must be how many results come before the gradients
func.func @main(%x: tensor<8xf32>) -> tensor<8xf32> attributes {graph.joint = array<i64: 2, 1>} {
  return %x : tensor<8xf32>
}
