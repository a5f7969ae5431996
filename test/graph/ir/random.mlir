// RUN: tessera-opt %s -split-input-file -verify-diagnostics | tessera-opt -split-input-file | FileCheck %s

// CHECK-LABEL: @bits
func.func @bits(%key: tensor<i64>) {
  // CHECK: graph.random_bits %{{.*}} shape = [8, 4], dtype = i32 : (tensor<i64>) -> tensor<8x4xi32>
  %0 = graph.random_bits %key shape = [8, 4], dtype = i32 : (tensor<i64>) -> tensor<8x4xi32>
  // CHECK: graph.random_bits %{{.*}} shape = [], dtype = i64 : (tensor<i64>) -> tensor<i64>
  %1 = graph.random_bits %key shape = [], dtype = i64 : (tensor<i64>) -> tensor<i64>
  // CHECK: graph.random_bits %{{.*}} shape = [-1, 4], dtype = i32 : (tensor<i64>) -> tensor<?x4xi32>
  %2 = graph.random_bits %key shape = [-1, 4], dtype = i32 : (tensor<i64>) -> tensor<?x4xi32>
  return
}

// -----

func.func @dtype(%key: tensor<i64>) {
  // expected-error@+1 {{'graph.random_bits' op [random_bits] `dtype` is 'f32'; use i32 or i64, and graph.cast behind it}}
  %0 = graph.random_bits %key shape = [8], dtype = f32 : (tensor<i64>) -> tensor<8xi32>
  return
}

// -----

func.func @size(%key: tensor<i64>) {
  // expected-error@+1 {{'graph.random_bits' op [random_bits] `shape` has the size -2}}
  %0 = graph.random_bits %key shape = [-2], dtype = i32 : (tensor<i64>) -> tensor<8xi32>
  return
}

// -----

func.func @key(%key: tensor<2xi64>) {
  // expected-error@+1 {{'graph.random_bits' op operand #0 must be 0-d tensor of 64-bit signless integer values, but got 'tensor<2xi64>'}}
  %0 = graph.random_bits %key shape = [8], dtype = i32 : (tensor<2xi64>) -> tensor<8xi32>
  return
}
