// RUN: tessera-opt %s | tessera-opt | FileCheck %s
// RUN: tessera-opt --mlir-print-op-generic %s | tessera-opt | FileCheck %s

// CHECK-LABEL: @unary
func.func @unary(%x: tensor<8x?xf32>, %h: tensor<4xbf16>, %i: tensor<4xi32>, %u: tensor<4xui8>, %b: tensor<i1>) {
  // CHECK: graph.abs %{{.*}} : tensor<8x?xf32>
  %v1 = graph.abs %x : tensor<8x?xf32>
  // CHECK: graph.neg %{{.*}} : tensor<8x?xf32>
  %v2 = graph.neg %x : tensor<8x?xf32>
  // CHECK: graph.sign %{{.*}} : tensor<8x?xf32>
  %v3 = graph.sign %x : tensor<8x?xf32>
  // CHECK: graph.exp %{{.*}} : tensor<8x?xf32>
  %v4 = graph.exp %x : tensor<8x?xf32>
  // CHECK: graph.exp2 %{{.*}} : tensor<8x?xf32>
  %v5 = graph.exp2 %x : tensor<8x?xf32>
  // CHECK: graph.expm1 %{{.*}} : tensor<8x?xf32>
  %v6 = graph.expm1 %x : tensor<8x?xf32>
  // CHECK: graph.log %{{.*}} : tensor<8x?xf32>
  %v7 = graph.log %x : tensor<8x?xf32>
  // CHECK: graph.log2 %{{.*}} : tensor<8x?xf32>
  %v8 = graph.log2 %x : tensor<8x?xf32>
  // CHECK: graph.log10 %{{.*}} : tensor<8x?xf32>
  %v9 = graph.log10 %x : tensor<8x?xf32>
  // CHECK: graph.log1p %{{.*}} : tensor<8x?xf32>
  %v10 = graph.log1p %x : tensor<8x?xf32>
  // CHECK: graph.sqrt %{{.*}} : tensor<8x?xf32>
  %v11 = graph.sqrt %x : tensor<8x?xf32>
  // CHECK: graph.rsqrt %{{.*}} : tensor<8x?xf32>
  %v12 = graph.rsqrt %x : tensor<8x?xf32>
  // CHECK: graph.reciprocal %{{.*}} : tensor<8x?xf32>
  %v13 = graph.reciprocal %x : tensor<8x?xf32>
  // CHECK: graph.sin %{{.*}} : tensor<8x?xf32>
  %v14 = graph.sin %x : tensor<8x?xf32>
  // CHECK: graph.cos %{{.*}} : tensor<8x?xf32>
  %v15 = graph.cos %x : tensor<8x?xf32>
  // CHECK: graph.tan %{{.*}} : tensor<8x?xf32>
  %v16 = graph.tan %x : tensor<8x?xf32>
  // CHECK: graph.asin %{{.*}} : tensor<8x?xf32>
  %v17 = graph.asin %x : tensor<8x?xf32>
  // CHECK: graph.acos %{{.*}} : tensor<8x?xf32>
  %v18 = graph.acos %x : tensor<8x?xf32>
  // CHECK: graph.atan %{{.*}} : tensor<8x?xf32>
  %v19 = graph.atan %x : tensor<8x?xf32>
  // CHECK: graph.sinh %{{.*}} : tensor<8x?xf32>
  %v20 = graph.sinh %x : tensor<8x?xf32>
  // CHECK: graph.cosh %{{.*}} : tensor<8x?xf32>
  %v21 = graph.cosh %x : tensor<8x?xf32>
  // CHECK: graph.tanh %{{.*}} : tensor<8x?xf32>
  %v22 = graph.tanh %x : tensor<8x?xf32>
  // CHECK: graph.asinh %{{.*}} : tensor<8x?xf32>
  %v23 = graph.asinh %x : tensor<8x?xf32>
  // CHECK: graph.acosh %{{.*}} : tensor<8x?xf32>
  %v24 = graph.acosh %x : tensor<8x?xf32>
  // CHECK: graph.atanh %{{.*}} : tensor<8x?xf32>
  %v25 = graph.atanh %x : tensor<8x?xf32>
  // CHECK: graph.erf %{{.*}} : tensor<8x?xf32>
  %v26 = graph.erf %x : tensor<8x?xf32>
  // CHECK: graph.erfc %{{.*}} : tensor<8x?xf32>
  %v27 = graph.erfc %x : tensor<8x?xf32>
  // CHECK: graph.erfinv %{{.*}} : tensor<8x?xf32>
  %v28 = graph.erfinv %x : tensor<8x?xf32>
  // CHECK: graph.sigmoid %{{.*}} : tensor<8x?xf32>
  %v29 = graph.sigmoid %x : tensor<8x?xf32>
  // CHECK: graph.silu %{{.*}} : tensor<8x?xf32>
  %v30 = graph.silu %x : tensor<8x?xf32>
  // CHECK: graph.ceil %{{.*}} : tensor<8x?xf32>
  %v31 = graph.ceil %x : tensor<8x?xf32>
  // CHECK: graph.floor %{{.*}} : tensor<8x?xf32>
  %v32 = graph.floor %x : tensor<8x?xf32>
  // CHECK: graph.trunc %{{.*}} : tensor<8x?xf32>
  %v33 = graph.trunc %x : tensor<8x?xf32>
  // CHECK: graph.round %{{.*}} : tensor<8x?xf32>
  %v34 = graph.round %x : tensor<8x?xf32>
  // CHECK: graph.abs %{{.*}} : tensor<4xi32>
  %v35 = graph.abs %i : tensor<4xi32>
  // CHECK: graph.abs %{{.*}} : tensor<4xui8>
  %v36 = graph.abs %u : tensor<4xui8>
  // CHECK: graph.neg %{{.*}} : tensor<4xi32>
  %v37 = graph.neg %i : tensor<4xi32>
  // CHECK: graph.neg %{{.*}} : tensor<4xui8>
  %v38 = graph.neg %u : tensor<4xui8>
  // CHECK: graph.sign %{{.*}} : tensor<4xi32>
  %v39 = graph.sign %i : tensor<4xi32>
  // CHECK: graph.sign %{{.*}} : tensor<4xui8>
  %v40 = graph.sign %u : tensor<4xui8>
  // CHECK: graph.exp %{{.*}} : tensor<4xbf16>
  %v41 = graph.exp %h : tensor<4xbf16>
  // CHECK: graph.bitwise_not %{{.*}} : tensor<4xi32>
  %v42 = graph.bitwise_not %i : tensor<4xi32>
  // CHECK: graph.bitwise_not %{{.*}} : tensor<i1>
  %v43 = graph.bitwise_not %b : tensor<i1>
  // CHECK: graph.isnan %{{.*}} : (tensor<8x?xf32>) -> tensor<8x?xi1>
  %v44 = graph.isnan %x : (tensor<8x?xf32>) -> tensor<8x?xi1>
  // CHECK: graph.isinf %{{.*}} : (tensor<4xbf16>) -> tensor<4xi1>
  %v45 = graph.isinf %h : (tensor<4xbf16>) -> tensor<4xi1>
  // CHECK: graph.special "digamma"(%{{.*}}) : (tensor<8x?xf32>) -> tensor<8x?xf32>
  %special = graph.special "digamma"(%x) : (tensor<8x?xf32>) -> tensor<8x?xf32>
  // CHECK: graph.special "zeta"(%{{.*}}, %{{.*}}) : (tensor<8x?xf32>, tensor<8x?xf32>) -> tensor<8x?xf32>
  %special2 = graph.special "zeta"(%x, %x) : (tensor<8x?xf32>, tensor<8x?xf32>) -> tensor<8x?xf32>
  // CHECK: graph.gelu %{{.*}} : tensor<8x?xf32>
  %v46 = graph.gelu %x : tensor<8x?xf32>
  // CHECK: graph.gelu %{{.*}} approximate = tanh : tensor<8x?xf32>
  %v47 = graph.gelu %x approximate = tanh : tensor<8x?xf32>
  return
}

// CHECK-LABEL: @binary
func.func @binary(%x: tensor<8x4xf32>, %y: tensor<4xf32>, %i: tensor<2x1xi64>, %j: tensor<3xi64>, %b: tensor<4xi1>) {
  // CHECK: graph.add %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v48 = graph.add %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.add %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v49 = graph.add %x, %x : tensor<8x4xf32>
  // CHECK: graph.add %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v50 = graph.add %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.sub %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v51 = graph.sub %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.sub %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v52 = graph.sub %x, %x : tensor<8x4xf32>
  // CHECK: graph.sub %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v53 = graph.sub %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.mul %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v54 = graph.mul %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.mul %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v55 = graph.mul %x, %x : tensor<8x4xf32>
  // CHECK: graph.mul %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v56 = graph.mul %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.div %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v57 = graph.div %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.div %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v58 = graph.div %x, %x : tensor<8x4xf32>
  // CHECK: graph.floor_div %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v59 = graph.floor_div %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.floor_div %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v60 = graph.floor_div %x, %x : tensor<8x4xf32>
  // CHECK: graph.floor_div %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v61 = graph.floor_div %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.trunc_div %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v62 = graph.trunc_div %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.trunc_div %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v63 = graph.trunc_div %x, %x : tensor<8x4xf32>
  // CHECK: graph.trunc_div %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v64 = graph.trunc_div %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.remainder %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v65 = graph.remainder %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.remainder %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v66 = graph.remainder %x, %x : tensor<8x4xf32>
  // CHECK: graph.remainder %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v67 = graph.remainder %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.fmod %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v68 = graph.fmod %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.fmod %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v69 = graph.fmod %x, %x : tensor<8x4xf32>
  // CHECK: graph.fmod %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v70 = graph.fmod %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.pow %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v71 = graph.pow %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.pow %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v72 = graph.pow %x, %x : tensor<8x4xf32>
  // CHECK: graph.pow %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v73 = graph.pow %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.atan2 %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v74 = graph.atan2 %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.atan2 %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v75 = graph.atan2 %x, %x : tensor<8x4xf32>
  // CHECK: graph.copysign %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v76 = graph.copysign %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.copysign %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v77 = graph.copysign %x, %x : tensor<8x4xf32>
  // CHECK: graph.maximum %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v78 = graph.maximum %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.maximum %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v79 = graph.maximum %x, %x : tensor<8x4xf32>
  // CHECK: graph.maximum %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v80 = graph.maximum %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.minimum %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  %v81 = graph.minimum %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xf32>
  // CHECK: graph.minimum %{{.*}}, %{{.*}} : tensor<8x4xf32>
  %v82 = graph.minimum %x, %x : tensor<8x4xf32>
  // CHECK: graph.minimum %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v83 = graph.minimum %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.bitwise_and %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v84 = graph.bitwise_and %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.bitwise_and %{{.*}}, %{{.*}} : tensor<4xi1>
  %v85 = graph.bitwise_and %b, %b : tensor<4xi1>
  // CHECK: graph.bitwise_or %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v86 = graph.bitwise_or %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.bitwise_or %{{.*}}, %{{.*}} : tensor<4xi1>
  %v87 = graph.bitwise_or %b, %b : tensor<4xi1>
  // CHECK: graph.bitwise_xor %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v88 = graph.bitwise_xor %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.bitwise_xor %{{.*}}, %{{.*}} : tensor<4xi1>
  %v89 = graph.bitwise_xor %b, %b : tensor<4xi1>
  // CHECK: graph.shift_left %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v90 = graph.shift_left %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  // CHECK: graph.shift_right %{{.*}}, %{{.*}} : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  %v91 = graph.shift_right %i, %j : (tensor<2x1xi64>, tensor<3xi64>) -> tensor<2x3xi64>
  return
}

// CHECK-LABEL: @others
func.func @others(%x: tensor<8x4xf32>, %y: tensor<4xf32>, %s: tensor<f32>, %b: tensor<8x1xi1>, %c: tensor<i1>) {
  // CHECK: graph.compare eq %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  %v92 = graph.compare eq %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  // CHECK: graph.compare ne %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  %v93 = graph.compare ne %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  // CHECK: graph.compare lt %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  %v94 = graph.compare lt %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  // CHECK: graph.compare le %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  %v95 = graph.compare le %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  // CHECK: graph.compare gt %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  %v96 = graph.compare gt %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  // CHECK: graph.compare ge %{{.*}}, %{{.*}} : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  %v97 = graph.compare ge %x, %y : (tensor<8x4xf32>, tensor<4xf32>) -> tensor<8x4xi1>
  // CHECK: graph.bitcast %{{.*}} to i32 : (tensor<4xf32>) -> tensor<4xi32>
  %bits = graph.bitcast %y to i32 : (tensor<4xf32>) -> tensor<4xi32>
  // CHECK: graph.select %{{.*}}, %{{.*}}, %{{.*}} : (tensor<8x1xi1>, tensor<4xf32>, tensor<f32>) -> tensor<8x4xf32>
  %v98 = graph.select %b, %y, %s : (tensor<8x1xi1>, tensor<4xf32>, tensor<f32>) -> tensor<8x4xf32>
  // CHECK: graph.select %{{.*}}, %{{.*}}, %{{.*}} : tensor<i1>
  %v99 = graph.select %c, %c, %c : tensor<i1>
  // CHECK: graph.cast %{{.*}} to f32 : tensor<8x4xf32>
  %v100 = graph.cast %x to f32 : tensor<8x4xf32>
  // CHECK: graph.cast %{{.*}} to f64 : (tensor<8x4xf32>) -> tensor<8x4xf64>
  %v101 = graph.cast %x to f64 : (tensor<8x4xf32>) -> tensor<8x4xf64>
  // CHECK: graph.cast %{{.*}} to f16 : (tensor<8x4xf32>) -> tensor<8x4xf16>
  %v102 = graph.cast %x to f16 : (tensor<8x4xf32>) -> tensor<8x4xf16>
  // CHECK: graph.cast %{{.*}} to bf16 : (tensor<8x4xf32>) -> tensor<8x4xbf16>
  %v103 = graph.cast %x to bf16 : (tensor<8x4xf32>) -> tensor<8x4xbf16>
  // CHECK: graph.cast %{{.*}} to i8 : (tensor<8x4xf32>) -> tensor<8x4xi8>
  %v104 = graph.cast %x to i8 : (tensor<8x4xf32>) -> tensor<8x4xi8>
  // CHECK: graph.cast %{{.*}} to i16 : (tensor<8x4xf32>) -> tensor<8x4xi16>
  %v105 = graph.cast %x to i16 : (tensor<8x4xf32>) -> tensor<8x4xi16>
  // CHECK: graph.cast %{{.*}} to i32 : (tensor<8x4xf32>) -> tensor<8x4xi32>
  %v106 = graph.cast %x to i32 : (tensor<8x4xf32>) -> tensor<8x4xi32>
  // CHECK: graph.cast %{{.*}} to i64 : (tensor<8x4xf32>) -> tensor<8x4xi64>
  %v107 = graph.cast %x to i64 : (tensor<8x4xf32>) -> tensor<8x4xi64>
  // CHECK: graph.cast %{{.*}} to ui8 : (tensor<8x4xf32>) -> tensor<8x4xui8>
  %v108 = graph.cast %x to ui8 : (tensor<8x4xf32>) -> tensor<8x4xui8>
  // CHECK: graph.cast %{{.*}} to i1 : (tensor<8x4xf32>) -> tensor<8x4xi1>
  %v109 = graph.cast %x to i1 : (tensor<8x4xf32>) -> tensor<8x4xi1>
  return
}
