// RUN: tessera-opt --tessera-graph-simplify %s | FileCheck %s

// No element is gathered, so no index is read.
// CHECK-LABEL: @sum_of_nothing
// CHECK-NOT: graph.gather
// CHECK: %[[EMPTY:.*]] = graph.broadcast %{{.*}} shape = [0]
// CHECK: graph.reduce sum %[[EMPTY]]
func.func @sum_of_nothing(%x: tensor<24xf32>, %i: tensor<0xi64>) -> tensor<f32> {
  %0 = graph.gather %x, %i dim = 0 : (tensor<24xf32>, tensor<0xi64>) -> tensor<0xf32>
  %1 = graph.reduce sum %0 dims = [0] : (tensor<0xf32>) -> tensor<f32>
  return %1 : tensor<f32>
}

// CHECK-LABEL: @one_element
// CHECK: graph.gather
func.func @one_element(%x: tensor<24xf32>, %i: tensor<1xi64>) -> tensor<1xf32> {
  %0 = graph.gather %x, %i dim = 0 : (tensor<24xf32>, tensor<1xi64>) -> tensor<1xf32>
  return %0 : tensor<1xf32>
}
