// RUN: tessera-opt --split-input-file --verify-diagnostics %s

func.func @dim(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.sort' op [sort] `dim` is 1, which is no dimension of a tensor of rank 1}}
  %0:2 = graph.sort %x dim = 1 : (tensor<8xf32>) -> (tensor<8xf32>, tensor<8xi64>)
  return
}

// -----

func.func @result(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.sort' op inferred type(s) 'tensor<8xf32>', 'tensor<8xi64>' are incompatible with return type(s) of operation 'tensor<8xf32>', 'tensor<8xi32>'}}
  %0:2 = graph.sort %x dim = 0 : (tensor<8xf32>) -> (tensor<8xf32>, tensor<8xi32>)
  return
}

// -----

func.func @too_many(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{'graph.topk' op [topk] `k` 9 is not between 0 and the 8 elements of dimension 1}}
  %0:2 = graph.topk %x dim = 1, k = 9 : (tensor<4x8xf32>) -> (tensor<4x9xf32>, tensor<4x9xi64>)
  return
}

// -----

func.func @topk_dim(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{'graph.topk' op [topk] `dim` is -1, which is no dimension of a tensor of rank 2}}
  %0:2 = graph.topk %x dim = -1, k = 1 : (tensor<4x8xf32>) -> (tensor<4x1xf32>, tensor<4x1xi64>)
  return
}

// -----

func.func @nothing(%x: tensor<4x0xf32>) {
  // expected-error@+1 {{'graph.order_statistic' op [order_statistic] `kind` median has no element in the empty dimension 1}}
  %0:2 = graph.order_statistic median %x dim = 1 : (tensor<4x0xf32>) -> (tensor<4x1xf32>, tensor<4x1xi64>)
  return
}

// -----

func.func @rank(%x: tensor<4x8xf32>) {
  // expected-error@+1 {{'graph.order_statistic' op [order_statistic] `k` 0 is not between 1 and the 8 elements of dimension 1}}
  %0:2 = graph.order_statistic kth %x dim = 1 {k = 0} : (tensor<4x8xf32>) -> (tensor<4x1xf32>, tensor<4x1xi64>)
  return
}

// -----

func.func @statistic_dim(%x: tensor<f32>) {
  // expected-error@+1 {{'graph.order_statistic' op [order_statistic] `dim` is 0, which is no dimension of a tensor of rank 0}}
  %0:2 = graph.order_statistic mode %x dim = 0 : (tensor<f32>) -> (tensor<f32>, tensor<i64>)
  return
}

// -----

func.func @extremum_dim(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.running_extremum' op [running_extremum] `dim` is 2, which is no dimension of a tensor of rank 1}}
  %0:2 = graph.running_extremum max %x dim = 2 : (tensor<8xf32>) -> (tensor<8xf32>, tensor<8xi64>)
  return
}

// -----

func.func @types(%x: tensor<8xf32>, %y: tensor<3xf64>) {
  // expected-error@+1 {{'graph.search_sorted' op [search_sorted] `sequence` of 'f32' and `values` of 'f64' cannot be compared; insert graph.cast}}
  %0 = graph.search_sorted %x, %y : (tensor<8xf32>, tensor<3xf64>) -> tensor<3xi64>
  return
}

// -----

func.func @rows(%x: tensor<2x8xf32>, %y: tensor<3x4xf32>) {
  // expected-error@+1 {{'graph.search_sorted' op [search_sorted] `sequence` 2x8 and `values` 3x4 must agree in all dimensions but the last}}
  %0 = graph.search_sorted %x, %y : (tensor<2x8xf32>, tensor<3x4xf32>) -> tensor<3x4xi64>
  return
}
