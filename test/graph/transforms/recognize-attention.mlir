// RUN: tessera-opt --tessera-graph-simplify --tessera-graph-recognize %s | FileCheck %s

// CHECK-LABEL: @plain
// CHECK-SAME: %[[Q:.*]]: tensor<2x4x8x16xf32>, %[[K:.*]]: tensor<2x4x12x16xf32>, %[[V:.*]]: tensor<2x4x12x6xf32>
// CHECK-NEXT: %[[R:.*]] = graph.attention %[[Q]], %[[K]], %[[V]] scale = 2.500000e-01 :
// CHECK-NEXT: return %[[R]]
func.func @plain(%q: tensor<2x4x8x16xf32>, %k: tensor<2x4x12x16xf32>, %v: tensor<2x4x12x6xf32>) -> tensor<2x4x8x6xf32> {
  %four = graph.constant dense<4.0> : tensor<f32>
  %0 = graph.permute %k dims = [0, 1, 3, 2] : (tensor<2x4x12x16xf32>) -> tensor<2x4x16x12xf32>
  %1 = graph.matmul %q, %0 : (tensor<2x4x8x16xf32>, tensor<2x4x16x12xf32>) -> tensor<2x4x8x12xf32>
  %2 = graph.div %1, %four : (tensor<2x4x8x12xf32>, tensor<f32>) -> tensor<2x4x8x12xf32>
  %3 = graph.softmax %2 dim = 3 : tensor<2x4x8x12xf32>
  %4 = graph.matmul %3, %v : (tensor<2x4x8x12xf32>, tensor<2x4x12x6xf32>) -> tensor<2x4x8x6xf32>
  return %4 : tensor<2x4x8x6xf32>
}

// Both operands scaled before the product; keys stored the other way round; softmax in f32.
// CHECK-LABEL: @scaled_before
// CHECK: %[[K:.*]] = graph.permute %{{.*}} dims = [0, 2, 1]
// CHECK: graph.attention %{{.*}}, %[[K]], %{{.*}} scale = 2.500000e-01 :
func.func @scaled_before(%q: tensor<4x8x16xbf16>, %k: tensor<4x16x12xbf16>, %v: tensor<4x12x6xbf16>) -> tensor<4x8x6xbf16> {
  %half = graph.constant dense<0.5> : tensor<bf16>
  %0 = graph.mul %q, %half : (tensor<4x8x16xbf16>, tensor<bf16>) -> tensor<4x8x16xbf16>
  %1 = graph.mul %k, %half : (tensor<4x16x12xbf16>, tensor<bf16>) -> tensor<4x16x12xbf16>
  %2 = graph.matmul %0, %1 : (tensor<4x8x16xbf16>, tensor<4x16x12xbf16>) -> tensor<4x8x12xbf16>
  %3 = graph.cast %2 to f32 : (tensor<4x8x12xbf16>) -> tensor<4x8x12xf32>
  %4 = graph.softmax %3 dim = 2 : tensor<4x8x12xf32>
  %5 = graph.cast %4 to bf16 : (tensor<4x8x12xf32>) -> tensor<4x8x12xbf16>
  %6 = graph.matmul %5, %v : (tensor<4x8x12xbf16>, tensor<4x12x6xbf16>) -> tensor<4x8x6xbf16>
  return %6 : tensor<4x8x6xbf16>
}

// (1 - mask) * lowest of a boolean mask is finite.
// CHECK-LABEL: @finite_mask
// CHECK: %[[M:.*]] = graph.mul
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} mask %[[M]] scale = 1.000000e+00 :
func.func @finite_mask(%q: tensor<4x8x16xf32>, %m: tensor<8xi1>) -> tensor<4x8x16xf32> {
  %one = graph.constant dense<1.0> : tensor<f32>
  %lowest = graph.constant dense<-3.40282347E+38> : tensor<f32>
  %0 = graph.cast %m to f32 : (tensor<8xi1>) -> tensor<8xf32>
  %1 = graph.sub %one, %0 : (tensor<f32>, tensor<8xf32>) -> tensor<8xf32>
  %2 = graph.mul %1, %lowest : (tensor<8xf32>, tensor<f32>) -> tensor<8xf32>
  %3 = graph.matmul %q, %q {transpose_b} : (tensor<4x8x16xf32>, tensor<4x8x16xf32>) -> tensor<4x8x8xf32>
  %4 = graph.add %3, %2 : (tensor<4x8x8xf32>, tensor<8xf32>) -> tensor<4x8x8xf32>
  %5 = graph.softmax %4 dim = 2 : tensor<4x8x8xf32>
  %6 = graph.matmul %5, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %6 : tensor<4x8x16xf32>
}

// A mask from outside may hide a whole row: NaN by hand, zero in the op.
// CHECK-LABEL: @any_mask
// CHECK-NOT: graph.attention
// CHECK: return
func.func @any_mask(%q: tensor<4x8x16xf32>, %m: tensor<8x8xf32>, %b: tensor<8x8xi1>) -> (tensor<4x8x16xf32>, tensor<4x8x16xf32>) {
  %inf = graph.constant dense<0xFF800000> : tensor<f32>
  %0 = graph.matmul %q, %q {transpose_b} : (tensor<4x8x16xf32>, tensor<4x8x16xf32>) -> tensor<4x8x8xf32>
  %1 = graph.add %0, %m : (tensor<4x8x8xf32>, tensor<8x8xf32>) -> tensor<4x8x8xf32>
  %2 = graph.softmax %1 dim = 2 : tensor<4x8x8xf32>
  %3 = graph.matmul %2, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %4 = graph.select %b, %0, %inf : (tensor<8x8xi1>, tensor<4x8x8xf32>, tensor<f32>) -> tensor<4x8x8xf32>
  %5 = graph.softmax %4 dim = 2 : tensor<4x8x8xf32>
  %6 = graph.matmul %5, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %3, %6 : tensor<4x8x16xf32>, tensor<4x8x16xf32>
}

// CHECK-LABEL: @causal
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale = 1.000000e+00 {causal} :
func.func @causal(%q: tensor<4x8x16xf32>) -> tensor<4x8x16xf32> {
  %inf = graph.constant dense<0xFF800000> : tensor<f32>
  %p = graph.iota shape = [8], dim = 0, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8xi64>
  %i = graph.reshape %p shape = [8, 1] : (tensor<8xi64>) -> tensor<8x1xi64>
  %c = graph.compare le %p, %i : (tensor<8xi64>, tensor<8x1xi64>) -> tensor<8x8xi1>
  %0 = graph.matmul %q, %q {transpose_b} : (tensor<4x8x16xf32>, tensor<4x8x16xf32>) -> tensor<4x8x8xf32>
  %1 = graph.select %c, %0, %inf : (tensor<8x8xi1>, tensor<4x8x8xf32>, tensor<f32>) -> tensor<4x8x8xf32>
  %2 = graph.softmax %1 dim = 2 : tensor<4x8x8xf32>
  %3 = graph.matmul %2, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %3 : tensor<4x8x16xf32>
}

// Added, as 0 and -inf, and with the condition the other way round.
// CHECK-LABEL: @causal_added
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale = 1.000000e+00 {causal} :
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale = 1.000000e+00 {causal} :
func.func @causal_added(%q: tensor<4x8x16xf32>) -> (tensor<4x8x16xf32>, tensor<4x8x16xf32>) {
  %inf = graph.constant dense<0xFF800000> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<8x8xf32>
  %i = graph.iota shape = [8, 8], dim = 0, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8x8xi64>
  %j = graph.iota shape = [8, 8], dim = 1, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8x8xi64>
  %hidden = graph.compare gt %j, %i : (tensor<8x8xi64>, tensor<8x8xi64>) -> tensor<8x8xi1>
  %mask = graph.select %hidden, %inf, %zero : (tensor<8x8xi1>, tensor<f32>, tensor<8x8xf32>) -> tensor<8x8xf32>
  %0 = graph.matmul %q, %q {transpose_b} : (tensor<4x8x16xf32>, tensor<4x8x16xf32>) -> tensor<4x8x8xf32>
  %1 = graph.add %0, %mask : (tensor<4x8x8xf32>, tensor<8x8xf32>) -> tensor<4x8x8xf32>
  %2 = graph.softmax %1 dim = 2 : tensor<4x8x8xf32>
  %3 = graph.matmul %2, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %seen = graph.bitwise_not %hidden : tensor<8x8xi1>
  %4 = graph.select %seen, %0, %inf : (tensor<8x8xi1>, tensor<4x8x8xf32>, tensor<f32>) -> tensor<4x8x8xf32>
  %5 = graph.softmax %4 dim = 2 : tensor<4x8x8xf32>
  %6 = graph.matmul %5, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %3, %6 : tensor<4x8x16xf32>, tensor<4x8x16xf32>
}

// key >= query + 1 is hidden, as triu(.., 1) has it; a table of ones and zeros compared with zero,
// as tril and masked_fill have it.
// CHECK-LABEL: @causal_spellings
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale = 1.000000e+00 {causal} :
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale = 1.000000e+00 {causal} :
func.func @causal_spellings(%q: tensor<4x8x16xf32>) -> (tensor<4x8x16xf32>, tensor<4x8x16xf32>) {
  %inf = graph.constant dense<0xFF800000> : tensor<f32>
  %zero = graph.constant dense<0.0> : tensor<f32>
  %ones = graph.constant dense<1.0> : tensor<f32>
  %one = graph.constant dense<1> : tensor<i64>
  %i = graph.iota shape = [8, 1], dim = 0, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8x1xi64>
  %i1 = graph.add %i, %one : (tensor<8x1xi64>, tensor<i64>) -> tensor<8x1xi64>
  %j = graph.iota shape = [1, 8], dim = 1, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<1x8xi64>
  %hidden = graph.compare ge %j, %i1 : (tensor<1x8xi64>, tensor<8x1xi64>) -> tensor<8x8xi1>
  %mask = graph.select %hidden, %inf, %zero : (tensor<8x8xi1>, tensor<f32>, tensor<f32>) -> tensor<8x8xf32>
  %0 = graph.matmul %q, %q {transpose_b} : (tensor<4x8x16xf32>, tensor<4x8x16xf32>) -> tensor<4x8x8xf32>
  %1 = graph.add %0, %mask : (tensor<4x8x8xf32>, tensor<8x8xf32>) -> tensor<4x8x8xf32>
  %2 = graph.softmax %1 dim = 2 : tensor<4x8x8xf32>
  %3 = graph.matmul %2, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %c = graph.compare le %j, %i : (tensor<1x8xi64>, tensor<8x1xi64>) -> tensor<8x8xi1>
  %tril = graph.select %c, %ones, %zero : (tensor<8x8xi1>, tensor<f32>, tensor<f32>) -> tensor<8x8xf32>
  %masked = graph.compare eq %tril, %zero : (tensor<8x8xf32>, tensor<f32>) -> tensor<8x8xi1>
  %4 = graph.select %masked, %inf, %0 : (tensor<8x8xi1>, tensor<f32>, tensor<4x8x8xf32>) -> tensor<4x8x8xf32>
  %5 = graph.softmax %4 dim = 2 : tensor<4x8x8xf32>
  %6 = graph.matmul %5, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %3, %6 : tensor<4x8x16xf32>, tensor<4x8x16xf32>
}

// key < query leaves the first row empty; key >= query looks ahead.
// CHECK-LABEL: @not_causal
// CHECK-NOT: graph.attention
// CHECK: return
func.func @not_causal(%q: tensor<4x8x16xf32>) -> (tensor<4x8x16xf32>, tensor<4x8x16xf32>) {
  %inf = graph.constant dense<0xFF800000> : tensor<f32>
  %i = graph.iota shape = [8, 8], dim = 0, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8x8xi64>
  %j = graph.iota shape = [8, 8], dim = 1, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8x8xi64>
  %c = graph.compare lt %j, %i : (tensor<8x8xi64>, tensor<8x8xi64>) -> tensor<8x8xi1>
  %d = graph.compare ge %j, %i : (tensor<8x8xi64>, tensor<8x8xi64>) -> tensor<8x8xi1>
  %0 = graph.matmul %q, %q {transpose_b} : (tensor<4x8x16xf32>, tensor<4x8x16xf32>) -> tensor<4x8x8xf32>
  %1 = graph.select %c, %0, %inf : (tensor<8x8xi1>, tensor<4x8x8xf32>, tensor<f32>) -> tensor<4x8x8xf32>
  %2 = graph.softmax %1 dim = 2 : tensor<4x8x8xf32>
  %3 = graph.matmul %2, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  %4 = graph.select %d, %0, %inf : (tensor<8x8xi1>, tensor<4x8x8xf32>, tensor<f32>) -> tensor<4x8x8xf32>
  %5 = graph.softmax %4 dim = 2 : tensor<4x8x8xf32>
  %6 = graph.matmul %5, %q : (tensor<4x8x8xf32>, tensor<4x8x16xf32>) -> tensor<4x8x16xf32>
  return %3, %6 : tensor<4x8x16xf32>, tensor<4x8x16xf32>
}

// CHECK-LABEL: @repeated_heads
// CHECK-SAME: %[[Q:.*]]: tensor<2x8x4x16xf32>, %[[K:.*]]: tensor<2x2x4x16xf32>
// CHECK-NEXT: graph.attention %[[Q]], %[[K]], %[[K]] scale
func.func @repeated_heads(%q: tensor<2x8x4x16xf32>, %k: tensor<2x2x4x16xf32>) -> tensor<2x8x4x16xf32> {
  %0 = graph.reshape %k shape = [2, 2, 1, 4, 16] : (tensor<2x2x4x16xf32>) -> tensor<2x2x1x4x16xf32>
  %1 = graph.broadcast %0 shape = [2, 2, 4, 4, 16] : (tensor<2x2x1x4x16xf32>) -> tensor<2x2x4x4x16xf32>
  %2 = graph.reshape %1 shape = [2, 8, 4, 16] : (tensor<2x2x4x4x16xf32>) -> tensor<2x8x4x16xf32>
  %3 = graph.attention %q, %2, %2 scale = 2.5e-1 : (tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) -> tensor<2x8x4x16xf32>
  return %3 : tensor<2x8x4x16xf32>
}

// Heads tiled rather than repeated pair up differently.
// CHECK-LABEL: @tiled_heads
// CHECK: graph.broadcast
func.func @tiled_heads(%q: tensor<2x8x4x16xf32>, %k: tensor<2x2x4x16xf32>) -> tensor<2x8x4x16xf32> {
  %0 = graph.reshape %k shape = [2, 1, 2, 4, 16] : (tensor<2x2x4x16xf32>) -> tensor<2x1x2x4x16xf32>
  %1 = graph.broadcast %0 shape = [2, 4, 2, 4, 16] : (tensor<2x1x2x4x16xf32>) -> tensor<2x4x2x4x16xf32>
  %2 = graph.reshape %1 shape = [2, 8, 4, 16] : (tensor<2x4x2x4x16xf32>) -> tensor<2x8x4x16xf32>
  %3 = graph.attention %q, %2, %2 scale = 2.5e-1 : (tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) -> tensor<2x8x4x16xf32>
  return %3 : tensor<2x8x4x16xf32>
}
