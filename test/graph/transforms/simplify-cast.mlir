// RUN: tessera-opt --tessera-graph-simplify %s | FileCheck %s

// CHECK-LABEL: @same_type
// CHECK-SAME: %[[X:.*]]: tensor<8xf32>
// CHECK-NEXT: return %[[X]]
func.func @same_type(%x: tensor<8xf32>) -> tensor<8xf32> {
  %0 = graph.cast %x to f32 : tensor<8xf32>
  %1 = graph.cast %0 to f64 : (tensor<8xf32>) -> tensor<8xf64>
  %2 = graph.cast %1 to f32 : (tensor<8xf64>) -> tensor<8xf32>
  return %2 : tensor<8xf32>
}

// CHECK-LABEL: @lossless
// CHECK-NEXT: %[[A:.*]] = graph.cast %{{.*}} to f32 : (tensor<8xbf16>) -> tensor<8xf32>
// CHECK-NEXT: %[[B:.*]] = graph.cast %{{.*}} to f32 : (tensor<8xi1>) -> tensor<8xf32>
// CHECK-NEXT: return %[[A]], %[[B]]
func.func @lossless(%x: tensor<8xbf16>, %b: tensor<8xi1>) -> (tensor<8xf32>, tensor<8xf32>) {
  %0 = graph.cast %x to f64 : (tensor<8xbf16>) -> tensor<8xf64>
  %1 = graph.cast %0 to f32 : (tensor<8xf64>) -> tensor<8xf32>
  %2 = graph.cast %b to i64 : (tensor<8xi1>) -> tensor<8xi64>
  %3 = graph.cast %2 to f32 : (tensor<8xi64>) -> tensor<8xf32>
  return %1, %3 : tensor<8xf32>, tensor<8xf32>
}

// Each first cast loses something, or the second meets a value that the direct one treats otherwise:
// bf16 has larger numbers than f16, i32 more bits than f32, negative numbers are no ui8, and a float
// out of range does not wrap as an integer does.
// CHECK-LABEL: @lossy
// CHECK-COUNT-10: graph.cast
func.func @lossy(%x: tensor<8xf32>, %h: tensor<8xbf16>, %i: tensor<8xi32>, %s: tensor<8xi16>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xi64>, tensor<8xi64>, tensor<8xi8>) {
  %0 = graph.cast %x to bf16 : (tensor<8xf32>) -> tensor<8xbf16>
  %1 = graph.cast %0 to f32 : (tensor<8xbf16>) -> tensor<8xf32>
  %2 = graph.cast %h to f16 : (tensor<8xbf16>) -> tensor<8xf16>
  %3 = graph.cast %2 to f32 : (tensor<8xf16>) -> tensor<8xf32>
  %4 = graph.cast %i to f32 : (tensor<8xi32>) -> tensor<8xf32>
  %5 = graph.cast %4 to i64 : (tensor<8xf32>) -> tensor<8xi64>
  %6 = graph.cast %i to ui8 : (tensor<8xi32>) -> tensor<8xui8>
  %7 = graph.cast %6 to i64 : (tensor<8xui8>) -> tensor<8xi64>
  %8 = graph.cast %s to f32 : (tensor<8xi16>) -> tensor<8xf32>
  %9 = graph.cast %8 to i8 : (tensor<8xf32>) -> tensor<8xi8>
  return %1, %3, %5, %7, %9 : tensor<8xf32>, tensor<8xf32>, tensor<8xi64>, tensor<8xi64>, tensor<8xi8>
}
