//===- TileDialect.td - level 3: how one kernel walks its data ------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_TILE_DIALECT
#define TESSERA_TILE_DIALECT

include "mlir/IR/OpBase.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let cppNamespace = "::tessera::tile";
  let summary = "loops over tiles with explicit buffers, neutral of the machine";
  let description = [{
    Adds to scf, arith, math, memref and vector only what they lack: loads and stores along any dimension
    with a number of valid lanes, the register-tile product, panel packing, and functions with a stated
    accuracy.
  }];
}

#endif // TESSERA_TILE_DIALECT
