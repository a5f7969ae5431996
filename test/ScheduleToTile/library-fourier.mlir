// RUN: tessera-opt %s --tessera-schedule-to-tile --split-input-file | FileCheck %s

// A row is a unit; the function is told the dimension, the bits of the scale, and the direction.

// CHECK:         schedule.launch library {{.*}} scratch = 15360 {{.*}} units = 8
// CHECK-LABEL: func.func @library_
// CHECK:         tile.call_library "tessera_fft"(%{{.*}}, %{{.*}}) into(%{{.*}}, %{{.*}}) scratch(%{{.*}} : memref<15360xi8>)
// CHECK-SAME:      types [f32, f32, f32, f32] parameters [0, 4602678819172646912, 1]
func.func @main(%x: tensor<60x8xf32>) -> (tensor<60x8xf32>, tensor<60x8xf32>) {
  %0:2 = schedule.kernel library(%x) {point = #schedule.library<grain = 16384>}
      : (tensor<60x8xf32>) -> (tensor<60x8xf32>, tensor<60x8xf32>) {
  ^bb0(%a: tensor<60x8xf32>):
    %1:2 = graph.fft %a, %a dim = 0 {inverse, scale = 0.5 : f64}
        : (tensor<60x8xf32>, tensor<60x8xf32>) -> (tensor<60x8xf32>, tensor<60x8xf32>)
    schedule.yield %1#0, %1#1 : tensor<60x8xf32>, tensor<60x8xf32>
  }
  return %0#0, %0#1 : tensor<60x8xf32>, tensor<60x8xf32>
}

// -----

// A length with a great prime factor takes the room of a power of two.

// CHECK-LABEL: func.func @library_
// CHECK:         tile.call_library "tessera_real_fft"(%{{.*}}) into(%{{.*}}, %{{.*}}) scratch(%{{.*}} : memref<32768xi8>)
// CHECK-SAME:      types [f64, f64, f64] parameters [1, 4607182418800017408]
func.func @main(%x: tensor<8x37xf64>) -> (tensor<8x19xf64>, tensor<8x19xf64>) {
  %0:2 = schedule.kernel library(%x) {point = #schedule.library<grain = 16384>}
      : (tensor<8x37xf64>) -> (tensor<8x19xf64>, tensor<8x19xf64>) {
  ^bb0(%a: tensor<8x37xf64>):
    %1:2 = graph.real_fft %a dim = 1 : (tensor<8x37xf64>) -> (tensor<8x19xf64>, tensor<8x19xf64>)
    schedule.yield %1#0, %1#1 : tensor<8x19xf64>, tensor<8x19xf64>
  }
  return %0#0, %0#1 : tensor<8x19xf64>, tensor<8x19xf64>
}

// -----

// CHECK-LABEL: func.func @library_
// CHECK:         tile.call_library "tessera_inverse_real_fft"(%{{.*}}, %{{.*}}) into(%{{.*}})
func.func @main(%x: tensor<8x9xf32>, %y: tensor<8x9xf32>) -> tensor<8x16xf32> {
  %0 = schedule.kernel library(%x, %y) {point = #schedule.library<grain = 16384>}
      : (tensor<8x9xf32>, tensor<8x9xf32>) -> tensor<8x16xf32> {
  ^bb0(%a: tensor<8x9xf32>, %b: tensor<8x9xf32>):
    %1 = graph.inverse_real_fft %a, %b dim = 1, length = 16
        : (tensor<8x9xf32>, tensor<8x9xf32>) -> tensor<8x16xf32>
    schedule.yield %1 : tensor<8x16xf32>
  }
  return %0 : tensor<8x16xf32>
}
