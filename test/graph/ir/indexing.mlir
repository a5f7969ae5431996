// RUN: tessera-opt %s --tessera-verify-graph | tessera-opt | FileCheck %s
// RUN: tessera-opt %s --mlir-print-op-generic | tessera-opt | FileCheck %s

// CHECK-LABEL: func.func @rows
func.func @rows(%x: tensor<8x512xf32>, %i: tensor<3x512xi64>, %y: tensor<3x512xf32>) -> tensor<8x512xf32> {
  // CHECK: graph.scatter sum %{{.*}}, %{{.*}}, %{{.*}} dim = 0 : (tensor<8x512xf32>, tensor<3x512xi64>, tensor<3x512xf32>) -> tensor<8x512xf32>
  %0 = graph.scatter sum %x, %i, %y dim = 0 : (tensor<8x512xf32>, tensor<3x512xi64>, tensor<3x512xf32>) -> tensor<8x512xf32>
  return %0 : tensor<8x512xf32>
}

// CHECK-LABEL: func.func @types
func.func @types(%x: tensor<8xi1>, %i: tensor<3xi32>, %y: tensor<3xi1>, %b: tensor<?xbf16>, %j: tensor<?xi64>) {
  // CHECK: graph.scatter none
  %0 = graph.scatter none %x, %i, %y dim = 0 : (tensor<8xi1>, tensor<3xi32>, tensor<3xi1>) -> tensor<8xi1>
  // CHECK: graph.scatter max
  %1 = graph.scatter max %b, %j, %b dim = 0 : (tensor<?xbf16>, tensor<?xi64>, tensor<?xbf16>) -> tensor<?xbf16>
  return
}
