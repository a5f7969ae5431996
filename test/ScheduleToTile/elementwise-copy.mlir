// RUN: tessera-opt %s -pass-pipeline='builtin.module(tessera-schedule-to-tile,canonicalize,cse)' -split-input-file | FileCheck %s

// Long runs that move as they are: copies, whatever the rest of the kernel does. As many rows of each
// part are one loop, in which a result is written from its begin to its end.

// CHECK-LABEL: func.func @elementwise_
// CHECK-SAME:    %[[A:.*]]: memref<2x128x64xf32{{.*}}>, %[[B:.*]]: memref<2x1x64xf32{{.*}}>, %[[R:.*]]: memref<2x129x64xf32
// CHECK:         scf.for
// CHECK:           %[[FROM:.*]] = memref.reinterpret_cast %{{.*}} to offset: [%{{.*}}], sizes: [8192], strides: [1]
// CHECK:           %[[TO:.*]] = memref.reinterpret_cast %{{.*}} to offset: [%{{.*}}], sizes: [8192], strides: [1]
// CHECK:           memref.copy %[[FROM]], %[[TO]]
// CHECK-NOT:     scf.for
// CHECK-NOT:       memref.copy
// CHECK:           tile.store {{.*}} vector<64xf32>
func.func @main(%x: tensor<2x128x64xf32>, %y: tensor<2x1x64xf32>) -> tensor<2x129x64xf32> {
  %0 = schedule.kernel elementwise(%x, %y) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
      : (tensor<2x128x64xf32>, tensor<2x1x64xf32>) -> tensor<2x129x64xf32> {
  ^bb0(%a: tensor<2x128x64xf32>, %b: tensor<2x1x64xf32>):
    %1 = graph.concat %a, %b dim = 1 : (tensor<2x128x64xf32>, tensor<2x1x64xf32>) -> tensor<2x129x64xf32>
    schedule.yield %1 : tensor<2x129x64xf32>
  }
  return %0 : tensor<2x129x64xf32>
}
