// RUN: tessera-opt --tessera-graph-simplify --tessera-graph-recognize %s | FileCheck %s

// CHECK-LABEL: @layer_norm
// CHECK-SAME: %[[X:.*]]: tensor<8x48xf32>, %[[W:.*]]: tensor<48xf32>, %[[B:.*]]: tensor<48xf32>
// CHECK-NEXT: %[[N:.*]] = graph.layer_norm %[[X]] weight %[[W]] bias %[[B]] axes = 1, eps = 1.250000e-01
// CHECK-NEXT: return %[[N]]
func.func @layer_norm(%x: tensor<8x48xf32>, %w: tensor<48xf32>, %b: tensor<48xf32>) -> tensor<8x48xf32> {
  %n = graph.constant dense<48.0> : tensor<f32>
  %eps = graph.constant dense<0.125> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %0 = graph.reduce sum %x dims = [1] {keepdim} : (tensor<8x48xf32>) -> tensor<8x1xf32>
  %1 = graph.div %0, %n : (tensor<8x1xf32>, tensor<f32>) -> tensor<8x1xf32>
  %2 = graph.sub %x, %1 : (tensor<8x48xf32>, tensor<8x1xf32>) -> tensor<8x48xf32>
  %3 = graph.mul %2, %2 : tensor<8x48xf32>
  %4 = graph.reduce sum %3 dims = [1] {keepdim} : (tensor<8x48xf32>) -> tensor<8x1xf32>
  %5 = graph.div %4, %n : (tensor<8x1xf32>, tensor<f32>) -> tensor<8x1xf32>
  %6 = graph.add %5, %eps : (tensor<8x1xf32>, tensor<f32>) -> tensor<8x1xf32>
  %7 = graph.sqrt %6 : tensor<8x1xf32>
  %8 = graph.div %2, %7 : (tensor<8x48xf32>, tensor<8x1xf32>) -> tensor<8x48xf32>
  %9 = graph.mul %w, %8 : (tensor<48xf32>, tensor<8x48xf32>) -> tensor<8x48xf32>
  %10 = graph.add %9, %b : (tensor<8x48xf32>, tensor<48xf32>) -> tensor<8x48xf32>
  return %10 : tensor<8x48xf32>
}

// The mean without the reduced dims, put back by a reshape; 64 elements, so a factor 1/64.
// CHECK-LABEL: @rms_norm
// CHECK-SAME: %[[X:.*]]: tensor<8x64xf32>, %[[W:.*]]: tensor<64xf32>
// CHECK-NEXT: %[[N:.*]] = graph.rms_norm %[[X]] weight %[[W]] axes = 1, eps = 1.250000e-01
// CHECK-NEXT: return %[[N]]
func.func @rms_norm(%x: tensor<8x64xf32>, %w: tensor<64xf32>) -> tensor<8x64xf32> {
  %n = graph.constant dense<64.0> : tensor<f32>
  %two = graph.constant dense<2.0> : tensor<f32>
  %eps = graph.constant dense<0.125> : tensor<f32>
  %0 = graph.pow %x, %two : (tensor<8x64xf32>, tensor<f32>) -> tensor<8x64xf32>
  %1 = graph.reduce sum %0 dims = [1] : (tensor<8x64xf32>) -> tensor<8xf32>
  %2 = graph.div %1, %n : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %3 = graph.reshape %2 shape = [8, 1] : (tensor<8xf32>) -> tensor<8x1xf32>
  %4 = graph.add %3, %eps : (tensor<8x1xf32>, tensor<f32>) -> tensor<8x1xf32>
  %5 = graph.rsqrt %4 : tensor<8x1xf32>
  %6 = graph.mul %x, %5 : (tensor<8x64xf32>, tensor<8x1xf32>) -> tensor<8x64xf32>
  %7 = graph.mul %6, %w : (tensor<8x64xf32>, tensor<64xf32>) -> tensor<8x64xf32>
  return %7 : tensor<8x64xf32>
}

// Divided by n - 1 it is the unbiased variance; over a leading dim it is no such normalization.
// CHECK-LABEL: @not_norms
// CHECK-NOT: _norm
// CHECK: return
func.func @not_norms(%x: tensor<8x64xf32>) -> (tensor<8x64xf32>, tensor<8x64xf32>) {
  %n = graph.constant dense<63.0> : tensor<f32>
  %m = graph.constant dense<8.0> : tensor<f32>
  %eps = graph.constant dense<0.125> : tensor<f32>
  %0 = graph.mul %x, %x : tensor<8x64xf32>
  %1 = graph.reduce sum %0 dims = [1] {keepdim} : (tensor<8x64xf32>) -> tensor<8x1xf32>
  %2 = graph.div %1, %n : (tensor<8x1xf32>, tensor<f32>) -> tensor<8x1xf32>
  %3 = graph.add %2, %eps : (tensor<8x1xf32>, tensor<f32>) -> tensor<8x1xf32>
  %4 = graph.rsqrt %3 : tensor<8x1xf32>
  %5 = graph.mul %x, %4 : (tensor<8x64xf32>, tensor<8x1xf32>) -> tensor<8x64xf32>
  %6 = graph.reduce sum %0 dims = [0] {keepdim} : (tensor<8x64xf32>) -> tensor<1x64xf32>
  %7 = graph.div %6, %m : (tensor<1x64xf32>, tensor<f32>) -> tensor<1x64xf32>
  %8 = graph.add %7, %eps : (tensor<1x64xf32>, tensor<f32>) -> tensor<1x64xf32>
  %9 = graph.rsqrt %8 : tensor<1x64xf32>
  %10 = graph.mul %x, %9 : (tensor<8x64xf32>, tensor<1x64xf32>) -> tensor<8x64xf32>
  return %5, %10 : tensor<8x64xf32>, tensor<8x64xf32>
}
