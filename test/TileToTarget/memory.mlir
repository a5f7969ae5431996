// RUN: tessera-opt %s -tessera-tile-to-target -canonicalize -cse | FileCheck %s
// RUN: tessera-opt %s -tessera-tile-to-target="cpu=x86-64-v3 vector-bits=256" -canonicalize -cse | FileCheck %s --check-prefix=AVX2

// The offset of a layout is dropped: a buffer argument is the address of its first element.
// CHECK: module attributes {target.machine = #target.machine<cpu = "x86-64-v4"
// CHECK-LABEL: func.func @strides
// CHECK-SAME: %[[X:.*]]: memref<152xf32> {llvm.readonly}, %[[Y:.*]]: memref<128xf32> {llvm.noalias}, %[[Z:.*]]: memref<5xf32> {llvm.readonly},
func.func @strides(%x: memref<4x32xf32, strided<[40, 1], offset: 8>>, %y: memref<4x32xf32>, %z: memref<4x5xf32, strided<[0, 1]>>,
                   %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  // CHECK: %[[ROW:.*]] = arith.muli %{{.*}}, %c40 overflow<nsw> : index
  // CHECK: vector.load %[[X]][%[[ROW]]] : memref<152xf32>, vector<16xf32>
  // CHECK: %[[NEXT:.*]] = arith.addi %[[ROW]], %c16 overflow<nsw> : index
  // CHECK: vector.load %[[X]][%[[NEXT]]] : memref<152xf32>, vector<16xf32>
  // AVX2-COUNT-4: vector.load {{.*}}, vector<8xf32>
  %0 = tile.load %x[%begin, %c0] : memref<4x32xf32, strided<[40, 1], offset: 8>> -> vector<32xf32>
  // CHECK: memref.load %[[Z]]
  // CHECK: vector.broadcast {{.*}} : f32 to vector<16xf32>
  %1 = tile.load %z[%c0, %end] {dim = 0 : i64} : memref<4x5xf32, strided<[0, 1]>> -> vector<16xf32>
  // CHECK: vector.gather %[[X]][%{{.*}}] [%{{.*}}], %{{.*}}, %{{.*}} : memref<152xf32>, vector<4xi32>
  %2 = tile.load %x[%c0, %end] {dim = 0 : i64} : memref<4x32xf32, strided<[40, 1], offset: 8>> -> vector<4xf32>
  // CHECK: vector.scatter %[[Y]]
  tile.store %2, %y[%c0, %end] {dim = 0 : i64} : vector<4xf32>, memref<4x32xf32>
  // CHECK-COUNT-2: vector.store
  tile.store %0, %y[%begin, %c0] : vector<32xf32>, memref<4x32xf32>
  tile.store %1, %y[%begin, %c0] : vector<16xf32>, memref<4x32xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// A mask where lanes may be missing, none where they cannot be.
// CHECK-LABEL: func.func @masks
func.func @masks(%x: memref<70xi8>, %y: memref<70xi8>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %c20 = arith.constant 20 : index
  %pad = arith.constant 3 : i8
  // CHECK: vector.load %{{.*}}[%c0] : memref<70xi8>, vector<16xi8>
  // CHECK: vector.maskedload %{{.*}}[%c16], %{{.*}}, %{{.*}} : memref<70xi8>, vector<16xi1>, vector<16xi8>
  // CHECK-NOT: memref<70xi8>
  %0 = tile.load %x[%c0] valid %c20 pad %pad : i8 : memref<70xi8> -> vector<48xi8>
  // CHECK: %[[COUNT:.*]] = arith.index_cast %{{.*}} : index to i32
  // CHECK: %[[ALL:.*]] = vector.broadcast %[[COUNT]] : i32 to vector<16xi32>
  // CHECK: %[[MASK:.*]] = arith.cmpi sgt, %[[ALL]], %{{.*}} : vector<16xi32>
  // CHECK: vector.maskedstore %{{.*}}[%c0], %[[MASK]], %{{.*}} : memref<70xi8>, vector<16xi1>, vector<16xi8>
  // CHECK-COUNT-2: vector.maskedstore
  tile.store %0, %y[%c0] valid %end : vector<48xi8>, memref<70xi8>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Lanes a few elements apart are picked from vectors that end with the last of them, and spread over
// such by masks; where lanes are missing, masks keep within the buffer. Further apart they are gathered.
// CHECK-LABEL: func.func @spread
// CHECK-SAME: %[[X:.*]]: memref<91xf32>
func.func @spread(%x: memref<16x16xf32, strided<[3, 3]>>, %y: memref<31xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %c6 = arith.constant 6 : index
  // CHECK: vector.load %[[X]][%c0] : memref<91xf32>, vector<16xf32>
  // CHECK: vector.load %[[X]][%c16] : memref<91xf32>, vector<16xf32>
  // CHECK: vector.shuffle
  // CHECK: vector.load %[[X]][%c30] : memref<91xf32>, vector<16xf32>
  // CHECK: vector.shuffle
  // CHECK-NOT: gather
  // CHECK-NOT: scatter
  %0 = tile.load %x[%c0, %c0] : memref<16x16xf32, strided<[3, 3]>> -> vector<16xf32>
  // CHECK-COUNT-2: vector.maskedstore
  %pairs = memref.reinterpret_cast %y to offset: [0], sizes: [16], strides: [2] : memref<31xf32> to memref<16xf32, strided<[2]>>
  tile.store %0, %pairs[%c0] : vector<16xf32>, memref<16xf32, strided<[2]>>
  // CHECK: vector.load %[[X]][%c0] : memref<91xf32>, vector<16xf32>
  // CHECK-NOT: vector.maskedload
  // CHECK: vector.store
  %1 = tile.load %x[%c0, %c0] valid %c6 : memref<16x16xf32, strided<[3, 3]>> -> vector<16xf32>
  tile.store %1, %y[%c0] : vector<16xf32>, memref<31xf32>
  // CHECK: arith.andi %{{.*}}, %{{.*}} : vector<16xi1>
  // CHECK: vector.maskedstore
  // CHECK: vector.maskedstore
  tile.store %0, %pairs[%c0] valid %end : vector<16xf32>, memref<16xf32, strided<[2]>>
  // CHECK: vector.gather
  %far = memref.reinterpret_cast %y to offset: [0], sizes: [4], strides: [9] : memref<31xf32> to memref<4xf32, strided<[9]>>
  %2 = tile.load %far[%c0] : memref<4xf32, strided<[9]>> -> vector<4xf32>
  tile.store %2, %y[%c0] : vector<4xf32>, memref<31xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Backwards: the flat buffer begins below the first element.
// CHECK-LABEL: func.func @reversed
// CHECK-SAME: memref<29xf32> {llvm.readonly, target.low = -28 : i64}
func.func @reversed(%x: memref<8xf32, strided<[-4], offset: 28>>, %y: memref<8xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  // CHECK: arith.muli %{{.*}}, %c-4 overflow<nsw>
  // CHECK: arith.addi %{{.*}}, %c28 overflow<nsw>
  %0 = memref.load %x[%begin] : memref<8xf32, strided<[-4], offset: 28>>
  memref.store %0, %y[%begin] : memref<8xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Views disappear into addresses; scratch and an in-place output.
// CHECK-LABEL: func.func @views
// CHECK-SAME: %{{.*}}: memref<64xf32>, %[[S:.*]]: memref<?xi8> {llvm.noalias}
func.func @views(%y: memref<8x8xf32> {tile.inplace}, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c64 = arith.constant 64 : index
  // CHECK: %[[V:.*]] = memref.view %[[S]][%c64][] : memref<?xi8> to memref<160xf32>
  %v = memref.view %s[%c64][] : memref<?xi8> to memref<4x40xf32>
  %sub = memref.subview %v[1, 8] [2, 24] [1, 1] : memref<4x40xf32> to memref<2x24xf32, strided<[40, 1], offset: 48>>
  // CHECK-NOT: memref.subview
  // CHECK: memref.load %[[V]][%{{.*}}] : memref<160xf32>
  %0 = memref.load %sub[%begin, %end] : memref<2x24xf32, strided<[40, 1], offset: 48>>
  memref.store %0, %sub[%end, %begin] : memref<2x24xf32, strided<[40, 1], offset: 48>>
  memref.store %0, %y[%begin, %end] : memref<8x8xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Past the caches, in registers; there are no such stores of less than 16 bytes.
// CHECK-LABEL: func.func @streams
// CHECK-COUNT-2: vector.store {{.*}} {alignment = 64 : i64, nontemporal = true}
// CHECK:         vector.store {{.*}} : memref<64xi8>, vector<8xi8>
// AVX2-LABEL: func.func @streams
// AVX2-COUNT-4: vector.store {{.*}} {alignment = 32 : i64, nontemporal = true}
func.func @streams(%y: memref<64xf32>, %z: memref<64xi8>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %c0 = arith.constant 0 : index
  %0 = arith.constant dense<1.0> : vector<32xf32>
  %1 = arith.constant dense<1> : vector<8xi8>
  tile.store %0, %y[%c0] {nontemporal} : vector<32xf32>, memref<64xf32>
  tile.store %1, %z[%c0] {nontemporal} : vector<8xi8>, memref<64xi8>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// Sizes of code that serves several sizes stay apart from other constants.
// CHECK-LABEL: func.func @sizes
// CHECK: target.size 7
func.func @sizes(%y: memref<64xf32>, %s: memref<?xi8>, %begin: index, %end: index) -> i32 {
  %size = tile.size 7
  %0 = arith.constant 1.0 : f32
  memref.store %0, %y[%size] : memref<64xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}

// A view may begin where a loop that carries vectors is: the loop is made anew, with other arguments.
// CHECK-LABEL: func.func @view_in_a_loop
// CHECK: scf.for %[[K:.*]] = %{{.*}} iter_args(%{{.*}}, %{{.*}}) -> (vector<16xf32>, vector<16xf32>)
// CHECK: %[[AT:.*]] = arith.addi %[[K]], %{{.*}} : index
// CHECK: vector.load %{{.*}}[%[[AT]]]
func.func @view_in_a_loop(%x: memref<64xf32>, %y: memref<32xf32>) -> i32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %zero = arith.constant dense<0.0> : vector<32xf32>
  %sum = scf.for %k = %c0 to %c4 step %c1 iter_args(%carried = %zero) -> vector<32xf32> {
    %from = memref.reinterpret_cast %x to offset: [%k], sizes: [32], strides: [1] : memref<64xf32> to memref<32xf32, strided<[1], offset: ?>>
    %v = tile.load %from[%c0] : memref<32xf32, strided<[1], offset: ?>> -> vector<32xf32>
    %next = arith.addf %carried, %v : vector<32xf32>
    scf.yield %next : vector<32xf32>
  }
  tile.store %sum, %y[%c0] : vector<32xf32>, memref<32xf32>
  %ok = arith.constant 0 : i32
  return %ok : i32
}
