// RUN: tessera-opt --split-input-file --verify-diagnostics %s

func.func @types(%x: tensor<2x6x9xf32>, %w: tensor<8x6x3xbf16>) {
  // expected-error@+1 {{'graph.convolution' op [convolution] operands must have one element type, got 'f32' and 'bf16'; insert graph.cast}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 1 : (tensor<2x6x9xf32>, tensor<8x6x3xbf16>) -> tensor<2x8x7xf32>
  return
}

// -----

func.func @ranks(%x: tensor<2x6x9xf32>, %w: tensor<8x6x3x3xf32>) {
  // expected-error@+1 {{'graph.convolution' op [convolution] input and weight need two dimensions and the spatial ones, got shapes 2x6x9 and 8x6x3x3}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 1 : (tensor<2x6x9xf32>, tensor<8x6x3x3xf32>) -> tensor<2x8x7xf32>
  return
}

// -----

func.func @entries(%x: tensor<2x6x9xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{'graph.convolution' op [convolution] `stride` needs one entry for each of 1 spatial dimensions, got 2}}
  %0 = graph.convolution %x, %w stride = [1, 1], padding_low = [0], padding_high = [0], dilation = [1], groups = 1 : (tensor<2x6x9xf32>, tensor<8x6x3xf32>) -> tensor<2x8x7xf32>
  return
}

// -----

func.func @negative(%x: tensor<2x6x9xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{'graph.convolution' op [convolution] `padding_high` holds -1; entries are at least 0}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [-1], dilation = [1], groups = 1 : (tensor<2x6x9xf32>, tensor<8x6x3xf32>) -> tensor<2x8x7xf32>
  return
}

// -----

func.func @channels(%x: tensor<2x6x9xf32>, %w: tensor<8x4x3xf32>) {
  // expected-error@+1 {{'graph.convolution' op [convolution] input has 6 channels, but 2 groups of weight's 4 are 8}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 2 : (tensor<2x6x9xf32>, tensor<8x4x3xf32>) -> tensor<2x8x7xf32>
  return
}

// -----

func.func @groups(%x: tensor<2x6x9xf32>, %w: tensor<8x2x3xf32>) {
  // expected-error@+1 {{'graph.convolution' op [convolution] weight's 8 output channels do not divide into 3 groups}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 3 : (tensor<2x6x9xf32>, tensor<8x2x3xf32>) -> tensor<2x8x7xf32>
  return
}

// -----

func.func @no_groups(%x: tensor<2x6x9xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{'graph.convolution' op [convolution] `groups` is 0; there is at least one group}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 0 : (tensor<2x6x9xf32>, tensor<8x6x3xf32>) -> tensor<2x8x7xf32>
  return
}

// -----

func.func @too_wide(%x: tensor<2x6x9xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{'graph.convolution' op [convolution] a window of 13 elements does not fit into the 11 of spatial dimension 0, padding included}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [1], padding_high = [1], dilation = [6], groups = 1 : (tensor<2x6x9xf32>, tensor<8x6x3xf32>) -> tensor<2x8x1xf32>
  return
}

// -----

func.func @result(%x: tensor<2x6x9xf32>, %w: tensor<8x6x3xf32>) {
  // expected-error@+1 {{'graph.convolution' op inferred type(s) 'tensor<2x8x7xf32>' are incompatible with return type(s) of operation 'tensor<2x8x9xf32>'}}
  %0 = graph.convolution %x, %w stride = [1], padding_low = [0], padding_high = [0], dilation = [1], groups = 1 : (tensor<2x6x9xf32>, tensor<8x6x3xf32>) -> tensor<2x8x9xf32>
  return
}

// -----

func.func @window_entries(%x: tensor<9xf32>) {
  // expected-error@+1 {{'graph.window' op [window] `sizes`, `steps` and `dilations` need one entry for each of 1 dimensions in `dims`, got 2, 1 and 1}}
  %0 = graph.window %x dims = [0], sizes = [3, 3], steps = [1], dilations = [1] : (tensor<9xf32>) -> tensor<7x3xf32>
  return
}

// -----

func.func @window_step(%x: tensor<9xf32>) {
  // expected-error@+1 {{'graph.window' op [window] `sizes` 3, `steps` 0 and `dilations` 1 for dimension 0 must be positive}}
  %0 = graph.window %x dims = [0], sizes = [3], steps = [0], dilations = [1] : (tensor<9xf32>) -> tensor<7x3xf32>
  return
}

// -----

func.func @window_too_wide(%x: tensor<9xf32>) {
  // expected-error@+1 {{'graph.window' op [window] a window of 11 elements does not fit into the 9 of dimension 0}}
  %0 = graph.window %x dims = [0], sizes = [3], steps = [1], dilations = [5] : (tensor<9xf32>) -> tensor<1x3xf32>
  return
}

// -----

func.func @window_twice(%x: tensor<9xf32>) {
  // expected-error@+1 {{'graph.window' op [window] `dims` names dimension 0 twice}}
  %0 = graph.window %x dims = [0, 0], sizes = [3, 3], steps = [1, 1], dilations = [1, 1] : (tensor<9xf32>) -> tensor<5x3x3xf32>
  return
}
