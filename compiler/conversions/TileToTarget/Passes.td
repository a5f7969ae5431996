//===- Passes.td - from Tile IR to Target IR ------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_TILETOTARGET_PASSES
#define TESSERA_TILETOTARGET_PASSES

include "mlir/Pass/PassBase.td"

def TileToTarget : Pass<"tessera-tile-to-target", "::mlir::ModuleOp"> {
  let summary = "give kernels machine vectors, flat buffers and machine functions";
  let description = [{
    The machine is the module's `target.machine`, or made from the options when it has none. Afterwards:

    - vectors have one dimension and at most the machine's lanes (16 for 512 bits, 8 for 256, whatever the
      element type);
    - every buffer is a flat `memref<NxT>`: indices are arithmetic on the strides of the tile level. A buffer
      argument stands for the address of its first element, so the offset of its layout is dropped; where
      strides are negative, `target.low` on the argument says how many elements below the first the flat
      buffer begins;
    - arguments nothing writes are `llvm.readonly`, written ones `llvm.noalias` unless marked `tile.inplace`;
    - tile.mma is a loop over the depth with one register an accumulator, tile.pack transposes in registers,
      tile.exp, exp2, erf, tanh and gelu are polynomials, other functions calls of libmvec or libm.

    Before:
    ```mlir
    func.func @k(%x: memref<4x32xf32, strided<[40, 1]>>, %y: memref<4x32xf32>, %s: memref<?xi8>,
                 %begin: index, %end: index) -> i32 {
      %0 = tile.load %x[%i, %c0] : memref<4x32xf32, strided<[40, 1]>> -> vector<32xf32>
    ```
    After, on a machine with 512 bits:
    ```mlir
    func.func @k(%x: memref<152xf32> {llvm.readonly}, %y: memref<128xf32> {llvm.noalias}, …
      %1 = arith.muli %i, %c40 overflow<nsw> : index
      %2 = vector.load %x[%1] : memref<152xf32>, vector<16xf32>
      %3 = arith.addi %1, %c16 overflow<nsw> : index
      %4 = vector.load %x[%3] : memref<152xf32>, vector<16xf32>
    ```
  }];
  let options = [
    Option<"cpu", "cpu", "std::string", "\"x86-64-v4\"", "LLVM's name of the processor">,
    Option<"features", "features", "std::string", "\"\"", "LLVM's feature string">,
    Option<"vectorBits", "vector-bits", "int64_t", "512", "width of a machine vector: 512 or 256">,
    Option<"mathLibrary", "math-library", "std::string", "\"libmvec-2.35\"", "vector functions">
  ];
  let dependentDialects = [
    "::tessera::target::TargetDialect", "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
    "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::ub::UBDialect", "::mlir::vector::VectorDialect", "::mlir::x86vector::X86VectorDialect"
  ];
}

#endif // TESSERA_TILETOTARGET_PASSES
