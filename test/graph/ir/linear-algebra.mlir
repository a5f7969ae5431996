// RUN: tessera-opt %s | tessera-opt | FileCheck %s
// RUN: tessera-opt %s -mlir-print-op-generic | tessera-opt | FileCheck %s

// CHECK-LABEL: func.func @factors
func.func @factors(%a: tensor<8x4x4xf32>, %b: tensor<8x4x2xf32>, %t: tensor<5x3xf64>) {
  // CHECK: graph.cholesky %{{.*}} {checked, upper} : (tensor<8x4x4xf32>) -> (tensor<8x4x4xf32>, tensor<8xi32>)
  %0:2 = graph.cholesky %a {checked, upper} : (tensor<8x4x4xf32>) -> (tensor<8x4x4xf32>, tensor<8xi32>)
  // CHECK: graph.lu %{{.*}} : (tensor<8x4x4xf32>) -> (tensor<8x4x4xf32>, tensor<8x4xi32>, tensor<8xi32>)
  %1:3 = graph.lu %a : (tensor<8x4x4xf32>) -> (tensor<8x4x4xf32>, tensor<8x4xi32>, tensor<8xi32>)
  // CHECK: graph.lu %{{.*}} : (tensor<5x3xf64>) -> (tensor<5x3xf64>, tensor<3xi32>, tensor<i32>)
  %2:3 = graph.lu %t : (tensor<5x3xf64>) -> (tensor<5x3xf64>, tensor<3xi32>, tensor<i32>)
  // CHECK: graph.lu_solve %{{.*}}, %{{.*}}, %{{.*}} {transpose} : (tensor<8x4x4xf32>, tensor<8x4xi32>, tensor<8x4x2xf32>) -> tensor<8x4x2xf32>
  %3 = graph.lu_solve %1#0, %1#1, %b {transpose} : (tensor<8x4x4xf32>, tensor<8x4xi32>, tensor<8x4x2xf32>) -> tensor<8x4x2xf32>
  // CHECK: graph.triangular_solve %{{.*}}, %{{.*}} {unit, upper} : (tensor<8x4x4xf32>, tensor<8x4x2xf32>) -> tensor<8x4x2xf32>
  %4 = graph.triangular_solve %a, %b {unit, upper} : (tensor<8x4x4xf32>, tensor<8x4x2xf32>) -> tensor<8x4x2xf32>
  return
}

// CHECK-LABEL: func.func @spectral
func.func @spectral(%a: tensor<8x4x4xf32>, %t: tensor<5x3xf64>) {
  // CHECK: graph.qr %{{.*}} : (tensor<5x3xf64>) -> (tensor<5x3xf64>, tensor<3xf64>)
  %0:2 = graph.qr %t : (tensor<5x3xf64>) -> (tensor<5x3xf64>, tensor<3xf64>)
  // CHECK: graph.householder_product %{{.*}}, %{{.*}} : (tensor<5x3xf64>, tensor<3xf64>) -> tensor<5x3xf64>
  %1 = graph.householder_product %0#0, %0#1 : (tensor<5x3xf64>, tensor<3xf64>) -> tensor<5x3xf64>
  // CHECK: graph.eigh %{{.*}} {upper} : (tensor<8x4x4xf32>) -> (tensor<8x4xf32>, tensor<8x4x4xf32>)
  %2:2 = graph.eigh %a {upper} : (tensor<8x4x4xf32>) -> (tensor<8x4xf32>, tensor<8x4x4xf32>)
  // CHECK: graph.svd %{{.*}} : (tensor<5x3xf64>) -> (tensor<5x3xf64>, tensor<3xf64>, tensor<3x3xf64>)
  %3:3 = graph.svd %t : (tensor<5x3xf64>) -> (tensor<5x3xf64>, tensor<3xf64>, tensor<3x3xf64>)
  // CHECK: graph.matrix_exp %{{.*}} : (tensor<8x4x4xf32>) -> tensor<8x4x4xf32>
  %4 = graph.matrix_exp %a : (tensor<8x4x4xf32>) -> tensor<8x4x4xf32>
  return
}
