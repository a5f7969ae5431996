// RUN: tessera-opt %s --tessera-verify-graph | tessera-opt | FileCheck %s
// RUN: tessera-opt %s --mlir-print-op-generic | tessera-opt | FileCheck %s

// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<8x512xf32>) -> tensor<8x512xi64> {
  // CHECK: graph.sort %{{.*}} dim = 1 {descending, stable} : (tensor<8x512xf32>) -> (tensor<8x512xf32>, tensor<8x512xi64>)
  %v, %i = graph.sort %x dim = 1 {descending, stable} : (tensor<8x512xf32>) -> (tensor<8x512xf32>, tensor<8x512xi64>)
  // CHECK: graph.topk %{{.*}} dim = 0, k = 3 {smallest, sorted} : (tensor<8x512xf32>) -> (tensor<3x512xf32>, tensor<3x512xi64>)
  %1:2 = graph.topk %v dim = 0, k = 3 {smallest, sorted} : (tensor<8x512xf32>) -> (tensor<3x512xf32>, tensor<3x512xi64>)
  // CHECK: graph.order_statistic kth %{{.*}} dim = 1 {k = 7 : i64} : (tensor<3x512xf32>) -> (tensor<3x1xf32>, tensor<3x1xi64>)
  %2:2 = graph.order_statistic kth %1#0 dim = 1 {k = 7} : (tensor<3x512xf32>) -> (tensor<3x1xf32>, tensor<3x1xi64>)
  // CHECK: graph.order_statistic nanmedian %{{.*}} dim = 1 : (tensor<8x512xf32>)
  %3:2 = graph.order_statistic nanmedian %x dim = 1 : (tensor<8x512xf32>) -> (tensor<8x1xf32>, tensor<8x1xi64>)
  // CHECK: graph.running_extremum min %{{.*}} dim = 1 : (tensor<8x512xf32>) -> (tensor<8x512xf32>, tensor<8x512xi64>)
  %4:2 = graph.running_extremum min %x dim = 1 : (tensor<8x512xf32>) -> (tensor<8x512xf32>, tensor<8x512xi64>)
  // CHECK: graph.search_sorted %{{.*}}, %{{.*}} {right} : (tensor<8x512xf32>, tensor<8x1xf32>) -> tensor<8x1xi64>
  %5 = graph.search_sorted %4#0, %3#0 {right} : (tensor<8x512xf32>, tensor<8x1xf32>) -> tensor<8x1xi64>
  return %i : tensor<8x512xi64>
}

// Every element type has an order.
// CHECK-LABEL: func.func @types
func.func @types(%a: tensor<4xi1>, %b: tensor<4xui8>, %c: tensor<4xbf16>, %d: tensor<?xi64>) {
  // CHECK-COUNT-4: graph.sort
  %0:2 = graph.sort %a dim = 0 : (tensor<4xi1>) -> (tensor<4xi1>, tensor<4xi64>)
  %1:2 = graph.sort %b dim = 0 : (tensor<4xui8>) -> (tensor<4xui8>, tensor<4xi64>)
  %2:2 = graph.sort %c dim = 0 : (tensor<4xbf16>) -> (tensor<4xbf16>, tensor<4xi64>)
  %3:2 = graph.sort %d dim = 0 : (tensor<?xi64>) -> (tensor<?xi64>, tensor<?xi64>)
  return
}
