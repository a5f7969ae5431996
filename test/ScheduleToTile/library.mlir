// RUN: tessera-opt %s --tessera-schedule-to-tile --canonicalize --cse --split-input-file | FileCheck %s

// A row is a unit; scratch holds a row's keys with their positions, twice.

// CHECK:         schedule.launch library {{.*}} grain = 163 {{.*}} scratch = 1600 {{.*}} units = 8
// CHECK-LABEL: func.func @library_
// CHECK-SAME:    (%[[X:.*]]: memref<8x100xf32, strided<[1, 8]>>, %[[V:.*]]: memref<8x100xf32{{.*}}>, %[[I:.*]]: memref<8x100xi64{{.*}}>, %[[S:.*]]: memref<?xi8>, %[[B:.*]]: index, %[[E:.*]]: index)
// CHECK:         %[[SCRATCH:.*]] = memref.view %[[S]]
// CHECK:         %[[STATUS:.*]] = tile.call_library "tessera_sort"(%[[X]]) into(%[[V]], %[[I]]) scratch(%[[SCRATCH]] : memref<1600xi8>)
// CHECK-SAME:      units %[[B]] to %[[E]] types [f32, f32, i64] parameters [1, 1, 0]
// CHECK:         return %[[STATUS]] : i32
func.func @main(%x: tensor<100x8xf32>) -> (tensor<8x100xf32>, tensor<8x100xi64>) {
  %v = schedule.view %x offset 0 strides [1, 8] : tensor<100x8xf32> to tensor<8x100xf32>
  %0:2 = schedule.kernel library(%v) {point = #schedule.library<grain = 16384>}
      : (tensor<8x100xf32>) -> (tensor<8x100xf32>, tensor<8x100xi64>) {
  ^bb0(%a: tensor<8x100xf32>):
    %1:2 = graph.sort %a dim = 1 {descending} : (tensor<8x100xf32>) -> (tensor<8x100xf32>, tensor<8x100xi64>)
    schedule.yield %1#0, %1#1 : tensor<8x100xf32>, tensor<8x100xi64>
  }
  return %0#0, %0#1 : tensor<8x100xf32>, tensor<8x100xi64>
}

// -----

// One input read twice; a buffer of i8 says what it holds.

// CHECK-LABEL: func.func @library_
// CHECK:         tile.call_library "tessera_search_sorted"(%[[X:.*]], %[[X]]) into(%{{.*}}) units
// CHECK-SAME:      types [i1, i1, i64] parameters [0] : (memref<5xi8, {{.*}}>, memref<5xi8, {{.*}}>) -> memref<5xi64
func.func @main(%x: tensor<5xi1>) -> tensor<5xi64> {
  %0 = schedule.kernel library(%x) {point = #schedule.library<grain = 16384>} : (tensor<5xi1>) -> tensor<5xi64> {
  ^bb0(%a: tensor<5xi1>):
    %1 = graph.search_sorted %a, %a : (tensor<5xi1>, tensor<5xi1>) -> tensor<5xi64>
    schedule.yield %1 : tensor<5xi64>
  }
  return %0 : tensor<5xi64>
}

// -----

// A unit is a block of rows; the whole index is walked for each.

// CHECK:         schedule.launch library {{.*}} grain = 1 {{.*}} units = 15
// CHECK-LABEL: func.func @library_
// CHECK:         tile.call_library "tessera_scatter"(%{{.*}}, %{{.*}}, %{{.*}}) into(%{{.*}}) units
// CHECK-SAME:      types [f32, i64, f32, f32] parameters [0, 1, 67, 256]
// CHECK-SAME:      memref<16x256xi64, strided<[1, 0]>>
func.func @main(%x: tensor<1000x256xf32>, %i: tensor<16xi64>, %y: tensor<16x256xf32>) -> tensor<1000x256xf32> {
  %v = schedule.view %i offset 0 strides [1, 0] : tensor<16xi64> to tensor<16x256xi64>
  %0 = schedule.kernel library(%x, %v, %y) {point = #schedule.library<grain = 16384>}
      : (tensor<1000x256xf32>, tensor<16x256xi64>, tensor<16x256xf32>) -> tensor<1000x256xf32> {
  ^bb0(%a: tensor<1000x256xf32>, %b: tensor<16x256xi64>, %c: tensor<16x256xf32>):
    %1 = graph.scatter sum %a, %b, %c dim = 0
        : (tensor<1000x256xf32>, tensor<16x256xi64>, tensor<16x256xf32>) -> tensor<1000x256xf32>
    schedule.yield %1 : tensor<1000x256xf32>
  }
  return %0 : tensor<1000x256xf32>
}

// -----

// A unit is a block of columns; with a matrix for all groups, of one group. Scratch holds packed operands and sums.

// CHECK:         schedule.launch library {{.*}} scratch = 172032 {{.*}} units = 2
// CHECK:         schedule.launch library {{.*}} units = 3
// CHECK-LABEL: func.func @library_
// CHECK:         tile.call_library "tessera_grouped_matmul"(%{{.*}}, %{{.*}}, %{{.*}}) into(%{{.*}}) scratch
func.func @main(%a: tensor<8x32xf32>, %b: tensor<3x32x200xf32>, %c: tensor<32x9xf32>, %ends: tensor<3xi32>) -> (tensor<8x200xf32>, tensor<3x8x9xf32>) {
  %0 = schedule.kernel library(%a, %b, %ends) {point = #schedule.library<grain = 16384>} : (tensor<8x32xf32>, tensor<3x32x200xf32>, tensor<3xi32>) -> tensor<8x200xf32> {
  ^bb0(%x: tensor<8x32xf32>, %y: tensor<3x32x200xf32>, %e: tensor<3xi32>):
    %1 = graph.grouped_matmul %x, %y, %e : (tensor<8x32xf32>, tensor<3x32x200xf32>, tensor<3xi32>) -> tensor<8x200xf32>
    schedule.yield %1 : tensor<8x200xf32>
  }
  %2 = schedule.kernel library(%a, %c, %ends) {point = #schedule.library<grain = 16384>} : (tensor<8x32xf32>, tensor<32x9xf32>, tensor<3xi32>) -> tensor<3x8x9xf32> {
  ^bb0(%x: tensor<8x32xf32>, %y: tensor<32x9xf32>, %e: tensor<3xi32>):
    %1 = graph.grouped_matmul %x, %y, %e : (tensor<8x32xf32>, tensor<32x9xf32>, tensor<3xi32>) -> tensor<3x8x9xf32>
    schedule.yield %1 : tensor<3x8x9xf32>
  }
  return %0, %2 : tensor<8x200xf32>, tensor<3x8x9xf32>
}
