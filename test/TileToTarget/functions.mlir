// RUN: tessera-opt %s -tessera-tile-to-target -canonicalize -cse | FileCheck %s
// RUN: tessera-opt %s -tessera-tile-to-target="cpu=x86-64-v3 vector-bits=256 math-library=libmvec-2.22" -canonicalize -cse | FileCheck %s --check-prefix=OLD
// RUN: tessera-opt %s -tessera-tile-to-target="math-library=none" -canonicalize -cse | FileCheck %s --check-prefix=NONE

// CHECK-LABEL: func.func @own
func.func @own(%x: memref<24xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %0 = tile.load %x[%c0] : memref<24xf32> -> vector<24xf32>
  // The first sixteen lanes scale by an instruction, the other eight by exponents.
  // CHECK: math.roundeven %{{.*}} : vector<16xf32>
  // CHECK: x86vector.avx512.mask.scalef
  // CHECK: math.roundeven %{{.*}} : vector<8xf32>
  // CHECK: arith.fptosi %{{.*}} : vector<8xf32> to vector<8xi32>
  // OLD-NOT: scalef
  %1 = tile.exp %0 : vector<24xf32>
  // CHECK: arith.divf
  %2 = tile.erf %1 : vector<24xf32>
  %3 = tile.tanh %2 : vector<24xf32>
  // CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.reduce.ps.512"
  %4 = tile.exp2 %3 : vector<24xf32>
  tile.store %4, %x[%c0] : vector<24xf32>, memref<24xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// GELU looks polynomials up in registers of sixteen lanes; shorter ones divide.
// CHECK-LABEL: func.func @gelu
// OLD-LABEL: func.func @gelu
func.func @gelu(%x: memref<24xf32>, %y: memref<8xf64>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %0 = tile.load %x[%c0] : memref<24xf32> -> vector<24xf32>
  // CHECK: %[[POSITION:.*]] = llvm.call_intrinsic "llvm.x86.avx512.mask.range.ps.512"
  // CHECK: %[[INDEX:.*]] = arith.bitcast %{{.*}} : vector<16xf32> to vector<16xi32>
  // CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.reduce.ps.512"(%[[POSITION]]
  // CHECK-COUNT-5: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%{{.*}}, %[[INDEX]])
  // CHECK: arith.divf %{{.*}} : vector<8xf32>
  // OLD-NOT: permvar
  // OLD-COUNT-3: arith.divf %{{.*}} : vector<8xf32>
  %1 = tile.gelu %0 : vector<24xf32>
  // CHECK-COUNT-5: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"
  // CHECK: arith.divf %{{.*}} : vector<8xf32>
  %2 = tile.gelu_tanh %1 : vector<24xf32>
  tile.store %2, %x[%c0] : vector<24xf32>, memref<24xf32>
  %3 = tile.load %y[%c0] : memref<8xf64> -> vector<8xf64>
  // CHECK: target.call_math "_ZGVeN8v_erf"
  %4 = tile.gelu %3 : vector<8xf64>
  tile.store %4, %y[%c0] : vector<8xf64>, memref<8xf64>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// CHECK-LABEL: func.func @library
// NONE-LABEL: func.func @library
// OLD-LABEL: func.func @library
func.func @library(%x: memref<24xf32>, %y: memref<16xf64>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %0 = tile.load %x[%c0] : memref<24xf32> -> vector<24xf32>
  // CHECK: target.call_math "_ZGVeN16v_sinf"(%{{.*}}) : (vector<16xf32>) -> vector<16xf32>
  // CHECK: target.call_math "_ZGVdN8v_sinf"(%{{.*}}) : (vector<8xf32>) -> vector<8xf32>
  // OLD-COUNT-3: target.call_math "_ZGVdN8v_sinf"
  // NONE-COUNT-24: target.call_math "sinf"(%{{.*}}) : (f32) -> f32
  %1 = math.sin %0 : vector<24xf32>
  // CHECK: target.call_math "_ZGVeN16v_tanf"
  // OLD-COUNT-24: target.call_math "tanf"(%{{.*}}) : (f32) -> f32
  %2 = math.tan %1 : vector<24xf32>
  // CHECK: target.call_math "_ZGVeN16vv_powf"(%{{.*}}, %{{.*}}) : (vector<16xf32>, vector<16xf32>) -> vector<16xf32>
  %3 = math.powf %2, %0 : vector<24xf32>
  tile.store %3, %x[%c0] : vector<24xf32>, memref<24xf32>
  %4 = tile.load %y[%c0] : memref<16xf64> -> vector<16xf64>
  // CHECK-COUNT-2: target.call_math "_ZGVeN8v_exp"(%{{.*}}) : (vector<8xf64>) -> vector<8xf64>
  %5 = tile.exp %4 : vector<16xf64>
  tile.store %5, %y[%c0] : vector<16xf64>, memref<16xf64>
  %6 = memref.load %y[%begin] : memref<16xf64>
  // CHECK: target.call_math "atan"(%{{.*}}) : (f64) -> f64
  %7 = math.atan %6 : f64
  // CHECK: math.sqrt %{{.*}} : f64
  %8 = math.sqrt %7 : f64
  memref.store %8, %y[%begin] : memref<16xf64>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Special functions are the runtime's, a lane at a time, whatever the machine's library.
// CHECK-LABEL: func.func @special
// NONE-LABEL: func.func @special
func.func @special(%x: memref<2xf32>, %y: memref<2xf64>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %0 = tile.load %x[%c0] : memref<2xf32> -> vector<2xf32>
  // CHECK-COUNT-2: target.call_math "tessera_math_i0f"(%{{.*}}) : (f32) -> f32
  // NONE-COUNT-2: target.call_math "tessera_math_i0f"(%{{.*}}) : (f32) -> f32
  %1 = tile.special "i0"(%0) : vector<2xf32>
  tile.store %1, %x[%c0] : vector<2xf32>, memref<2xf32>
  %2 = tile.load %y[%c0] : memref<2xf64> -> vector<2xf64>
  // CHECK-COUNT-2: target.call_math "tessera_math_zeta"(%{{.*}}, %{{.*}}) : (f64, f64) -> f64
  %3 = tile.special "zeta"(%2, %2) : vector<2xf64>
  tile.store %3, %y[%c0] : vector<2xf64>, memref<2xf64>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
