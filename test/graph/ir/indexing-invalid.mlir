// RUN: tessera-opt --split-input-file --verify-diagnostics %s

func.func @dim(%x: tensor<8xf32>, %i: tensor<3xi64>, %y: tensor<3xf32>) {
  // expected-error@+1 {{'graph.scatter' op [scatter] `dim` is 1, which is no dimension of a tensor of rank 1}}
  %0 = graph.scatter none %x, %i, %y dim = 1 : (tensor<8xf32>, tensor<3xi64>, tensor<3xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @types(%x: tensor<8xf32>, %i: tensor<3xi64>, %y: tensor<3xf64>) {
  // expected-error@+1 {{'graph.scatter' op [scatter] `source` of 'f64' cannot be written to `dest` of 'f32'; insert graph.cast}}
  %0 = graph.scatter none %x, %i, %y dim = 0 : (tensor<8xf32>, tensor<3xi64>, tensor<3xf64>) -> tensor<8xf32>
  return
}

// -----

func.func @half(%x: tensor<8xbf16>, %i: tensor<3xi64>, %y: tensor<3xbf16>) {
  // expected-error@+1 {{'graph.scatter' op [scatter] `kind` sum takes no 'bf16'; cast to a wider type and back}}
  %0 = graph.scatter sum %x, %i, %y dim = 0 : (tensor<8xbf16>, tensor<3xi64>, tensor<3xbf16>) -> tensor<8xbf16>
  return
}

// -----

func.func @source(%x: tensor<8x4xf32>, %i: tensor<3x4xi64>, %y: tensor<2x4xf32>) {
  // expected-error@+1 {{'graph.scatter' op [scatter] `index` 3x4 and `source` 2x4 must be equal, and equal to `dest` 8x4 but along dimension 0}}
  %0 = graph.scatter none %x, %i, %y dim = 0 : (tensor<8x4xf32>, tensor<3x4xi64>, tensor<2x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

func.func @dest(%x: tensor<8x4xf32>, %i: tensor<3x2xi64>, %y: tensor<3x2xf32>) {
  // expected-error@+1 {{'graph.scatter' op [scatter] `index` 3x2 and `source` 3x2 must be equal, and equal to `dest` 8x4 but along dimension 0}}
  %0 = graph.scatter none %x, %i, %y dim = 0 : (tensor<8x4xf32>, tensor<3x2xi64>, tensor<3x2xf32>) -> tensor<8x4xf32>
  return
}
