// RUN: tessera-opt %s -split-input-file -verify-diagnostics

func.func @view_of_view(%x: tensor<8xf32>) {
  %0 = schedule.view %x offset 0 strides [1] : tensor<8xf32> to tensor<4xf32>
  // expected-error @+1 {{[view] source must be a root, not another view; compose the two layouts}}
  %1 = schedule.view %0 offset 0 strides [1] : tensor<4xf32> to tensor<2xf32>
  return
}

// -----

func.func @view_outside(%x: tensor<8xf32>) {
  // expected-error @+1 {{[view] addresses elements 4 to 8 of a storage of 8}}
  %0 = schedule.view %x offset 4 strides [1] : tensor<8xf32> to tensor<5xf32>
  return
}

// -----

func.func @view_strides(%x: tensor<8xf32>) {
  // expected-error @+1 {{[view] needs one stride a dimension}}
  %0 = schedule.view %x offset 0 strides [1, 1] : tensor<8xf32> to tensor<8xf32>
  return
}

// -----

func.func @kernel_arguments(%x: tensor<8xf32>) {
  // expected-error @+1 {{[kernel] body argument of type 'tensor<4xf32>' does not match its input of type 'tensor<8xf32>'}}
  %0 = schedule.kernel elementwise(%x) : (tensor<8xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>):
    schedule.yield %a : tensor<4xf32>
  }
  return
}

// -----

func.func @kernel_results(%x: tensor<8xf32>) {
  // expected-error @+1 {{[kernel] result 0 of type 'tensor<4xf32>' does not match the yielded 'tensor<8xf32>'}}
  %0 = schedule.kernel elementwise(%x) : (tensor<8xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<8xf32>):
    schedule.yield %a : tensor<8xf32>
  }
  return
}

// -----

func.func @pack_shape(%x: tensor<8x40xf32>) {
  // expected-error @+1 {{[pack] 'tensor<1x8x32xf32>' does not hold the panels of 'tensor<8x40xf32>'}}
  %0 = schedule.pack %x : tensor<8x40xf32> to tensor<1x8x32xf32>
  return
}

// -----

func.func @pack_pairs(%x: tensor<8x40xf32>) {
  // expected-error @+1 {{[pack] panels of pairs end in two bf16, got 'tensor<2x4x32x2xf32>'}}
  %0 = schedule.pack %x : tensor<8x40xf32> to tensor<2x4x32x2xf32>
  return
}

// -----

func.func @pack_type(%x: tensor<8x40xf64>) {
  // expected-error @+1 {{[pack] cannot convert 'f64' to 'bf16'}}
  %0 = schedule.pack %x : tensor<8x40xf64> to tensor<2x4x32x2xbf16>
  return
}

// -----

func.func @unpack_kernels(%p: tensor<1x2x64x32xf32>) -> tensor<64x64x3x3xf32> {
  // expected-error @+1 {{[unpack_kernels] 'tensor<1x2x64x32xf32>' does not hold the panels of 'tensor<64x64x3x3xf32>'}}
  %0 = schedule.unpack_kernels %p : tensor<1x2x64x32xf32> to tensor<64x64x3x3xf32>
  return %0 : tensor<64x64x3x3xf32>
}
