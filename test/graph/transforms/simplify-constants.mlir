// RUN: tessera-opt --tessera-graph-simplify %s | FileCheck %s

// CHECK-LABEL: @floats
// CHECK-NEXT: %[[C:.*]] = graph.constant dense<[-2.500000e-01, 5.000000e-01]> : tensor<2xf32>
// CHECK-NEXT: return %[[C]]
func.func @floats() -> tensor<2xf32> {
  %a = graph.constant dense<[1.0, -2.0]> : tensor<2xf32>
  %sixteen = graph.constant dense<16.0> : tensor<f32>
  %0 = graph.sqrt %sixteen : tensor<f32>
  %1 = graph.div %a, %0 : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  %2 = graph.neg %1 : tensor<2xf32>
  return %2 : tensor<2xf32>
}

// A sum is rounded to its own type: 1 + 2^-9 is 1 in bf16.
// CHECK-LABEL: @rounding
// CHECK-NEXT: %[[C:.*]] = graph.constant dense<1.000000e+00> : tensor<bf16>
// CHECK-NEXT: return %[[C]]
func.func @rounding() -> tensor<bf16> {
  %a = graph.constant dense<1.0> : tensor<bf16>
  %b = graph.constant dense<0.001953125> : tensor<bf16>
  %0 = graph.add %a, %b : tensor<bf16>
  return %0 : tensor<bf16>
}

// CHECK-LABEL: @integers
// CHECK-DAG: %[[A:.*]] = graph.constant dense<-2147483648> : tensor<i32>
// CHECK-DAG: %[[B:.*]] = graph.constant dense<44> : tensor<ui8>
// CHECK-DAG: %[[C:.*]] = graph.constant dense<false> : tensor<i1>
// CHECK: return %[[A]], %[[B]], %[[C]]
func.func @integers() -> (tensor<i32>, tensor<ui8>, tensor<i1>) {
  %max = graph.constant dense<2147483647> : tensor<i32>
  %one = graph.constant dense<1> : tensor<i32>
  %0 = graph.add %max, %one : tensor<i32>
  %u = graph.constant dense<200> : tensor<ui8>
  %v = graph.constant dense<100> : tensor<ui8>
  %1 = graph.add %u, %v : tensor<ui8>
  %true = graph.constant dense<true> : tensor<i1>
  %2 = graph.bitwise_not %true : tensor<i1>
  return %0, %1, %2 : tensor<i32>, tensor<ui8>, tensor<i1>
}

// 200 is above 100 as ui8; NaN is unequal to itself.
// CHECK-LABEL: @logic
// CHECK-DAG: %[[T:.*]] = graph.constant dense<true> : tensor<i1>
// CHECK-DAG: %[[V:.*]] = graph.constant dense<3.000000e+00> : tensor<f32>
// CHECK: return %[[T]], %[[T]], %[[V]]
func.func @logic() -> (tensor<i1>, tensor<i1>, tensor<f32>) {
  %u = graph.constant dense<200> : tensor<ui8>
  %v = graph.constant dense<100> : tensor<ui8>
  %0 = graph.compare gt %u, %v : (tensor<ui8>, tensor<ui8>) -> tensor<i1>
  %nan = graph.constant dense<0x7FC00000> : tensor<f32>
  %1 = graph.compare ne %nan, %nan : (tensor<f32>, tensor<f32>) -> tensor<i1>
  %three = graph.constant dense<3> : tensor<i64>
  %2 = graph.cast %three to f32 : (tensor<i64>) -> tensor<f32>
  return %0, %1, %2 : tensor<i1>, tensor<i1>, tensor<f32>
}

// CHECK-LABEL: @movement
// CHECK-DAG: %[[S:.*]] = graph.constant dense<1.000000e+00> : tensor<3x2xf32>
// CHECK-DAG: %[[T:.*]] = graph.constant dense<{{\[\[}}1, 2], [3, 4]]> : tensor<2x2xi64>
// CHECK: return %[[S]], %[[T]]
func.func @movement() -> (tensor<3x2xf32>, tensor<2x2xi64>) {
  %one = graph.constant dense<1.0> : tensor<f32>
  %0 = graph.broadcast %one shape = [2, 4] : (tensor<f32>) -> tensor<2x4xf32>
  %1 = graph.slice %0 starts = [0, 0], limits = [2, 3], steps = [1, 1] : (tensor<2x4xf32>) -> tensor<2x3xf32>
  %2 = graph.permute %1 dims = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %table = graph.constant dense<[1, 2, 3, 4]> : tensor<4xi64>
  %3 = graph.reshape %table shape = [2, 2] : (tensor<4xi64>) -> tensor<2x2xi64>
  return %2, %3 : tensor<3x2xf32>, tensor<2x2xi64>
}

// What the machine decides is left to it: floats out of an integer's range, exp's last bit.
// CHECK-LABEL: @left_alone
// CHECK: graph.cast
// CHECK: graph.exp
func.func @left_alone() -> (tensor<i32>, tensor<f32>) {
  %big = graph.constant dense<1.0e20> : tensor<f32>
  %0 = graph.cast %big to i32 : (tensor<f32>) -> tensor<i32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %1 = graph.exp %one : tensor<f32>
  return %0, %1 : tensor<i32>, tensor<f32>
}

// A scalar does where another operand has the shape, and only there.
// CHECK-LABEL: @shrink
// CHECK-SAME: %[[X:.*]]: tensor<8x4xf32>, %[[B:.*]]: tensor<4xf32>
// CHECK-DAG: %[[S:.*]] = graph.constant dense<3.000000e+00> : tensor<f32>
// CHECK-DAG: %[[T:.*]] = graph.constant dense<3.000000e+00> : tensor<8x4xf32>
// CHECK: graph.mul %[[X]], %[[S]] : (tensor<8x4xf32>, tensor<f32>) -> tensor<8x4xf32>
// CHECK: graph.mul %[[B]], %[[T]] : (tensor<4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
func.func @shrink(%x: tensor<8x4xf32>, %b: tensor<4xf32>) -> (tensor<8x4xf32>, tensor<8x4xf32>) {
  %three = graph.constant dense<3.0> : tensor<8x4xf32>
  %0 = graph.mul %x, %three : tensor<8x4xf32>
  %1 = graph.mul %b, %three : (tensor<4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  return %0, %1 : tensor<8x4xf32>, tensor<8x4xf32>
}

// CHECK-LABEL: @no_elements
// CHECK: %[[E:.*]] = graph.constant dense<> : tensor<3x0xf32>
// CHECK-NEXT: return %[[E]]
func.func @no_elements(%x: tensor<3x0xf32>) -> tensor<3x0xf32> {
  %0 = graph.reduce sum %x dims = [1] {keepdim} : (tensor<3x0xf32>) -> tensor<3x1xf32>
  %1 = graph.mul %x, %0 : (tensor<3x0xf32>, tensor<3x1xf32>) -> tensor<3x0xf32>
  return %1 : tensor<3x0xf32>
}

// CHECK-LABEL: @select_of_constants
// CHECK-SAME: %[[C:.*]]: tensor<8xi1>
// CHECK: %[[N:.*]] = graph.bitwise_not %[[C]]
// CHECK: %[[S:.*]] = graph.select %[[C]], %{{.*}}, %{{.*}} : (tensor<8xi1>, tensor<f32>, tensor<f32>) -> tensor<8xf32>
// CHECK: return %[[C]], %[[N]], %[[S]]
func.func @select_of_constants(%c: tensor<8xi1>) -> (tensor<8xi1>, tensor<8xi1>, tensor<8xf32>) {
  %one = graph.constant dense<1.0> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.select %c, %one, %zero : (tensor<8xi1>, tensor<f32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.compare gt %0, %zero : (tensor<8xf32>, tensor<f32>) -> tensor<8xi1>
  %2 = graph.compare eq %0, %zero : (tensor<8xf32>, tensor<f32>) -> tensor<8xi1>
  %3 = graph.sub %one, %0 : (tensor<f32>, tensor<8xf32>) -> tensor<8xf32>
  return %1, %2, %3 : tensor<8xi1>, tensor<8xi1>, tensor<8xf32>
}
