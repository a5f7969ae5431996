//===- TileOps.td - tile loads, products, packing, functions --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_TILE_OPS
#define TESSERA_TILE_OPS

include "TileDialect.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Tile_Op<string mnemonic, list<Trait> traits = []> : Op<Tile_Dialect, mnemonic, traits>;

def Tile_Vector1D : VectorOfRankAndType<[1], [AnyFloat, AnySignlessInteger, Index]>;
def Tile_Vector2D : VectorOfRankAndType<[2], [AnyFloat, AnySignlessInteger]>;

def Tile_LoadOp : Tile_Op<"load", [AttrSizedOperandSegments]> {
  let summary = "lanes along one dimension of a buffer";
  let description = [{
    Lane l is element (indices with `indices[dim] + l`); `dim` defaults to the last dimension. With `valid`
    only the first `valid` lanes are read and the rest are `pad` (zero when absent). The dimension's stride
    decides the instruction: 1 a vector load, 0 a broadcast, else a gather.

    ```mlir
    %v = tile.load %m[%i, %j] valid %n : memref<8x70xf32> -> vector<64xf32>
    ```
  }];
  let arguments = (ins Arg<AnyMemRef, "", [MemRead]>:$base, Variadic<Index>:$indices, Optional<Index>:$valid,
                       Optional<AnyType>:$pad, OptionalAttr<I64Attr>:$dim);
  let results = (outs Tile_Vector1D:$result);
  let assemblyFormat = [{
    $base `[` $indices `]` (`valid` $valid^)? (`pad` $pad^ `:` type($pad))? attr-dict `:` type($base) `->` type($result)
  }];
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$base, "::mlir::ValueRange":$indices,
                                 CArg<"::mlir::Value", "{}">:$valid, CArg<"::mlir::Value", "{}">:$pad)>];
}

def Tile_StoreOp : Tile_Op<"store", [AttrSizedOperandSegments]> {
  let summary = "lanes to one dimension of a buffer; see tile.load";
  let description = [{
    With `valid` only the first `valid` lanes are written. Along a dimension of stride 0 the lanes would all
    go to one place: that is refused. `nontemporal` lanes go past the caches: the address is then a multiple
    of the vector's size, or of a cache line where that is smaller.

    ```mlir
    tile.store %v, %m[%i, %j] valid %n : vector<64xf32>, memref<8x70xf32>
    ```
  }];
  let arguments = (ins Tile_Vector1D:$value, Arg<AnyMemRef, "", [MemWrite]>:$base, Variadic<Index>:$indices,
                       Optional<Index>:$valid, OptionalAttr<I64Attr>:$dim, UnitAttr:$nontemporal);
  let assemblyFormat = "$value `,` $base `[` $indices `]` (`valid` $valid^)? attr-dict `:` type($value) `,` type($base)";
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$value, "::mlir::Value":$base, "::mlir::ValueRange":$indices,
                                 CArg<"::mlir::Value", "{}">:$valid)>];
}

def Tile_SizeOp : Tile_Op<"size", [Pure]> {
  let summary = "a size of this kernel that is another in others of the same code";
  let description = [{
    A constant that nothing folds: what depends on it stays code, the same for every value, so that kernels
    which differ in their sizes differ in numbers only.

    ```mlir
    %rows = tile.size 100
    ```
  }];
  let arguments = (ins I64Attr:$value);
  let results = (outs Index:$result);
  let assemblyFormat = "$value attr-dict";
}

def Tile_MmaOp : Tile_Op<"mma", [AttrSizedOperandSegments, AllTypesMatch<["acc", "result"]>]> {
  let summary = "product of an MRxK strip of A and a KxNR panel of B, added to register accumulators";
  let description = [{
    result[i][j] = acc[i][j] + Σ_{k < depth} A[aIndices + (i, k)] · B[bIndices + (k, j)].
    A's last two indices are row and depth (any strides); B's last two are depth and lane, and its lanes are
    contiguous. Accumulation is in the accumulators' type: f32 for f32, bf16 and f16 operands.
    Integers wrap. With `pairs` both are bf16 and have one dimension more, the last: two steps of depth side by
    side. A's last three are row, pair and 2, B's are pair, lane and 2; `depth` still counts single steps, and
    of an odd one A's second half is not read. That is for machines with a product of pairs, which takes
    denormals for zero. `unroll` is the schedule's unroll of the depth loop (any depth is right: the rest runs
    step by step). With `prefetch`, the `depth · prefetchStep` elements of B's storage that begin at
    `prefetchIndices` are fetched into the cache level `locality` (3: L1, 2: L2, 1: L3), spread evenly over
    the depth loop. Fetching past the end of the storage is harmless.

    ```mlir
    %r = tile.mma %acc, %a[%row, %c0], %b[%panel, %c0, %c0] depth %k {unroll = 4 : i64}
        : vector<8x32xf32>, memref<1024x512xf32>, memref<16x512x32xf32>
    ```
  }];
  let arguments = (ins Tile_Vector2D:$acc, Arg<AnyMemRef, "", [MemRead]>:$a, Variadic<Index>:$aIndices,
                       Arg<AnyMemRef, "", [MemRead]>:$b, Variadic<Index>:$bIndices, Index:$depth,
                       Variadic<Index>:$prefetchIndices, DefaultValuedAttr<I64Attr, "1">:$unroll,
                       DefaultValuedAttr<I64Attr, "16">:$prefetchStep, DefaultValuedAttr<I64Attr, "2">:$locality,
                       UnitAttr:$pairs);
  let results = (outs Tile_Vector2D:$result);
  let assemblyFormat = [{
    $acc `,` $a `[` $aIndices `]` `,` $b `[` $bIndices `]` `depth` $depth (`prefetch` `[` $prefetchIndices^ `]`)?
    attr-dict `:` type($acc) `,` type($a) `,` type($b)
  }];
  let hasVerifier = 1;
}

def Tile_PackOp : Tile_Op<"pack", [AttrSizedOperandSegments]> {
  let summary = "one KxNR column panel of a matrix, zero filled";
  let description = [{
    dst[dstIndices + (k, j)] = src[srcIndices + (k, j)] for k < depth, j < valid, and 0 for valid <= j < NR,
    where the last two indices of both are (depth, column) and NR is dst's last size. Where the source's
    contiguous dimension is the depth, the target transposes in registers. With `pairs` dst's last three are
    (pair of depths, column, 2), as tile.mma reads them: bf16, of a source of bf16 or f32; past an odd depth is 0.

    ```mlir
    tile.pack %w[%c0, %col], %p[%panel, %c0, %c0] depth %k valid %n : memref<512x70xf32>, memref<3x512x32xf32>
    ```
  }];
  let arguments = (ins Arg<AnyMemRef, "", [MemRead]>:$src, Variadic<Index>:$srcIndices,
                       Arg<AnyMemRef, "", [MemWrite]>:$dst, Variadic<Index>:$dstIndices,
                       Index:$depth, Index:$valid, UnitAttr:$pairs);
  let assemblyFormat = [{
    $src `[` $srcIndices `]` `,` $dst `[` $dstIndices `]` `depth` $depth `valid` $valid attr-dict `:` type($src) `,` type($dst)
  }];
  let hasVerifier = 1;
}

def Tile_RoundFactorsOp : Tile_Op<"round_factors", [Pure, AllShapesMatch<["x", "result"]>]> {
  let summary = "f32 to bf16, half to even, for products of pairs";
  let description = [{
    Denormals may become zero, which those products take them for; arith.truncf keeps them, and costs eight times
    as much.

    ```mlir
    %y = tile.round_factors %x : vector<64xf32> -> vector<64xbf16>
    ```
  }];
  let arguments = (ins VectorOfRankAndType<[1], [F32]>:$x);
  let results = (outs VectorOfRankAndType<[1], [BF16]>:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
}

def Tile_CallLibraryOp : Tile_Op<"call_library", [AttrSizedOperandSegments]> {
  let summary = "a function of the runtime's library (runtime/abi/Library.h) on whole buffers";
  let description = [{
    Calls the C function `callee` for the units [begin, end). `types` are the element types of the inputs,
    then of the outputs: a buffer of i8 may hold bool, ui8 or i8. Sizes and strides are those of the buffers.
    The result is a status, 0 for success: the kernel returns it.

    ```mlir
    %status = tile.call_library "tessera_sort"(%x) into(%v, %i) scratch(%s : memref<8192xi8>)
        units %begin to %end types [f32, f32, i64] parameters [1, 0]
        : (memref<8x512xf32>) -> (memref<8x512xf32>, memref<8x512xi64>)
    ```
  }];
  let arguments = (ins StrAttr:$callee, Arg<Variadic<AnyMemRef>, "", [MemRead]>:$inputs,
                       Arg<Variadic<AnyMemRef>, "", [MemRead, MemWrite]>:$outputs,
                       Arg<Optional<AnyMemRef>, "", [MemRead, MemWrite]>:$scratch, Index:$begin, Index:$end,
                       TypeArrayAttr:$types, DenseI64ArrayAttr:$parameters);
  let results = (outs I32:$status);
  let assemblyFormat = [{
    $callee `(` $inputs `)` `into` `(` $outputs `)` (`scratch` `(` $scratch^ `:` type($scratch) `)`)?
    `units` $begin `to` $end `types` $types `parameters` $parameters attr-dict
    `:` functional-type($inputs, $outputs)
  }];
  let hasVerifier = 1;
}

def Tile_Function : AnyTypeOf<[F32, F64, VectorOfRankAndType<[1, 2], [F32, F64]>]>;

class Tile_FunctionOp<string mnemonic, string what> : Tile_Op<mnemonic, [Pure, SameOperandsAndResultType]> {
  let summary = what;
  let description = [{
    `accuracy` is the largest relative error the target may make (absolute below 1), in units of the element
    type's epsilon. Special values (NaN, infinities, zeros) follow the C library. The element type is f32 or
    f64: f16 and bf16 are computed in f32.

    ```mlir
    %y = tile.exp %x {accuracy = 2.0} : vector<64xf32>
    ```
  }];
  let arguments = (ins Tile_Function:$x,
                       DefaultValuedAttr<F64Attr, "4.0">:$accuracy);
  let results = (outs Tile_Function:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def Tile_ExpOp : Tile_FunctionOp<"exp", "e to the x">;
def Tile_Exp2Op : Tile_FunctionOp<"exp2", "2 to the x">;
def Tile_ErfOp : Tile_FunctionOp<"erf", "the error function">;
def Tile_TanhOp : Tile_FunctionOp<"tanh", "the hyperbolic tangent">;
// Their accuracy is relative to x.
def Tile_GeluOp : Tile_FunctionOp<"gelu", "x times the normal distribution function of x">;
def Tile_GeluTanhOp : Tile_FunctionOp<"gelu_tanh", "x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2">;

def Tile_SpecialOp : Tile_Op<"special", [Pure, SameOperandsAndResultType]> {
  let summary = "a function of runtime/abi/Mathematics.h, lane by lane";
  let description = [{
    ```mlir
    %z = tile.special "zeta"(%x, %y) : vector<16xf32>
    ```
  }];
  let arguments = (ins StrAttr:$function, Variadic<Tile_Function>:$operands);
  let results = (outs Tile_Function:$result);
  let assemblyFormat = "$function `(` $operands `)` attr-dict `:` type($result)";
}

#endif // TESSERA_TILE_OPS
