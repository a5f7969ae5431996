// RUN: tessera-opt --tessera-graph-simplify %s | FileCheck %s

// Of a log_softmax a loss reads one element a row: what the rows have in common is enough to compute those.

// CHECK-LABEL: @cross_entropy
// CHECK-DAG:     %[[LENGTH:.*]] = graph.constant dense<5000> : tensor<i64>
// CHECK-DAG:     %[[MAX:.*]] = graph.reduce max %arg0 dims = [1] {keepdim}
// CHECK-DAG:     %[[SUM:.*]] = graph.reduce sum %{{.*}} dims = [1] {keepdim}
// CHECK-DAG:     %[[LOG:.*]] = graph.log %[[SUM]] : tensor<64x1xf32>
// CHECK-DAG:     %[[ROW:.*]] = graph.floor_div %arg1, %[[LENGTH]]
// CHECK-DAG:     %[[X:.*]] = graph.reshape %arg0 shape = [320000]
// CHECK-DAG:     %[[ELEMENT:.*]] = graph.gather %[[X]], %arg1 dim = 0
// CHECK-DAG:     %[[LARGEST:.*]] = graph.gather %{{.*}}, %[[ROW]] dim = 0 : (tensor<64xf32>, tensor<64xi64>)
// CHECK-DAG:     %[[LESS:.*]] = graph.sub %[[ELEMENT]], %[[LARGEST]] : tensor<64xf32>
// CHECK-DAG:     %[[SUMS:.*]] = graph.gather %{{.*}}, %[[ROW]] dim = 0 : (tensor<64xf32>, tensor<64xi64>)
// CHECK:         graph.sub %[[LESS]], %{{.*}} : tensor<64xf32>
// CHECK-NOT:     graph.log_softmax
func.func @cross_entropy(%x: tensor<64x5000xf32>, %i: tensor<64xi64>) -> tensor<64xf32> {
  %0 = graph.log_softmax %x dim = 1 : tensor<64x5000xf32>
  %1 = graph.reshape %0 shape = [320000] : (tensor<64x5000xf32>) -> tensor<320000xf32>
  %2 = graph.gather %1, %i dim = 0 : (tensor<320000xf32>, tensor<64xi64>) -> tensor<64xf32>
  return %2 : tensor<64xf32>
}

// What others read is written anyway, halves would be rounded in between, and many elements are read where they lie.

// CHECK-LABEL: @kept
// CHECK-COUNT-3: graph.log_softmax
// CHECK-NOT:     graph.reduce
func.func @kept(%x: tensor<64x50xf32>, %h: tensor<64x50xbf16>, %i: tensor<64xi64>, %j: tensor<3000xi64>)
    -> (tensor<64x50xf32>, tensor<64xf32>, tensor<64xbf16>, tensor<3000xf32>) {
  %0 = graph.log_softmax %x dim = 1 : tensor<64x50xf32>
  %1 = graph.reshape %0 shape = [3200] : (tensor<64x50xf32>) -> tensor<3200xf32>
  %2 = graph.gather %1, %i dim = 0 : (tensor<3200xf32>, tensor<64xi64>) -> tensor<64xf32>
  %3 = graph.log_softmax %h dim = 1 : tensor<64x50xbf16>
  %4 = graph.reshape %3 shape = [3200] : (tensor<64x50xbf16>) -> tensor<3200xbf16>
  %5 = graph.gather %4, %i dim = 0 : (tensor<3200xbf16>, tensor<64xi64>) -> tensor<64xbf16>
  %y = graph.neg %x : tensor<64x50xf32>
  %6 = graph.log_softmax %y dim = 1 : tensor<64x50xf32>
  %7 = graph.reshape %6 shape = [3200] : (tensor<64x50xf32>) -> tensor<3200xf32>
  %8 = graph.gather %7, %j dim = 0 : (tensor<3200xf32>, tensor<3000xi64>) -> tensor<3000xf32>
  return %0, %2, %5, %8 : tensor<64x50xf32>, tensor<64xf32>, tensor<64xbf16>, tensor<3000xf32>
}
