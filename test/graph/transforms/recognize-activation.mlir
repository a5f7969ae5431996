// RUN: tessera-opt --tessera-graph-recognize %s | FileCheck %s

// CHECK-LABEL: @gelu_erf
// CHECK-SAME: %[[X:.*]]: tensor<8xf32>
// CHECK-NEXT: %[[G:.*]] = graph.gelu %[[X]] : tensor<8xf32>
// CHECK-NEXT: return %[[G]]
func.func @gelu_erf(%x: tensor<8xf32>) -> tensor<8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %root = graph.constant dense<1.41421354> : tensor<f32>
  %0 = graph.div %x, %root : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.erf %0 : tensor<8xf32>
  %2 = graph.add %one, %1 : (tensor<f32>, tensor<8xf32>) -> tensor<8xf32>
  %3 = graph.mul %x, %2 : tensor<8xf32>
  %4 = graph.mul %half, %3 : (tensor<f32>, tensor<8xf32>) -> tensor<8xf32>
  return %4 : tensor<8xf32>
}

// CHECK-LABEL: @gelu_tanh
// CHECK-NEXT: graph.gelu %{{.*}} approximate = tanh : tensor<8xf32>
// CHECK-NEXT: return
func.func @gelu_tanh(%x: tensor<8xf32>) -> tensor<8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %a = graph.constant dense<0.044715> : tensor<f32>
  %b = graph.constant dense<0.797884583> : tensor<f32>
  %0 = graph.mul %x, %x : tensor<8xf32>
  %1 = graph.mul %0, %x : tensor<8xf32>
  %2 = graph.mul %1, %a : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %3 = graph.add %x, %2 : tensor<8xf32>
  %4 = graph.mul %3, %b : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %5 = graph.tanh %4 : tensor<8xf32>
  %6 = graph.add %5, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %7 = graph.mul %x, %half : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %8 = graph.mul %7, %6 : tensor<8xf32>
  return %8 : tensor<8xf32>
}

// x taken out of the sum: sqrt(2/pi) * x * (1 + 0.044715 x^2).
// CHECK-LABEL: @gelu_tanh_factored
// CHECK-NEXT: graph.gelu %{{.*}} approximate = tanh : tensor<8xf32>
// CHECK-NEXT: return
func.func @gelu_tanh_factored(%x: tensor<8xf32>) -> tensor<8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %a = graph.constant dense<0.044715> : tensor<f32>
  %b = graph.constant dense<0.797884583> : tensor<f32>
  %0 = graph.mul %x, %a : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.mul %0, %x : tensor<8xf32>
  %2 = graph.add %1, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %3 = graph.mul %x, %b : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %4 = graph.mul %3, %2 : tensor<8xf32>
  %5 = graph.tanh %4 : tensor<8xf32>
  %6 = graph.add %5, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %7 = graph.mul %x, %6 : tensor<8xf32>
  %8 = graph.mul %7, %half : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  return %8 : tensor<8xf32>
}

// Another constant, or the error function of another value, is another function.
// CHECK-LABEL: @not_gelu
// CHECK-NOT: graph.gelu
// CHECK: return
func.func @not_gelu(%x: tensor<8xf32>, %y: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %c = graph.constant dense<0.708> : tensor<f32>
  %root = graph.constant dense<0.707106769> : tensor<f32>
  %0 = graph.mul %x, %c : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.erf %0 : tensor<8xf32>
  %2 = graph.add %1, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %h = graph.mul %x, %half : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %3 = graph.mul %h, %2 : tensor<8xf32>
  %4 = graph.mul %y, %root : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %5 = graph.erf %4 : tensor<8xf32>
  %6 = graph.add %5, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %7 = graph.mul %h, %6 : tensor<8xf32>
  return %3, %7 : tensor<8xf32>, tensor<8xf32>
}

// CHECK-LABEL: @silu
// CHECK-NEXT: %[[A:.*]] = graph.silu
// CHECK-NEXT: %[[B:.*]] = graph.silu
// CHECK-NEXT: %[[C:.*]] = graph.silu
// CHECK-NEXT: return %[[A]], %[[B]], %[[C]]
func.func @silu(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %one = graph.constant dense<1.0> : tensor<f32>
  %s = graph.sigmoid %x : tensor<8xf32>
  %0 = graph.mul %s, %x : tensor<8xf32>
  %n = graph.neg %x : tensor<8xf32>
  %e = graph.exp %n : tensor<8xf32>
  %d = graph.add %e, %one : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %1 = graph.div %x, %d : tensor<8xf32>
  %r = graph.reciprocal %d : tensor<8xf32>
  %2 = graph.mul %x, %r : tensor<8xf32>
  return %0, %1, %2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}
