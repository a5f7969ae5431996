// RUN: tessera-opt %s -pass-pipeline='builtin.module(tessera-schedule-to-tile,canonicalize,cse)' | FileCheck %s

// Panels of 32 columns, the last one six wide; a transposed view is read in place.

// CHECK-LABEL: func.func @main
// CHECK:         schedule.launch pack {{.*}} units = 3 : i64
// CHECK-LABEL: func.func @pack_
// CHECK:         scf.for %[[UNIT:.*]] =
// CHECK:           scf.if
// CHECK:             tile.pack %arg0[%c0, %{{.*}}], %arg1[%{{.*}}, %c0, %c0] depth %c40 valid %c32 : memref<40x70xf32, strided<[1, 40]>>, memref<3x40x32xf32
// CHECK:           scf.if
// CHECK:             tile.pack %arg0[%c0, %{{.*}}], %arg1[%{{.*}}, %c0, %c0] depth %c40 valid %c6
func.func @main(%w: tensor<70x40xf32>) -> tensor<3x40x32xf32> {
  %v = schedule.view %w offset 0 strides [1, 40] : tensor<70x40xf32> to tensor<40x70xf32>
  %0 = schedule.kernel pack(%v) {prepare} : (tensor<40x70xf32>) -> tensor<3x40x32xf32> {
  ^bb0(%m: tensor<40x70xf32>):
    %1 = schedule.pack %m : tensor<40x70xf32> to tensor<3x40x32xf32>
    schedule.yield %1 : tensor<3x40x32xf32>
  }
  return %0 : tensor<3x40x32xf32>
}
