// RUN: tessera-opt %s -tessera-tile-to-target -cse | FileCheck %s

// Sizes, strides and element types become numbers; a reversed buffer starts at its first element.

// CHECK-LABEL: func.func @k
// CHECK-SAME:    (%[[X:.*]]: memref<20xi8> {llvm.readonly, target.low = -4 : i64}, %[[V:.*]]: memref<20xi8> {llvm.noalias}, %[[I:.*]]: memref<20xi64> {llvm.noalias}
// CHECK:         target.call_library "tessera_sort"(%[[X]], %[[V]], %[[I]] at %c4, %{{.*}}, %{{.*}}) scratch(%{{.*}} : memref<80xi8>)
// CHECK-SAME:      description [3, 1, 2, 4, 5, 5, -1, 1, 2, 4, 5, 5, 1, 5, 2, 4, 5, 5, 1, 1, 0]
func.func @k(%x: memref<4x5xi8, strided<[5, -1]>>, %v: memref<4x5xi8>, %i: memref<4x5xi64>, %s: memref<?xi8>, %begin: index,
             %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %scratch = memref.view %s[%c0][] : memref<?xi8> to memref<80xi8>
  %status = tile.call_library "tessera_sort"(%x) into(%v, %i) scratch(%scratch : memref<80xi8>) units %begin to %end
      types [ui8, ui8, i64] parameters [1, 0] : (memref<4x5xi8, strided<[5, -1]>>) -> (memref<4x5xi8>, memref<4x5xi64>)
  return %status : i32
}
