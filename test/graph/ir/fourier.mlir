// RUN: tessera-opt %s | tessera-opt | FileCheck %s
// RUN: tessera-opt %s -mlir-print-op-generic | tessera-opt | FileCheck %s

// CHECK-LABEL: func.func @transforms
func.func @transforms(%x: tensor<8x64xf32>, %re: tensor<5x9xf64>, %im: tensor<5x9xf64>) {
  // CHECK: graph.fft %{{.*}}, %{{.*}} dim = 1 : (tensor<5x9xf64>, tensor<5x9xf64>) -> (tensor<5x9xf64>, tensor<5x9xf64>)
  %0:2 = graph.fft %re, %im dim = 1 : (tensor<5x9xf64>, tensor<5x9xf64>) -> (tensor<5x9xf64>, tensor<5x9xf64>)
  // CHECK: graph.fft %{{.*}}, %{{.*}} dim = 0 {inverse, scale = 2.000000e-01 : f64}
  %1:2 = graph.fft %re, %im dim = 0 {inverse, scale = 0.2 : f64} : (tensor<5x9xf64>, tensor<5x9xf64>) -> (tensor<5x9xf64>, tensor<5x9xf64>)
  // CHECK: graph.real_fft %{{.*}} dim = 1 : (tensor<8x64xf32>) -> (tensor<8x33xf32>, tensor<8x33xf32>)
  %2:2 = graph.real_fft %x dim = 1 : (tensor<8x64xf32>) -> (tensor<8x33xf32>, tensor<8x33xf32>)
  // CHECK: graph.inverse_real_fft %{{.*}}, %{{.*}} dim = 1, length = 64 {scale = 1.562500e-02 : f64} : (tensor<8x33xf32>, tensor<8x33xf32>) -> tensor<8x64xf32>
  %3 = graph.inverse_real_fft %2#0, %2#1 dim = 1, length = 64 {scale = 0.015625 : f64} : (tensor<8x33xf32>, tensor<8x33xf32>) -> tensor<8x64xf32>
  return
}
