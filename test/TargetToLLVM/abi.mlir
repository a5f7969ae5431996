// RUN: tessera-opt %s -tessera-target-to-llvm -split-input-file -verify-diagnostics | FileCheck %s

// CHECK: llvm.func @_ZGVeN16v_sinf(vector<16xf32>) -> vector<16xf32> attributes {memory_effects = #llvm.memory_effects<other = none, argMem = none, inaccessibleMem = none
// CHECK: llvm.func internal @k.body(%{{.*}}: !llvm.ptr {llvm.readonly}, %{{.*}}: !llvm.ptr {llvm.noalias}, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64) -> i32
// CHECK-SAME: noinline
// CHECK: llvm.call @_ZGVeN16v_sinf
// CHECK: "llvm.intr.vector.reduce.fadd"(%{{.*}}, %{{.*}}) <{fastmathFlags = #llvm.fastmath<reassoc>}>
// CHECK: llvm.func @k(%[[B:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr, %[[S:.*]]: !llvm.ptr, %[[L:.*]]: i64, %[[U:.*]]: i64) -> i32 {
// CHECK:   %[[P0:.*]] = llvm.getelementptr %[[B]][0] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
// CHECK:   %[[X:.*]] = llvm.load %[[P0]] : !llvm.ptr -> !llvm.ptr
// CHECK:   %[[LOW:.*]] = llvm.mlir.constant(-112 : i64) : i64
// CHECK:   %[[X2:.*]] = llvm.getelementptr %[[X]][%[[LOW]]] : (!llvm.ptr, i64) -> !llvm.ptr, i8
// CHECK:   %[[P1:.*]] = llvm.getelementptr %[[B]][1]
// CHECK:   %[[Y:.*]] = llvm.load %[[P1]]
// CHECK:   %[[R:.*]] = llvm.call @k.body(%[[X2]], %[[Y]], %[[S]], %[[L]], %[[U]])
// CHECK:   llvm.return %[[R]] : i32
func.func @k(%x: memref<29xf32> {llvm.readonly, target.low = -28 : i64}, %y: memref<16xf32> {llvm.noalias}, %s: memref<?xi8>,
             %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %0 = vector.load %x[%begin] : memref<29xf32>, vector<16xf32>
  %1 = target.call_math "_ZGVeN16v_sinf"(%0) : (vector<16xf32>) -> vector<16xf32>
  %2 = vector.reduction <add>, %1 : vector<16xf32> into f32
  memref.store %2, %y[%end] : memref<16xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

// expected-error @+1 {{[target] is no kernel: expected (flat buffers…, memref<?xi8>, index, index) -> i32}}
func.func @strided(%x: memref<4x4xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

// expected-error @+1 {{[target] is no kernel}}
func.func @plain() {
  return
}

// -----

// Streamed stores are seen before the kernel says that it is done.

// CHECK-LABEL: llvm.func internal @stream.body
// CHECK:         llvm.store {{.*}} {alignment = 64 : i64, nontemporal}
// CHECK:         llvm.call_intrinsic "llvm.x86.sse.sfence"
// CHECK-NEXT:    llvm.return
// CHECK-NOT:     sfence
func.func @stream(%y: memref<16xf32> {llvm.noalias}, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %0 = arith.constant dense<1.0> : vector<16xf32>
  vector.store %0, %y[%begin] {nontemporal = true, alignment = 64 : i64} : memref<16xf32>, vector<16xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// -----

// In the end sizes are constants; a kernel that reads symbols takes them before its scratch.

// CHECK-LABEL: llvm.func internal @sized.body
// CHECK-SAME:    (%{{.*}}: !llvm.ptr {{.*}}, %[[S:.*]]: !llvm.ptr {llvm.readonly}, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64)
// CHECK-DAG:     llvm.mlir.constant(7 : {{.*}})
// CHECK:         llvm.load {{.*}} -> i64
// CHECK:       llvm.func @sized(%[[B:.*]]: !llvm.ptr, %[[SYMBOLS:.*]]: !llvm.ptr, %[[SCRATCH:.*]]: !llvm.ptr, %[[L:.*]]: i64, %[[U:.*]]: i64)
// CHECK:         llvm.call @sized.body(%{{.*}}, %[[SYMBOLS]], %[[SCRATCH]], %[[L]], %[[U]])
func.func @sized(%y: memref<16xf32> {llvm.noalias}, %symbols: memref<1xi64> {llvm.readonly}, %s: memref<?xi8>, %begin: index,
                 %end: index) -> i32 attributes {target.symbols} {
  %c0 = arith.constant 0 : index
  %size = target.size 7
  %0 = arith.constant 1.0 : f32
  %1 = memref.load %symbols[%c0] : memref<1xi64>
  %2 = arith.index_cast %1 : i64 to index
  %3 = arith.addi %size, %2 : index
  memref.store %0, %y[%3] : memref<16xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
