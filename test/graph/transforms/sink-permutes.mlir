// RUN: tessera-opt %s -tessera-graph-sink-permutes -split-input-file | FileCheck %s

// Merging below the permute leaves a reshape that changes nothing: it is not moved on and on.

// CHECK-LABEL: func.func @merged
// CHECK:         %[[R:.*]] = graph.reshape %arg0 shape = [6, 5]
// CHECK:         %[[P:.*]] = graph.permute %[[R]] dims = [1, 0]
// CHECK:         graph.add %arg1, %[[P]]
func.func @merged(%x: tensor<2x3x5xf32>, %y: tensor<5x6xf32>) -> tensor<5x6xf32> {
  %0 = graph.permute %x dims = [2, 0, 1] : (tensor<2x3x5xf32>) -> tensor<5x2x3xf32>
  %1 = graph.reshape %0 shape = [5, 6] : (tensor<5x2x3xf32>) -> tensor<5x6xf32>
  %2 = graph.add %y, %1 : tensor<5x6xf32>
  return %2 : tensor<5x6xf32>
}
