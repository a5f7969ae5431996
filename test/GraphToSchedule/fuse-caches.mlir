// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-choose))' -split-input-file | FileCheck %s

// An attention that reads keys and values in place puts them together itself, and writes the longer caches
// that are returned. Four query heads share a head of keys here. Small caches stay in the processor's.

// CHECK-LABEL: func.func @caches
// CHECK-NOT:     schedule.kernel elementwise
// CHECK:         %[[A:.*]]:3 = schedule.kernel attention(%arg0, %arg1, %arg2, %arg3, %arg4) {
// CHECK-SAME:    inPlace = true>
// CHECK-NOT:     stream
// CHECK-SAME:    result_perms = [array<i64: 0, 2, 1, 3>, array<i64: 0, 1, 2, 3>, array<i64: 0, 1, 2, 3>]
// CHECK-NOT:     "concat
// CHECK:           %[[K:.*]] = graph.concat
// CHECK:           %[[V:.*]] = graph.concat
// CHECK:           %[[Y:.*]] = graph.attention %{{.*}}, %[[K]], %[[V]]
// CHECK:           schedule.yield %[[Y]], %[[K]], %[[V]]
// CHECK:         return %{{.*}}, %[[A]]#1, %[[A]]#2
func.func @caches(%q: tensor<1x8x1x64xf32>, %k: tensor<1x2x30x64xf32>, %k1: tensor<1x2x1x64xf32>,
                  %v: tensor<1x2x30x64xf32>, %v1: tensor<1x2x1x64xf32>)
    -> (tensor<1x8x1x64xf32>, tensor<1x2x31x64xf32>, tensor<1x2x31x64xf32>) {
  %0 = graph.concat %k, %k1 dim = 2 : (tensor<1x2x30x64xf32>, tensor<1x2x1x64xf32>) -> tensor<1x2x31x64xf32>
  %1 = graph.concat %v, %v1 dim = 2 : (tensor<1x2x30x64xf32>, tensor<1x2x1x64xf32>) -> tensor<1x2x31x64xf32>
  %2 = graph.attention %q, %0, %1 scale = 0.125 : (tensor<1x8x1x64xf32>, tensor<1x2x31x64xf32>, tensor<1x2x31x64xf32>) -> tensor<1x8x1x64xf32>
  return %2, %0, %1 : tensor<1x8x1x64xf32>, tensor<1x2x31x64xf32>, tensor<1x2x31x64xf32>
}

// -----

// What nobody else reads is not written; large caches that leave the program go past the processor's.

// CHECK-LABEL: func.func @large
// CHECK:         :2 = schedule.kernel attention
// CHECK-SAME:    stream = true
// CHECK:           schedule.yield %[[Y:.*]], %{{.*}} : tensor<16x1x64xf32>, tensor<16x4097x64xf32>
func.func @large(%q: tensor<16x1x64xf32>, %k: tensor<16x4096x64xf32>, %k1: tensor<16x1x64xf32>,
                 %v: tensor<16x4096x64xf32>, %v1: tensor<16x1x64xf32>)
    -> (tensor<16x1x64xf32>, tensor<16x4097x64xf32>) {
  %0 = graph.concat %k, %k1 dim = 1 : (tensor<16x4096x64xf32>, tensor<16x1x64xf32>) -> tensor<16x4097x64xf32>
  %1 = graph.concat %v, %v1 dim = 1 : (tensor<16x4096x64xf32>, tensor<16x1x64xf32>) -> tensor<16x4097x64xf32>
  %2 = graph.attention %q, %0, %1 scale = 0.125 : (tensor<16x1x64xf32>, tensor<16x4097x64xf32>, tensor<16x4097x64xf32>) -> tensor<16x1x64xf32>
  return %2, %0 : tensor<16x1x64xf32>, tensor<16x4097x64xf32>
}

// -----

// Keys that another kernel reads before the attention are put together first, and many queries pack theirs.

// CHECK-LABEL: func.func @read
// CHECK:         schedule.kernel elementwise
// CHECK:           graph.concat
// CHECK:         schedule.kernel rows
// CHECK:         schedule.kernel attention
// CHECK-SAME:    "concat: this class of kernels reads its operands from memory"
func.func @read(%q: tensor<8x1x64xf32>, %k: tensor<8x30x64xf32>, %k1: tensor<8x1x64xf32>,
                %v: tensor<8x31x64xf32>) -> tensor<8x1x64xf32> {
  %0 = graph.concat %k, %k1 dim = 1 : (tensor<8x30x64xf32>, tensor<8x1x64xf32>) -> tensor<8x31x64xf32>
  %1 = graph.softmax %0 dim = 2 : tensor<8x31x64xf32>
  %2 = graph.mul %1, %v : tensor<8x31x64xf32>
  %3 = graph.attention %q, %0, %2 scale = 0.125 : (tensor<8x1x64xf32>, tensor<8x31x64xf32>, tensor<8x31x64xf32>) -> tensor<8x1x64xf32>
  return %3 : tensor<8x1x64xf32>
}

// CHECK-LABEL: func.func @many
// CHECK:         schedule.kernel elementwise
// CHECK:         schedule.kernel attention
func.func @many(%q: tensor<8x9x64xf32>, %k: tensor<8x30x64xf32>, %k1: tensor<8x1x64xf32>,
                %v: tensor<8x31x64xf32>) -> tensor<8x9x64xf32> {
  %0 = graph.concat %k, %k1 dim = 1 : (tensor<8x30x64xf32>, tensor<8x1x64xf32>) -> tensor<8x31x64xf32>
  %1 = graph.attention %q, %0, %v scale = 0.125 : (tensor<8x9x64xf32>, tensor<8x31x64xf32>, tensor<8x31x64xf32>) -> tensor<8x9x64xf32>
  return %1 : tensor<8x9x64xf32>
}
