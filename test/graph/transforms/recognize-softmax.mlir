// RUN: tessera-opt --tessera-graph-recognize %s | FileCheck %s

// CHECK-LABEL: @softmax
// CHECK-NEXT: %[[S:.*]] = graph.softmax %{{.*}} dim = 1 : tensor<8x16xf32>
// CHECK-NEXT: return %[[S]]
func.func @softmax(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = graph.reduce max %x dims = [1] {keepdim} : (tensor<8x16xf32>) -> tensor<8x1xf32>
  %1 = graph.sub %x, %0 : (tensor<8x16xf32>, tensor<8x1xf32>) -> tensor<8x16xf32>
  %2 = graph.exp %1 : tensor<8x16xf32>
  %3 = graph.reduce sum %2 dims = [1] : (tensor<8x16xf32>) -> tensor<8xf32>
  %4 = graph.reshape %3 shape = [8, 1] : (tensor<8xf32>) -> tensor<8x1xf32>
  %5 = graph.div %2, %4 : (tensor<8x16xf32>, tensor<8x1xf32>) -> tensor<8x16xf32>
  return %5 : tensor<8x16xf32>
}

// CHECK-LABEL: @log_softmax
// CHECK-NEXT: %[[S:.*]] = graph.log_softmax %{{.*}} dim = 0 : tensor<8x16xf32>
// CHECK-NEXT: return %[[S]]
func.func @log_softmax(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = graph.reduce max %x dims = [0] {keepdim} : (tensor<8x16xf32>) -> tensor<1x16xf32>
  %1 = graph.sub %x, %0 : (tensor<8x16xf32>, tensor<1x16xf32>) -> tensor<8x16xf32>
  %2 = graph.exp %1 : tensor<8x16xf32>
  %3 = graph.reduce sum %2 dims = [0] {keepdim} : (tensor<8x16xf32>) -> tensor<1x16xf32>
  %4 = graph.log %3 : tensor<1x16xf32>
  %5 = graph.sub %1, %4 : (tensor<8x16xf32>, tensor<1x16xf32>) -> tensor<8x16xf32>
  return %5 : tensor<8x16xf32>
}

// Without the maximum the sum overflows earlier; sums over another dim are another function.
// CHECK-LABEL: @not_softmax
// CHECK-NOT: graph.softmax
// CHECK: return
func.func @not_softmax(%x: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8x8xf32>) {
  %0 = graph.exp %x : tensor<8x8xf32>
  %1 = graph.reduce sum %0 dims = [1] {keepdim} : (tensor<8x8xf32>) -> tensor<8x1xf32>
  %2 = graph.div %0, %1 : (tensor<8x8xf32>, tensor<8x1xf32>) -> tensor<8x8xf32>
  %3 = graph.reduce max %x dims = [1] {keepdim} : (tensor<8x8xf32>) -> tensor<8x1xf32>
  %4 = graph.sub %x, %3 : (tensor<8x8xf32>, tensor<8x1xf32>) -> tensor<8x8xf32>
  %5 = graph.exp %4 : tensor<8x8xf32>
  %6 = graph.reduce sum %5 dims = [0] {keepdim} : (tensor<8x8xf32>) -> tensor<1x8xf32>
  %7 = graph.div %5, %6 : (tensor<8x8xf32>, tensor<1x8xf32>) -> tensor<8x8xf32>
  return %2, %7 : tensor<8x8xf32>, tensor<8x8xf32>
}
