// RUN: tessera-opt --tessera-graph-simplify %s | FileCheck %s

// CHECK-LABEL: @neutral_float
// CHECK-SAME: %[[X:.*]]: tensor<8xf32>
// CHECK-NEXT: return %[[X]]
func.func @neutral_float(%x: tensor<8xf32>) -> tensor<8xf32> {
  %one = graph.constant dense<1.0> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  %minus_zero = graph.constant dense<-0.0> : tensor<8xf32>
  %0 = graph.mul %one, %x : (tensor<f32>, tensor<8xf32>) -> tensor<8xf32>
  %1 = graph.add %0, %minus_zero : tensor<8xf32>
  %2 = graph.sub %1, %zero : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %3 = graph.div %2, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %4 = graph.pow %3, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  return %4 : tensor<8xf32>
}

// -0.0 + 0.0 is 0.0; 0.0 - x is not -x for x = 0.0; x * 0.0 is NaN for infinities; x floor-divided
// by one is rounded.
// CHECK-LABEL: @not_neutral
// CHECK: graph.add
// CHECK: graph.sub
// CHECK: graph.sub
// CHECK: graph.mul
// CHECK: graph.floor_div
func.func @not_neutral(%x: tensor<8xf32>) -> tensor<8xf32> {
  %one = graph.constant dense<1.0> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  %minus_zero = graph.constant dense<-0.0> : tensor<f32>
  %0 = graph.add %x, %zero : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.sub %0, %minus_zero : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %2 = graph.sub %zero, %1 : (tensor<f32>, tensor<8xf32>) -> tensor<8xf32>
  %3 = graph.mul %2, %zero : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %4 = graph.floor_div %3, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  return %4 : tensor<8xf32>
}

// The constant broadcasts the value: it is not without effect.
// CHECK-LABEL: @neutral_but_larger
// CHECK: graph.mul
func.func @neutral_but_larger(%x: tensor<4xf32>) -> tensor<8x4xf32> {
  %one = graph.constant dense<1.0> : tensor<8x1xf32>
  %0 = graph.mul %x, %one : (tensor<4xf32>, tensor<8x1xf32>) -> tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// CHECK-LABEL: @neutral_integer
// CHECK-SAME: %[[X:.*]]: tensor<8xi32>
// CHECK-NEXT: return %[[X]]
func.func @neutral_integer(%x: tensor<8xi32>) -> tensor<8xi32> {
  %one = graph.constant dense<1> : tensor<i32>
  %zero = graph.constant dense<0> : tensor<i32>
  %0 = graph.add %x, %zero : (tensor<8xi32>, tensor<i32>) -> tensor<8xi32>
  %1 = graph.floor_div %0, %one : (tensor<8xi32>, tensor<i32>) -> tensor<8xi32>
  %2 = graph.bitwise_or %1, %zero : (tensor<8xi32>, tensor<i32>) -> tensor<8xi32>
  %3 = graph.shift_left %2, %zero : (tensor<8xi32>, tensor<i32>) -> tensor<8xi32>
  %4 = graph.bitwise_not %3 : tensor<8xi32>
  %5 = graph.bitwise_not %4 : tensor<8xi32>
  %6 = graph.neg %5 : tensor<8xi32>
  %7 = graph.neg %6 : tensor<8xi32>
  return %7 : tensor<8xi32>
}

// 1/8 is exact and normal; 1/3 is rounded; 1/2^127 is no normal f32.
// CHECK-LABEL: @division
// CHECK-DAG: %[[EIGHTH:.*]] = graph.constant dense<1.250000e-01> : tensor<f32>
// CHECK: graph.mul %{{.*}}, %[[EIGHTH]]
// CHECK: graph.div
// CHECK: graph.div
func.func @division(%x: tensor<8xf32>) -> tensor<8xf32> {
  %eight = graph.constant dense<8.0> : tensor<f32>
  %three = graph.constant dense<3.0> : tensor<f32>
  %huge = graph.constant dense<0x7F000000> : tensor<f32>
  %0 = graph.div %x, %eight : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.div %0, %three : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %2 = graph.div %1, %huge : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  return %2 : tensor<8xf32>
}

// CHECK-LABEL: @powers
// CHECK-SAME: %[[X:.*]]: tensor<8xf32>
// CHECK: %[[S:.*]] = graph.mul %[[X]], %[[X]]
// CHECK: %[[Q:.*]] = graph.mul %[[S]], %[[S]]
// CHECK: %[[C:.*]] = graph.mul %[[Q]], %[[S]]
// CHECK: %[[R:.*]] = graph.reciprocal %[[C]]
// CHECK: graph.pow %[[R]]
func.func @powers(%x: tensor<8xf32>) -> tensor<8xf32> {
  %two = graph.constant dense<2.0> : tensor<f32>
  %three = graph.constant dense<3.0> : tensor<f32>
  %minus_one = graph.constant dense<-1.0> : tensor<f32>
  %half = graph.constant dense<0.5> : tensor<f32>
  %0 = graph.pow %x, %two : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.pow %0, %three : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %2 = graph.pow %1, %minus_one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %3 = graph.pow %2, %half : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  return %3 : tensor<8xf32>
}

// CHECK-LABEL: @rsqrt
// CHECK-NEXT: %[[R:.*]] = graph.rsqrt
// CHECK-NEXT: return %[[R]]
func.func @rsqrt(%x: tensor<8xf32>) -> tensor<8xf32> {
  %one = graph.constant dense<1.0> : tensor<f32>
  %0 = graph.sqrt %x : tensor<8xf32>
  %1 = graph.div %one, %0 : (tensor<f32>, tensor<8xf32>) -> tensor<8xf32>
  return %1 : tensor<8xf32>
}

// CHECK-LABEL: @select
// CHECK-SAME: %[[X:.*]]: tensor<8xf32>, %[[S:.*]]: tensor<f32>, %[[C:.*]]: tensor<8xi1>
// CHECK: %[[B:.*]] = graph.broadcast %[[S]] shape = [8]
// CHECK: return %[[X]], %[[B]], %[[X]]
func.func @select(%x: tensor<8xf32>, %s: tensor<f32>, %c: tensor<8xi1>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %true = graph.constant dense<true> : tensor<i1>
  %false = graph.constant dense<false> : tensor<8xi1>
  %0 = graph.select %true, %x, %s : (tensor<i1>, tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.select %false, %x, %s : (tensor<8xi1>, tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %2 = graph.select %c, %x, %x : (tensor<8xi1>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return %0, %1, %2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}
