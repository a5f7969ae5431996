// RUN: tessera-opt --split-input-file --verify-diagnostics %s

func.func @broadcast(%x: tensor<8x9xf32>, %y: tensor<4xf32>) {
  // expected-error@+1 {{'graph.add' op [add] shapes 8x9 and 4 do not broadcast}}
  %0 = graph.add %x, %y : (tensor<8x9xf32>, tensor<4xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @mixed_types(%x: tensor<8xf32>, %y: tensor<8xbf16>) {
  // expected-error@+1 {{'graph.add' op [add] operands must have one element type, got 'f32' and 'bf16'; insert graph.cast}}
  %0 = graph.add %x, %y : (tensor<8xf32>, tensor<8xbf16>) -> tensor<8xf32>
  return
}

// -----

func.func @result_shape(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.add' op inferred type(s) 'tensor<8xf32>' are incompatible with return type(s) of operation 'tensor<9xf32>'}}
  %0 = graph.add %x, %x : (tensor<8xf32>, tensor<8xf32>) -> tensor<9xf32>
  return
}

// -----

func.func @result_type(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.compare' op result #0 must be ranked tensor of 1-bit signless integer values, but got 'tensor<8xi8>'}}
  %0 = graph.compare eq %x, %x : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xi8>
  return
}

// -----

func.func @float_only(%x: tensor<8xi32>) {
  // expected-error@+1 {{'graph.exp' op operand #0 must be ranked tensor of 32-bit float or 64-bit float or 16-bit float or bfloat16 type values, but got 'tensor<8xi32>'}}
  %0 = graph.exp %x : tensor<8xi32>
  return
}

// -----

func.func @numbers_only(%x: tensor<8xi1>) {
  // expected-error@+1 {{'graph.neg' op operand #0 must be ranked tensor of}}
  %0 = graph.neg %x : tensor<8xi1>
  return
}

// -----

func.func @bits_only(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.bitwise_not' op operand #0 must be ranked tensor of}}
  %0 = graph.bitwise_not %x : tensor<8xf32>
  return
}

// -----

func.func @illegal_element(%x: tensor<8xui16>) {
  // expected-error@+1 {{'graph.cast' op operand #0 must be ranked tensor of}}
  %0 = graph.cast %x to f32 : (tensor<8xui16>) -> tensor<8xf32>
  return
}

// -----

func.func @unranked(%x: tensor<*xf32>) {
  // expected-error@+1 {{'graph.exp' op operand #0 must be ranked tensor of}}
  %0 = graph.exp %x : tensor<*xf32>
  return
}

// -----

func.func @select_values(%c: tensor<8xi1>, %x: tensor<8xf32>, %y: tensor<8xi32>) {
  // expected-error@+1 {{'graph.select' op [select] operands must have one element type, got 'f32' and 'i32'; insert graph.cast}}
  %0 = graph.select %c, %x, %y : (tensor<8xi1>, tensor<8xf32>, tensor<8xi32>) -> tensor<8xf32>
  return
}

// -----

func.func @select_condition(%c: tensor<3xi1>, %x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.select' op [select] the condition's shape 3 does not broadcast with the values' shape 8}}
  %0 = graph.select %c, %x, %x : (tensor<3xi1>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @cast_dtype(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.cast' op [cast] `dtype` is 'i4'; use f32, f64, f16, bf16, i8, i16, i32, i64, ui8 or i1}}
  %0 = graph.cast %x to i4 : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @iota_size() {
  // expected-error@+1 {{'graph.iota' op [iota] `shape` has the size -2; sizes are non-negative, or -1 where only known at run time}}
  %0 = graph.iota shape = [-2], dim = 0, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8xi64>
  return
}

// -----

func.func @iota_dim() {
  // expected-error@+1 {{'graph.iota' op [iota] `dim` is 1, which is no dimension of a tensor of rank 1}}
  %0 = graph.iota shape = [8], dim = 1, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8xi64>
  return
}

// -----

func.func @iota_dtype() {
  // expected-error@+1 {{'graph.iota' op [iota] `dtype` is 'i1'; use f32, f64, f16, bf16, i8, i16, i32, i64 or ui8}}
  %0 = graph.iota shape = [8], dim = 0, start = 0 : i64, step = 1 : i64, dtype = i1 : tensor<8xi64>
  return
}

// -----

func.func @iota_fraction() {
  // expected-error@+1 {{'graph.iota' op [iota] `start` and `step` must be integers for the integer dtype 'i64'}}
  %0 = graph.iota shape = [8], dim = 0, start = 0.5 : f64, step = 1 : i64, dtype = i64 : tensor<8xi64>
  return
}

// -----

func.func @parameter_name() {
  // expected-error@+1 {{'graph.parameter' op [parameter] `name` must not be empty}}
  %0 = graph.parameter "" : tensor<8xf32>
  return
}

// -----

func.func @reshape_count(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.reshape' op [reshape] shape 8x9 has 72 elements, `shape` 8x8 has 64}}
  %0 = graph.reshape %x shape = [8, 8] : (tensor<8x9xf32>) -> tensor<8x8xf32>
  return
}

// -----

func.func @permute_count(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.permute' op [permute] `dims` must name all 2 dimensions, got 1}}
  %0 = graph.permute %x dims = [0] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @permute_twice(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.permute' op [permute] `dims` names dimension 0 twice}}
  %0 = graph.permute %x dims = [0, 0] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @permute_range(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.permute' op [permute] `dims` is -1, which is no dimension of a tensor of rank 2}}
  %0 = graph.permute %x dims = [0, -1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @broadcast_to(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.broadcast' op [broadcast] shape 8x9 does not broadcast to `shape` 8x8}}
  %0 = graph.broadcast %x shape = [8, 8] : (tensor<8x9xf32>) -> tensor<8x8xf32>
  return
}

// -----

func.func @broadcast_rank(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.broadcast' op [broadcast] shape 8x9 does not broadcast to `shape` 9}}
  %0 = graph.broadcast %x shape = [9] : (tensor<8x9xf32>) -> tensor<9xf32>
  return
}

// -----

func.func @slice_count(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.slice' op [slice] `starts`, `limits` and `steps` need one entry for each of 2 dimensions, got 1, 2 and 2}}
  %0 = graph.slice %x starts = [0], limits = [8, 9], steps = [1, 1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @slice_step(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.slice' op [slice] `steps` is -1 for dimension 1; steps are positive (graph.reverse goes backwards)}}
  %0 = graph.slice %x starts = [0, 0], limits = [8, 9], steps = [1, -1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @slice_limit(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.slice' op [slice] `starts` 0 and `limits` 10 for dimension 1 do not lie in order within its size 9}}
  %0 = graph.slice %x starts = [0, 0], limits = [8, 10], steps = [1, 1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @slice_order(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.slice' op [slice] `starts` 5 and `limits` 4 for dimension 0 do not lie in order within its size 8}}
  %0 = graph.slice %x starts = [5, 0], limits = [4, 9], steps = [1, 1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @concat_dim(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.concat' op [concat] `dim` is 2, which is no dimension of a tensor of rank 2}}
  %0 = graph.concat %x, %x dim = 2 : (tensor<8x9xf32>, tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @concat_shape(%x: tensor<8x9xf32>, %y: tensor<8x8xf32>) {
  // expected-error@+1 {{'graph.concat' op [concat] input 0 has shape 8x9 and input 1 8x8: they may differ in dimension 0 only}}
  %0 = graph.concat %x, %y dim = 0 : (tensor<8x9xf32>, tensor<8x8xf32>) -> tensor<16x9xf32>
  return
}

// -----

func.func @concat_type(%x: tensor<8xf32>, %y: tensor<8xf64>) {
  // expected-error@+1 {{'graph.concat' op [concat] inputs must have one element type, got 'f32' and 'f64'; insert graph.cast}}
  %0 = graph.concat %x, %y dim = 0 : (tensor<8xf32>, tensor<8xf64>) -> tensor<16xf32>
  return
}

// -----

func.func @pad_value(%x: tensor<8x9xf32>, %v: tensor<1xf32>) {
  // expected-error@+1 {{'graph.pad' op [pad] the padding value must be a 0-d tensor of 'f32', got 'tensor<1xf32>'}}
  %0 = graph.pad %x, %v low = [0, 0], high = [0, 0] : (tensor<8x9xf32>, tensor<1xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @pad_count(%x: tensor<8x9xf32>, %v: tensor<f32>) {
  // expected-error@+1 {{'graph.pad' op [pad] `low` and `high` need one entry for each of 2 dimensions, got 1 and 2}}
  %0 = graph.pad %x, %v low = [0], high = [0, 0] : (tensor<8x9xf32>, tensor<f32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @pad_crop(%x: tensor<8x9xf32>, %v: tensor<f32>) {
  // expected-error@+1 {{'graph.pad' op [pad] `low` -5 and `high` -4 crop more than the 8 elements of dimension 0}}
  %0 = graph.pad %x, %v low = [-5, 0], high = [-4, 0] : (tensor<8x9xf32>, tensor<f32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @reverse_twice(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.reverse' op [reverse] `dims` names dimension 1 twice}}
  %0 = graph.reverse %x dims = [1, 1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @reduce_order(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.reduce' op [reduce] `dims` must be sorted and distinct, got 1 before 0}}
  %0 = graph.reduce sum %x dims = [1, 0] : (tensor<8x9xf32>) -> tensor<f32>
  return
}

// -----

func.func @reduce_range(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.reduce' op [reduce] `dims` is 2, which is no dimension of a tensor of rank 2}}
  %0 = graph.reduce sum %x dims = [2] : (tensor<8x9xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @reduce_logical(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.reduce' op [reduce] `kind` any takes i1, got 'f32'; compare with zero first}}
  %0 = graph.reduce any %x dims = [1] : (tensor<8x9xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @reduce_number(%x: tensor<8xi1>) {
  // expected-error@+1 {{'graph.reduce' op [reduce] `kind` sum takes numbers, got 'i1'; insert graph.cast}}
  %0 = graph.reduce sum %x dims = [0] : (tensor<8xi1>) -> tensor<i1>
  return
}

// -----

func.func @reduce_empty(%x: tensor<8x0xf32>) {
  // expected-error@+1 {{'graph.reduce' op [reduce] `kind` max has no value over the empty dimension 1}}
  %0 = graph.reduce max %x dims = [1] : (tensor<8x0xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @arg_reduce_dim(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.arg_reduce' op [arg_reduce] `dim` is 2, which is no dimension of a tensor of rank 2}}
  %0 = graph.arg_reduce max %x dim = 2 : (tensor<8x9xf32>) -> tensor<8xi64>
  return
}

// -----

func.func @running_reduce_dim(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.running_reduce' op [running_reduce] `dim` is 2, which is no dimension of a tensor of rank 2}}
  %0 = graph.running_reduce sum %x dim = 2 : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @running_reduce_kind(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.running_reduce' op [running_reduce] `kind` max has no partial results here; use sum or prod, or graph.running_extremum}}
  %0 = graph.running_reduce max %x dim = 1 : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @running_reduce_half(%x: tensor<8x9xf16>) {
  // expected-error@+1 {{'graph.running_reduce' op [running_reduce] `operand` of 'f16' would lose what it adds up; insert graph.cast to f32}}
  %0 = graph.running_reduce sum %x dim = 1 : (tensor<8x9xf16>) -> tensor<8x9xf16>
  return
}

// -----

func.func @arg_reduce_empty(%x: tensor<8x0xf32>) {
  // expected-error@+1 {{'graph.arg_reduce' op [arg_reduce] `kind` min has no position in the empty dimension 1}}
  %0 = graph.arg_reduce min %x dim = 1 : (tensor<8x0xf32>) -> tensor<8xi64>
  return
}

// -----

func.func @arg_reduce_type(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.arg_reduce' op inferred type(s) 'tensor<8xi64>' are incompatible with return type(s) of operation 'tensor<8xi32>'}}
  %0 = graph.arg_reduce max %x dim = 1 : (tensor<8x9xf32>) -> tensor<8xi32>
  return
}

// -----

func.func @norm_axes(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.layer_norm' op [layer_norm] `axes` is 3; it counts trailing dimensions, from 1 to 2}}
  %0 = graph.layer_norm %x axes = 3, eps = 1.0e-5 : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @norm_weight(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.layer_norm' op [layer_norm] weight must be 'tensor<9xf32>', got 'tensor<8x9xf32>'}}
  %0 = graph.layer_norm %x weight %x axes = 1, eps = 1.0e-5 : (tensor<8x9xf32>, tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @norm_bias(%x: tensor<8x9xf32>, %b: tensor<9xf64>) {
  // expected-error@+1 {{'graph.layer_norm' op [layer_norm] bias must be 'tensor<9xf32>', got 'tensor<9xf64>'}}
  %0 = graph.layer_norm %x bias %b axes = 1, eps = 1.0e-5 : (tensor<8x9xf32>, tensor<9xf64>) -> tensor<8x9xf32>
  return
}

// -----

func.func @rms_weight(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.rms_norm' op [rms_norm] weight must be 'tensor<9xf32>', got 'tensor<8x9xf32>'}}
  %0 = graph.rms_norm %x weight %x axes = 1, eps = 1.0e-5 : (tensor<8x9xf32>, tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @group_rank(%x: tensor<9xf32>) {
  // expected-error@+1 {{'graph.group_norm' op [group_norm] operand must be [N, C, ...], got 'tensor<9xf32>'}}
  %0 = graph.group_norm %x groups = 3, eps = 1.0e-5 : (tensor<9xf32>) -> tensor<9xf32>
  return
}

// -----

func.func @group_count(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.group_norm' op [group_norm] `groups` (2) must divide the 9 channels of dimension 1}}
  %0 = graph.group_norm %x groups = 2, eps = 1.0e-5 : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @group_weight(%x: tensor<8x9xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{'graph.group_norm' op [group_norm] weight must be 'tensor<9xf32>', got 'tensor<8xf32>'}}
  %0 = graph.group_norm %x weight %w groups = 3, eps = 1.0e-5 : (tensor<8x9xf32>, tensor<8xf32>) -> tensor<8x9xf32>
  return
}

// -----

func.func @softmax_dim(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.softmax' op [softmax] `dim` is 2, which is no dimension of a tensor of rank 2}}
  %0 = graph.softmax %x dim = 2 : tensor<8x9xf32>
  return
}

// -----

func.func @log_softmax_dim(%x: tensor<8x9xf32>) {
  // expected-error@+1 {{'graph.log_softmax' op [log_softmax] `dim` is -1, which is no dimension of a tensor of rank 2}}
  %0 = graph.log_softmax %x dim = -1 : tensor<8x9xf32>
  return
}

// -----

func.func @bitcast_width(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.bitcast' op [bitcast] `dtype` is 'i64', and elements are 'f32'; both must have 32 bits, or both 64}}
  %0 = graph.bitcast %x to i64 : (tensor<8xf32>) -> tensor<8xi64>
  return
}

// -----

func.func @grouped_matmul_depth(%a: tensor<8x512xf32>, %b: tensor<2x256x64xf32>, %ends: tensor<2xi64>) {
  // expected-error@+1 {{'graph.grouped_matmul' op [grouped_matmul] last dimension of lhs (512) must equal the summed one of rhs (256); shapes are 8x512 and 2x256x64}}
  %0 = graph.grouped_matmul %a, %b, %ends : (tensor<8x512xf32>, tensor<2x256x64xf32>, tensor<2xi64>) -> tensor<8x64xf32>
  return
}

// -----

func.func @grouped_matmul_groups(%a: tensor<8x4xf32>, %b: tensor<2x4x6xf32>, %ends: tensor<3xi64>) {
  // expected-error@+1 {{'graph.grouped_matmul' op [grouped_matmul] rhs has matrices for 2 groups, but there are 3 ends}}
  %0 = graph.grouped_matmul %a, %b, %ends : (tensor<8x4xf32>, tensor<2x4x6xf32>, tensor<3xi64>) -> tensor<8x6xf32>
  return
}

// -----

func.func @grouped_matmul_ranks(%a: tensor<1x8x4xf32>, %b: tensor<2x4x6xf32>, %ends: tensor<2xi64>) {
  // expected-error@+1 {{'graph.grouped_matmul' op [grouped_matmul] lhs needs 2 dimensions, rhs 2 or 3 and ends 1, got shapes 1x8x4, 2x4x6 and 2}}
  %0 = graph.grouped_matmul %a, %b, %ends : (tensor<1x8x4xf32>, tensor<2x4x6xf32>, tensor<2xi64>) -> tensor<8x6xf32>
  return
}

// -----

func.func @matmul_depth(%a: tensor<8x512xf32>, %b: tensor<256x64xf32>) {
  // expected-error@+1 {{'graph.matmul' op [matmul] last dimension of lhs (512) must equal the second to last dimension of rhs (256); shapes are 8x512 and 256x64}}
  %0 = graph.matmul %a, %b : (tensor<8x512xf32>, tensor<256x64xf32>) -> tensor<8x64xf32>
  return
}

// -----

func.func @matmul_depth_transposed(%a: tensor<8x512xf32>, %b: tensor<64x256xf32>) {
  // expected-error@+1 {{'graph.matmul' op [matmul] second to last dimension of lhs (8) must equal the last dimension of rhs (256); shapes are 8x512 and 64x256}}
  %0 = graph.matmul %a, %b {transpose_a, transpose_b} : (tensor<8x512xf32>, tensor<64x256xf32>) -> tensor<512x64xf32>
  return
}

// -----

func.func @matmul_rank(%a: tensor<512xf32>, %b: tensor<512x64xf32>) {
  // expected-error@+1 {{'graph.matmul' op [matmul] operands need at least 2 dimensions, got shapes 512 and 512x64; reshape vectors to matrices first}}
  %0 = graph.matmul %a, %b : (tensor<512xf32>, tensor<512x64xf32>) -> tensor<64xf32>
  return
}

// -----

func.func @matmul_batch(%a: tensor<2x8x4xf32>, %b: tensor<3x4x8xf32>) {
  // expected-error@+1 {{'graph.matmul' op [matmul] batch dimensions of shapes 2x8x4 and 3x4x8 do not broadcast}}
  %0 = graph.matmul %a, %b : (tensor<2x8x4xf32>, tensor<3x4x8xf32>) -> tensor<2x8x8xf32>
  return
}

// -----

func.func @matmul_type(%a: tensor<8x4xf32>, %b: tensor<4x8xbf16>) {
  // expected-error@+1 {{'graph.matmul' op [matmul] operands must have one element type, got 'f32' and 'bf16'; insert graph.cast}}
  %0 = graph.matmul %a, %b : (tensor<8x4xf32>, tensor<4x8xbf16>) -> tensor<8x8xf32>
  return
}

// -----

func.func @attention_rank(%q: tensor<8x4xf32>, %k: tensor<8x4xf32>, %v: tensor<8x4xf32>) {
  // expected-error@+1 {{'graph.attention' op [attention] query, key and value need the same rank of at least 3, got 2, 2 and 2}}
  %0 = graph.attention %q, %k, %v scale = 1.0 : (tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

func.func @attention_width(%q: tensor<2x8x4xf32>, %k: tensor<2x8x5xf32>, %v: tensor<2x8x4xf32>) {
  // expected-error@+1 {{'graph.attention' op [attention] last dimension of query (4) must equal that of key (5)}}
  %0 = graph.attention %q, %k, %v scale = 1.0 : (tensor<2x8x4xf32>, tensor<2x8x5xf32>, tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return
}

// -----

func.func @attention_length(%q: tensor<2x8x4xf32>, %k: tensor<2x9x4xf32>, %v: tensor<2x8x4xf32>) {
  // expected-error@+1 {{'graph.attention' op [attention] key and value must have the same heads and length, got 2x9 and 2x8}}
  %0 = graph.attention %q, %k, %v scale = 1.0 : (tensor<2x8x4xf32>, tensor<2x9x4xf32>, tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return
}

// -----

func.func @attention_heads(%q: tensor<3x8x4xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x8x4xf32>) {
  // expected-error@+1 {{'graph.attention' op [attention] the heads of query (3) must be a multiple of those of key and value (2)}}
  %0 = graph.attention %q, %k, %v scale = 1.0 : (tensor<3x8x4xf32>, tensor<2x8x4xf32>, tensor<2x8x4xf32>) -> tensor<3x8x4xf32>
  return
}

// -----

func.func @attention_batch(%q: tensor<5x2x8x4xf32>, %k: tensor<6x2x8x4xf32>, %v: tensor<5x2x8x4xf32>) {
  // expected-error@+1 {{'graph.attention' op [attention] leading dimensions of query 5x2x8x4, key 6x2x8x4 and value 5x2x8x4 must be equal}}
  %0 = graph.attention %q, %k, %v scale = 1.0 : (tensor<5x2x8x4xf32>, tensor<6x2x8x4xf32>, tensor<5x2x8x4xf32>) -> tensor<5x2x8x4xf32>
  return
}

// -----

func.func @attention_type(%q: tensor<2x8x4xf32>, %k: tensor<2x8x4xf16>) {
  // expected-error@+1 {{'graph.attention' op [attention] query, key and value must have one element type, got 'f32' and 'f16'; insert graph.cast}}
  %0 = graph.attention %q, %k, %k scale = 1.0 : (tensor<2x8x4xf32>, tensor<2x8x4xf16>, tensor<2x8x4xf16>) -> tensor<2x8x4xf32>
  return
}

// -----

func.func @attention_mask_shape(%q: tensor<2x8x4xf32>, %m: tensor<8x7xi1>) {
  // expected-error@+1 {{'graph.attention' op [attention] mask of shape 8x7 does not broadcast to the scores' shape 2x8x8}}
  %0 = graph.attention %q, %q, %q mask %m scale = 1.0 : (tensor<2x8x4xf32>, tensor<2x8x4xf32>, tensor<2x8x4xf32>, tensor<8x7xi1>) -> tensor<2x8x4xf32>
  return
}

// -----

func.func @attention_mask_type(%q: tensor<2x8x4xf32>, %m: tensor<8x8xf64>) {
  // expected-error@+1 {{'graph.attention' op [attention] mask must have element type i1 or that of query, 'f32', got 'f64'; insert graph.cast}}
  %0 = graph.attention %q, %q, %q mask %m scale = 1.0 : (tensor<2x8x4xf32>, tensor<2x8x4xf32>, tensor<2x8x4xf32>, tensor<8x8xf64>) -> tensor<2x8x4xf32>
  return
}

// -----

func.func @gather_dim(%x: tensor<8x9xf32>, %i: tensor<3xi64>) {
  // expected-error@+1 {{'graph.gather' op [gather] `dim` is 2, which is no dimension of a tensor of rank 2}}
  %0 = graph.gather %x, %i dim = 2 : (tensor<8x9xf32>, tensor<3xi64>) -> tensor<8x9x3xf32>
  return
}

// -----

func.func @gather_index(%x: tensor<8x9xf32>, %i: tensor<3xf32>) {
  // expected-error@+1 {{'graph.gather' op operand #1 must be ranked tensor of 32-bit signless integer or 64-bit signless integer values, but got 'tensor<3xf32>'}}
  %0 = graph.gather %x, %i dim = 0 : (tensor<8x9xf32>, tensor<3xf32>) -> tensor<3x9xf32>
  return
}

// -----

func.func @concat_nothing() {
  // expected-error@+1 {{'graph.concat' op [concat] needs at least one input}}
  %0 = "graph.concat"() <{dim = 0 : i64}> : () -> tensor<8xf32>
  return
}

// -----

func.func @missing_attribute(%x: tensor<8xf32>) {
  // expected-error@+1 {{'graph.softmax' op requires attribute 'dim'}}
  %0 = "graph.softmax"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @type_count(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected 2 operand types and one result type}}
  %0 = graph.add %x, %x : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @unknown_kind(%x: tensor<8xf32>) {
  // expected-error@+2 {{expected one of [sum, prod, max, min, any, all] for a reduction kind, got: mean}}
  // expected-error@+1 {{failed to parse Graph_ReduceKindAttr parameter 'value'}}
  %0 = graph.reduce mean %x dims = [0] : (tensor<8xf32>) -> tensor<f32>
  return
}

// -----

func.func @unknown_special(%x: tensor<8xf32>) {
  // expected-error@+1 {{[special] there is no function "sine"; runtime/abi/Mathematics.h lists them}}
  %0 = graph.special "sine"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @special_operands(%x: tensor<8xf32>) {
  // expected-error@+1 {{[special] "zeta" takes 2 operands, got 1}}
  %0 = graph.special "zeta"(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @not_square(%x: tensor<2x3xf32>) {
  // expected-error@+1 {{[cholesky] `operand` must be square, got 2x3}}
  %0:2 = graph.cholesky %x : (tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<i32>)
  return
}

// -----

func.func @no_matrix(%x: tensor<3xf32>) {
  // expected-error@+1 {{[svd] `operand` must be matrices of known sizes, got 3}}
  %0:3 = graph.svd %x : (tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>)
  return
}

// -----

func.func @right_sides(%x: tensor<3x3xf32>, %y: tensor<4x2xf32>) {
  // expected-error@+1 {{[triangular_solve] `right` 4x2 does not fit matrices 3x3; expected 3x2}}
  %0 = graph.triangular_solve %x, %y : (tensor<3x3xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @right_types(%x: tensor<3x3xf32>, %y: tensor<3x2xf64>) {
  // expected-error@+1 {{[triangular_solve] `right` of 'f64' does not fit matrices of 'f32'; insert graph.cast}}
  %0 = graph.triangular_solve %x, %y : (tensor<3x3xf32>, tensor<3x2xf64>) -> tensor<3x2xf64>
  return
}

// -----

func.func @pivots(%x: tensor<3x3xf32>, %p: tensor<2xi32>, %y: tensor<3x2xf32>) {
  // expected-error@+1 {{[lu_solve] `pivots` 2 does not fit matrices 3x3; expected 3}}
  %0 = graph.lu_solve %x, %p, %y : (tensor<3x3xf32>, tensor<2xi32>, tensor<3x2xf32>) -> tensor<3x2xf32>
  return
}

// -----

func.func @reflections(%x: tensor<2x3xf32>, %tau: tensor<2xf32>) {
  // expected-error@+1 {{[householder_product] `packed` 2x3 must have at least as many rows as columns, and not fewer columns than the 2 reflections of `tau`}}
  %0 = graph.householder_product %x, %tau : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  return
}
