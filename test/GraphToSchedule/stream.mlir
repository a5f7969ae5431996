// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-choose))' -split-input-file | FileCheck %s

// Results larger than half the last cache that leave the program go past the caches.

// CHECK-LABEL: func.func @large
// CHECK:         #schedule.elementwise<{{.*}}, stream = true>
func.func @large(%x: tensor<8192x512xf32>) -> tensor<8192x512xf32> {
  %0 = graph.sin %x : tensor<8192x512xf32>
  return %0 : tensor<8192x512xf32>
}

// -----

// Smaller ones are found in the cache by their reader.

// CHECK-LABEL: func.func @small
// CHECK-NOT:     stream
func.func @small(%x: tensor<1024x512xf32>) -> tensor<1024x512xf32> {
  %0 = graph.sin %x : tensor<1024x512xf32>
  return %0 : tensor<1024x512xf32>
}

// -----

// What the next kernel reads stays near, returned or not.

// CHECK-LABEL: func.func @read
// CHECK:         schedule.kernel rows
// CHECK-NOT:     stream
// CHECK:         schedule.kernel rows
// CHECK-SAME:    stream = true
func.func @read(%x: tensor<8192x512xf32>) -> (tensor<8192x512xf32>, tensor<8192x512xf32>) {
  %0 = graph.softmax %x dim = 1 : tensor<8192x512xf32>
  %1 = graph.softmax %0 dim = 0 : tensor<8192x512xf32>
  return %0, %1 : tensor<8192x512xf32>, tensor<8192x512xf32>
}
