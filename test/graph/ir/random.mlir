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

// -----

// CHECK-LABEL: @require
func.func @require(%p: tensor<8xf32>, %valid: tensor<8xi1>, %any: tensor<i1>) {
  // CHECK: graph.require probability %{{.*}}, %{{.*}} : (tensor<8xi1>, tensor<8xf32>) -> tensor<8xf32>
  %0 = graph.require probability %valid, %p : (tensor<8xi1>, tensor<8xf32>) -> tensor<8xf32>
  // CHECK: graph.require weights %{{.*}}, %{{.*}} : (tensor<i1>, tensor<8xf32>) -> tensor<8xf32>
  %1 = graph.require weights %any, %p : (tensor<i1>, tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @require_shape(%p: tensor<8xf32>, %valid: tensor<7xi1>) {
  // expected-error@+1 {{'graph.require' op [require] the condition's shape 7 does not broadcast with the value's shape 8}}
  %0 = graph.require deviation %valid, %p : (tensor<7xi1>, tensor<8xf32>) -> tensor<8xf32>
  return
}
