// RUN: tessera-opt %s -tessera-target-to-llvm -canonicalize | FileCheck %s

// CHECK-DAG: llvm.mlir.global internal constant @[[D:description.*]](dense<[1, 8, 1, 16, 1, 7]> : tensor<6xi64>)
// CHECK-DAG: llvm.func @tessera_example(!llvm.ptr, !llvm.ptr, !llvm.ptr, i64, i64) -> i32
// CHECK:     llvm.func internal @k.body(%[[X:.*]]: !llvm.ptr, %[[S:.*]]: !llvm.ptr, %[[B:.*]]: i64, %[[E:.*]]: i64) -> i32
// CHECK-DAG:   %[[R:.*]] = llvm.mlir.addressof @[[D]]
// CHECK-DAG:   %[[A:.*]] = llvm.alloca %{{.*}} x !llvm.ptr
// CHECK:       %[[P:.*]] = llvm.getelementptr %[[X]][4] : (!llvm.ptr) -> !llvm.ptr, f32
// CHECK:       llvm.store %[[P]],
// CHECK:       llvm.call @tessera_example(%[[A]], %[[R]], %{{.*}}, %[[B]], %[[E]])
func.func @k(%x: memref<20xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c4 = arith.constant 4 : index
  %status = target.call_library "tessera_example"(%x at %c4) units %begin to %end description [1, 8, 1, 16, 1, 7] : memref<20xf32>
  return %status : i32
}
