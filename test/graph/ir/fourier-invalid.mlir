// RUN: tessera-opt --split-input-file --verify-diagnostics %s

func.func @dim(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.real_fft' op [real_fft] `dim` is 1, which is no dimension of a tensor of rank 1}}
  %0:2 = graph.real_fft %x dim = 1 : (tensor<8xf32>) -> (tensor<5xf32>, tensor<5xf32>)
  return
}

// -----

func.func @empty(%x: tensor<4x0xf32>) {
  // expected-error@+1 {{'graph.real_fft' op [real_fft] `dim` 1 must have a known size of at least one, got 4x0}}
  %0:2 = graph.real_fft %x dim = 1 : (tensor<4x0xf32>) -> (tensor<4x1xf32>, tensor<4x1xf32>)
  return
}

// -----

func.func @parts(%x: tensor<8xf32>, %y: tensor<7xf32>) {
  // expected-error@+1 {{'graph.fft' op [fft] `real` 8 of 'f32' and `imaginary` 7 of 'f32' must be of one type}}
  %0:2 = graph.fft %x, %y dim = 0 : (tensor<8xf32>, tensor<7xf32>) -> (tensor<8xf32>, tensor<8xf32>)
  return
}

// -----

func.func @half(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.inverse_real_fft' op [inverse_real_fft] `length` 16 does not fit the 8 elements of dimension 0; expected 9}}
  %0 = graph.inverse_real_fft %x, %x dim = 0, length = 16 : (tensor<8xf32>, tensor<8xf32>) -> tensor<16xf32>
  return
}

// -----

func.func @result(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.real_fft' op inferred type(s) 'tensor<5xf32>', 'tensor<5xf32>' are incompatible with return type(s) of operation 'tensor<8xf32>', 'tensor<8xf32>'}}
  %0:2 = graph.real_fft %x dim = 0 : (tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>)
  return
}
