// RUN: tessera-opt %s | tessera-opt | FileCheck %s
// RUN: tessera-opt --mlir-print-op-generic %s | tessera-opt | FileCheck %s

// CHECK-LABEL: @source
func.func @source() {
  // CHECK: graph.constant dense<1.500000e+00> : tensor<f32>
  %v110 = graph.constant dense<1.500000e+00> : tensor<f32>
  // CHECK: graph.constant dense<[1, 2, 3]> : tensor<3xui8>
  %v111 = graph.constant dense<[1, 2, 3]> : tensor<3xui8>
  // CHECK: graph.constant dense<> : tensor<0x2xf32>
  %v112 = graph.constant dense<> : tensor<0x2xf32>
  // CHECK: graph.iota shape = [8], dim = 0, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8xi64>
  %v113 = graph.iota shape = [8], dim = 0, start = 0 : i64, step = 1 : i64, dtype = i64 : tensor<8xi64>
  // CHECK: graph.iota shape = [8, 4], dim = 1, start = 5.000000e-01 : f64, step = -1 : i64, dtype = f16 : tensor<8x4xf16>
  %v114 = graph.iota shape = [8, 4], dim = 1, start = 5.000000e-01 : f64, step = -1 : i64, dtype = f16 : tensor<8x4xf16>
  // CHECK: graph.parameter "layers.0.fc.weight" : tensor<2048x512xf32>
  %v115 = graph.parameter "layers.0.fc.weight" : tensor<2048x512xf32>
  return
}

// CHECK-LABEL: @movement
func.func @movement(%x: tensor<8x9xf32>, %d: tensor<?x4xf32>, %s: tensor<f32>) {
  // CHECK: graph.reshape %{{.*}} shape = [2, 4, 9] : (tensor<8x9xf32>) -> tensor<2x4x9xf32>
  %v116 = graph.reshape %x shape = [2, 4, 9] : (tensor<8x9xf32>) -> tensor<2x4x9xf32>
  // CHECK: graph.reshape %{{.*}} shape = [1, 1] : (tensor<f32>) -> tensor<1x1xf32>
  %v117 = graph.reshape %s shape = [1, 1] : (tensor<f32>) -> tensor<1x1xf32>
  // CHECK: graph.reshape %{{.*}} shape = [-1] : (tensor<?x4xf32>) -> tensor<?xf32>
  %v118 = graph.reshape %d shape = [-1] : (tensor<?x4xf32>) -> tensor<?xf32>
  // CHECK: graph.permute %{{.*}} dims = [1, 0] : (tensor<8x9xf32>) -> tensor<9x8xf32>
  %v119 = graph.permute %x dims = [1, 0] : (tensor<8x9xf32>) -> tensor<9x8xf32>
  // CHECK: graph.permute %{{.*}} dims = [] : (tensor<f32>) -> tensor<f32>
  %v120 = graph.permute %s dims = [] : (tensor<f32>) -> tensor<f32>
  // CHECK: graph.broadcast %{{.*}} shape = [3, 8, 9] : (tensor<8x9xf32>) -> tensor<3x8x9xf32>
  %v121 = graph.broadcast %x shape = [3, 8, 9] : (tensor<8x9xf32>) -> tensor<3x8x9xf32>
  // CHECK: graph.slice %{{.*}} starts = [0, 1], limits = [8, 7], steps = [1, 2] : (tensor<8x9xf32>) -> tensor<8x3xf32>
  %v122 = graph.slice %x starts = [0, 1], limits = [8, 7], steps = [1, 2] : (tensor<8x9xf32>) -> tensor<8x3xf32>
  // CHECK: graph.slice %{{.*}} starts = [3, 9], limits = [3, 9], steps = [1, 1] : (tensor<8x9xf32>) -> tensor<0x0xf32>
  %v123 = graph.slice %x starts = [3, 9], limits = [3, 9], steps = [1, 1] : (tensor<8x9xf32>) -> tensor<0x0xf32>
  // CHECK: graph.concat %{{.*}}, %{{.*}} dim = 1 : (tensor<8x9xf32>, tensor<8x9xf32>) -> tensor<8x18xf32>
  %v124 = graph.concat %x, %x dim = 1 : (tensor<8x9xf32>, tensor<8x9xf32>) -> tensor<8x18xf32>
  // CHECK: graph.concat %{{.*}}, %{{.*}} dim = 0 : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %v125 = graph.concat %d, %d dim = 0 : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: graph.pad %{{.*}}, %{{.*}} low = [0, 1], high = [0, -2] : (tensor<8x9xf32>, tensor<f32>) -> tensor<8x8xf32>
  %v126 = graph.pad %x, %s low = [0, 1], high = [0, -2] : (tensor<8x9xf32>, tensor<f32>) -> tensor<8x8xf32>
  // CHECK: graph.reverse %{{.*}} dims = [1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  %v127 = graph.reverse %x dims = [1] : (tensor<8x9xf32>) -> tensor<8x9xf32>
  return
}

// CHECK-LABEL: @reduction
func.func @reduction(%x: tensor<2x3x4xf32>, %b: tensor<2x3xi1>, %s: tensor<f32>, %e: tensor<0x3xf32>) {
  // CHECK: graph.reduce sum %{{.*}} dims = [0, 2] : (tensor<2x3x4xf32>) -> tensor<3xf32>
  %v128 = graph.reduce sum %x dims = [0, 2] : (tensor<2x3x4xf32>) -> tensor<3xf32>
  // CHECK: graph.reduce prod %{{.*}} dims = [0, 2] : (tensor<2x3x4xf32>) -> tensor<3xf32>
  %v129 = graph.reduce prod %x dims = [0, 2] : (tensor<2x3x4xf32>) -> tensor<3xf32>
  // CHECK: graph.reduce max %{{.*}} dims = [0, 2] : (tensor<2x3x4xf32>) -> tensor<3xf32>
  %v130 = graph.reduce max %x dims = [0, 2] : (tensor<2x3x4xf32>) -> tensor<3xf32>
  // CHECK: graph.reduce min %{{.*}} dims = [0, 2] : (tensor<2x3x4xf32>) -> tensor<3xf32>
  %v131 = graph.reduce min %x dims = [0, 2] : (tensor<2x3x4xf32>) -> tensor<3xf32>
  // CHECK: graph.reduce any %{{.*}} dims = [1] {keepdim} : (tensor<2x3xi1>) -> tensor<2x1xi1>
  %v132 = graph.reduce any %b dims = [1] {keepdim} : (tensor<2x3xi1>) -> tensor<2x1xi1>
  // CHECK: graph.reduce all %{{.*}} dims = [1] {keepdim} : (tensor<2x3xi1>) -> tensor<2x1xi1>
  %v133 = graph.reduce all %b dims = [1] {keepdim} : (tensor<2x3xi1>) -> tensor<2x1xi1>
  // CHECK: graph.reduce sum %{{.*}} dims = [] : (tensor<f32>) -> tensor<f32>
  %v134 = graph.reduce sum %s dims = [] : (tensor<f32>) -> tensor<f32>
  // CHECK: graph.reduce sum %{{.*}} dims = [0] : (tensor<0x3xf32>) -> tensor<3xf32>
  %v135 = graph.reduce sum %e dims = [0] : (tensor<0x3xf32>) -> tensor<3xf32>
  // CHECK: graph.arg_reduce max %{{.*}} dim = 1 : (tensor<2x3x4xf32>) -> tensor<2x4xi64>
  %v136 = graph.arg_reduce max %x dim = 1 : (tensor<2x3x4xf32>) -> tensor<2x4xi64>
  // CHECK: graph.arg_reduce min %{{.*}} dim = 1 {keepdim} : (tensor<2x3x4xf32>) -> tensor<2x1x4xi64>
  %v137 = graph.arg_reduce min %x dim = 1 {keepdim} : (tensor<2x3x4xf32>) -> tensor<2x1x4xi64>
  // CHECK: graph.running_reduce sum %{{.*}} dim = 1 : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %running = graph.running_reduce sum %x dim = 1 : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  return
}

// CHECK-LABEL: @normalization
func.func @normalization(%x: tensor<2x16x8xf32>, %w: tensor<8xf32>, %m: tensor<16x8xf32>, %c: tensor<16xf32>) {
  // CHECK: graph.layer_norm %{{.*}} axes = 1, eps = 1.000000e-05 : (tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
  %v138 = graph.layer_norm %x axes = 1, eps = 1.000000e-05 : (tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
  // CHECK: graph.layer_norm %{{.*}} weight %{{.*}} axes = 1, eps = 1.000000e-05 : (tensor<2x16x8xf32>, tensor<8xf32>) -> tensor<2x16x8xf32>
  %v139 = graph.layer_norm %x weight %w axes = 1, eps = 1.000000e-05 : (tensor<2x16x8xf32>, tensor<8xf32>) -> tensor<2x16x8xf32>
  // CHECK: graph.layer_norm %{{.*}} bias %{{.*}} axes = 1, eps = 1.000000e-05 : (tensor<2x16x8xf32>, tensor<8xf32>) -> tensor<2x16x8xf32>
  %v140 = graph.layer_norm %x bias %w axes = 1, eps = 1.000000e-05 : (tensor<2x16x8xf32>, tensor<8xf32>) -> tensor<2x16x8xf32>
  // CHECK: graph.layer_norm %{{.*}} weight %{{.*}} bias %{{.*}} axes = 2, eps = 1.000000e-05 : (tensor<2x16x8xf32>, tensor<16x8xf32>, tensor<16x8xf32>) -> tensor<2x16x8xf32>
  %v141 = graph.layer_norm %x weight %m bias %m axes = 2, eps = 1.000000e-05 : (tensor<2x16x8xf32>, tensor<16x8xf32>, tensor<16x8xf32>) -> tensor<2x16x8xf32>
  // CHECK: graph.rms_norm %{{.*}} axes = 1, eps = 1.250000e-06 : (tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
  %v142 = graph.rms_norm %x axes = 1, eps = 1.250000e-06 : (tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
  // CHECK: graph.rms_norm %{{.*}} weight %{{.*}} axes = 1, eps = 1.250000e-06 : (tensor<2x16x8xf32>, tensor<8xf32>) -> tensor<2x16x8xf32>
  %v143 = graph.rms_norm %x weight %w axes = 1, eps = 1.250000e-06 : (tensor<2x16x8xf32>, tensor<8xf32>) -> tensor<2x16x8xf32>
  // CHECK: graph.group_norm %{{.*}} groups = 4, eps = 1.000000e-05 : (tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
  %v144 = graph.group_norm %x groups = 4, eps = 1.000000e-05 : (tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
  // CHECK: graph.group_norm %{{.*}} weight %{{.*}} bias %{{.*}} groups = 4, eps = 1.000000e-05 : (tensor<2x16x8xf32>, tensor<16xf32>, tensor<16xf32>) -> tensor<2x16x8xf32>
  %v145 = graph.group_norm %x weight %c bias %c groups = 4, eps = 1.000000e-05 : (tensor<2x16x8xf32>, tensor<16xf32>, tensor<16xf32>) -> tensor<2x16x8xf32>
  // CHECK: graph.softmax %{{.*}} dim = 2 : tensor<2x16x8xf32>
  %v146 = graph.softmax %x dim = 2 : tensor<2x16x8xf32>
  // CHECK: graph.log_softmax %{{.*}} dim = 0 : tensor<2x16x8xf32>
  %v147 = graph.log_softmax %x dim = 0 : tensor<2x16x8xf32>
  return
}

// CHECK-LABEL: @contraction
func.func @contraction(%a: tensor<8x32xf32>, %b: tensor<64x32xf32>, %c: tensor<5x1x32x4xf32>, %d: tensor<3x4x7xf32>, %i: tensor<?x4xi8>, %e: tensor<3x32x5xf32>, %f: tensor<32x9xf32>, %ends: tensor<3xi32>) {
  // CHECK: graph.grouped_matmul %{{.*}}, %{{.*}}, %{{.*}} : (tensor<8x32xf32>, tensor<3x32x5xf32>, tensor<3xi32>) -> tensor<8x5xf32>
  %g0 = graph.grouped_matmul %a, %e, %ends : (tensor<8x32xf32>, tensor<3x32x5xf32>, tensor<3xi32>) -> tensor<8x5xf32>
  // CHECK: graph.grouped_matmul %{{.*}}, %{{.*}}, %{{.*}} : (tensor<8x32xf32>, tensor<32x9xf32>, tensor<3xi32>) -> tensor<3x8x9xf32>
  %g1 = graph.grouped_matmul %a, %f, %ends : (tensor<8x32xf32>, tensor<32x9xf32>, tensor<3xi32>) -> tensor<3x8x9xf32>
  // CHECK: graph.matmul %{{.*}}, %{{.*}} {transpose_b} : (tensor<8x32xf32>, tensor<64x32xf32>) -> tensor<8x64xf32>
  %v148 = graph.matmul %a, %b {transpose_b} : (tensor<8x32xf32>, tensor<64x32xf32>) -> tensor<8x64xf32>
  // CHECK: graph.matmul %{{.*}}, %{{.*}} {transpose_a} : (tensor<8x32xf32>, tensor<8x32xf32>) -> tensor<32x32xf32>
  %v149 = graph.matmul %a, %a {transpose_a} : (tensor<8x32xf32>, tensor<8x32xf32>) -> tensor<32x32xf32>
  // CHECK: graph.matmul %{{.*}}, %{{.*}} : (tensor<5x1x32x4xf32>, tensor<3x4x7xf32>) -> tensor<5x3x32x7xf32>
  %v150 = graph.matmul %c, %d : (tensor<5x1x32x4xf32>, tensor<3x4x7xf32>) -> tensor<5x3x32x7xf32>
  // CHECK: graph.matmul %{{.*}}, %{{.*}} {transpose_b} : (tensor<?x4xi8>, tensor<?x4xi8>) -> tensor<?x?xi8>
  %v151 = graph.matmul %i, %i {transpose_b} : (tensor<?x4xi8>, tensor<?x4xi8>) -> tensor<?x?xi8>
  return
}

// CHECK-LABEL: @attention
func.func @attention(%q: tensor<2x8x64x32xf32>, %k: tensor<2x2x48x32xf32>, %v: tensor<2x2x48x16xf32>, %m: tensor<64x48xi1>, %f: tensor<2x1x1x48xf32>) {
  // CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale = 1.250000e-01 : (tensor<2x8x64x32xf32>, tensor<2x2x48x32xf32>, tensor<2x2x48x16xf32>) -> tensor<2x8x64x16xf32>
  %v152 = graph.attention %q, %k, %v scale = 1.250000e-01 : (tensor<2x8x64x32xf32>, tensor<2x2x48x32xf32>, tensor<2x2x48x16xf32>) -> tensor<2x8x64x16xf32>
  // CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} scale = 1.250000e-01 : (tensor<2x8x64x32xf32>, tensor<2x2x48x32xf32>, tensor<2x2x48x16xf32>, tensor<64x48xi1>) -> tensor<2x8x64x16xf32>
  %v153 = graph.attention %q, %k, %v mask %m scale = 1.250000e-01 : (tensor<2x8x64x32xf32>, tensor<2x2x48x32xf32>, tensor<2x2x48x16xf32>, tensor<64x48xi1>) -> tensor<2x8x64x16xf32>
  // CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} scale = 1.250000e-01 {causal} : (tensor<2x8x64x32xf32>, tensor<2x2x48x32xf32>, tensor<2x2x48x16xf32>, tensor<2x1x1x48xf32>) -> tensor<2x8x64x16xf32>
  %v154 = graph.attention %q, %k, %v mask %f scale = 1.250000e-01 {causal} : (tensor<2x8x64x32xf32>, tensor<2x2x48x32xf32>, tensor<2x2x48x16xf32>, tensor<2x1x1x48xf32>) -> tensor<2x8x64x16xf32>
  return
}

// CHECK-LABEL: @indexing
func.func @indexing(%x: tensor<100x64xf32>, %i: tensor<8x16xi64>, %s: tensor<i32>) {
  // CHECK: graph.gather %{{.*}}, %{{.*}} dim = 0 : (tensor<100x64xf32>, tensor<8x16xi64>) -> tensor<8x16x64xf32>
  %v155 = graph.gather %x, %i dim = 0 : (tensor<100x64xf32>, tensor<8x16xi64>) -> tensor<8x16x64xf32>
  // CHECK: graph.gather %{{.*}}, %{{.*}} dim = 1 : (tensor<100x64xf32>, tensor<i32>) -> tensor<100xf32>
  %v156 = graph.gather %x, %s dim = 1 : (tensor<100x64xf32>, tensor<i32>) -> tensor<100xf32>
  return
}

// CHECK-LABEL: @control
func.func @control(%x: tensor<8xf32>) {
  // CHECK: graph.island 3 "no lowering for aten.sort"(%{{.*}}) : (tensor<8xf32>) -> (tensor<?xf32>, tensor<?xi64>)
  %v157:2 = graph.island 3 "no lowering for aten.sort"(%x) : (tensor<8xf32>) -> (tensor<?xf32>, tensor<?xi64>)
  // CHECK: graph.island 4 "a side effect"() : () -> ()
  graph.island 4 "a side effect"() : () -> ()
  return
}
