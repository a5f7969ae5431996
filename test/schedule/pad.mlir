// RUN: tessera-opt %s -pass-pipeline='builtin.module(func.func(tessera-graph-to-schedule,tessera-schedule-pad))' | FileCheck %s

// Rows of 4 KB get a line more; readers see them through views, heads of a row as well.

// CHECK-LABEL: func.func @between
// CHECK:         %[[H:.*]] = schedule.kernel contraction(%arg0, %arg1) {{.*}} -> tensor<16x1040xf32>
// CHECK-DAG:     %[[WHOLE:.*]] = schedule.view %[[H]] offset 0 strides [1040, 1] : tensor<16x1040xf32> to tensor<16x1024xf32>
// CHECK-DAG:     %[[HEADS:.*]] = schedule.view %[[H]] offset 0 strides [64, 1040, 1] : tensor<16x1040xf32> to tensor<16x16x64xf32>
// CHECK-DAG:     schedule.kernel contraction(%[[WHOLE]], %arg2)
// CHECK-DAG:     schedule.kernel contraction(%[[HEADS]])
func.func @between(%x: tensor<16x32xf32>, %w: tensor<32x1024xf32>, %v: tensor<1024x8xf32>)
    -> (tensor<16x8xf32>, tensor<16x16x16xf32>) {
  %h = graph.matmul %x, %w : (tensor<16x32xf32>, tensor<32x1024xf32>) -> tensor<16x1024xf32>
  %y = graph.matmul %h, %v : (tensor<16x1024xf32>, tensor<1024x8xf32>) -> tensor<16x8xf32>
  %s = graph.reshape %h shape = [16, 16, 64] : (tensor<16x1024xf32>) -> tensor<16x16x64xf32>
  %p = graph.permute %s dims = [1, 0, 2] : (tensor<16x16x64xf32>) -> tensor<16x16x64xf32>
  %z = graph.matmul %p, %p {transpose_b} : (tensor<16x16x64xf32>, tensor<16x16x64xf32>) -> tensor<16x16x16xf32>
  return %y, %z : tensor<16x8xf32>, tensor<16x16x16xf32>
}

// What is returned has rows without gaps, and so have few rows and rows that a reader walks across.

// CHECK-LABEL: func.func @kept
// CHECK-NOT:     1040
func.func @kept(%x: tensor<16x32xf32>, %few: tensor<4x32xf32>, %w: tensor<32x1024xf32>, %v: tensor<1024x8xf32>,
                %u: tensor<512x8xf32>)
    -> (tensor<16x1024xf32>, tensor<4x8xf32>, tensor<32x8xf32>) {
  %0 = graph.matmul %x, %w : (tensor<16x32xf32>, tensor<32x1024xf32>) -> tensor<16x1024xf32>
  %1 = graph.matmul %few, %w : (tensor<4x32xf32>, tensor<32x1024xf32>) -> tensor<4x1024xf32>
  %2 = graph.matmul %1, %v : (tensor<4x1024xf32>, tensor<1024x8xf32>) -> tensor<4x8xf32>
  %3 = graph.matmul %x, %w : (tensor<16x32xf32>, tensor<32x1024xf32>) -> tensor<16x1024xf32>
  %4 = graph.reshape %3 shape = [32, 512] : (tensor<16x1024xf32>) -> tensor<32x512xf32>
  %5 = graph.matmul %4, %u : (tensor<32x512xf32>, tensor<512x8xf32>) -> tensor<32x8xf32>
  return %0, %2, %5 : tensor<16x1024xf32>, tensor<4x8xf32>, tensor<32x8xf32>
}
