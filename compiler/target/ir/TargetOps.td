//===- TargetOps.td - machines, library calls, the host program -----------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_TARGET_OPS
#define TESSERA_TARGET_OPS

include "TargetDialect.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Attributes and types
//===----------------------------------------------------------------------===//

def Target_MachineAttr : AttrDef<Target_Dialect, "Machine"> {
  let mnemonic = "machine";
  let summary = "the machine a kernel module is made for";
  let description = [{
    `cpu` and `features` are LLVM's names; `vectorBits` is the width of a machine vector (512 or 256);
    `mathLibrary` says which vector functions the loader will find: "libmvec-2.35", "libmvec-2.22", "none".

    ```mlir
    #target.machine<cpu = "x86-64-v3", features = "", vectorBits = 256, mathLibrary = "none">
    ```
  }];
  let parameters = (ins StringRefParameter<>:$cpu, StringRefParameter<>:$features,
                        "int64_t":$vectorBits, StringRefParameter<>:$mathLibrary);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Lanes of a machine vector of 32-bit elements. Vectors of other element types have as many lanes,
    /// so that a conversion never changes the number of vectors.
    int64_t getLanes() const { return getVectorBits() / 32; }
    /// Machine vector registers.
    int64_t getRegisters() const { return getVectorBits() == 512 ? 32 : 16; }
    /// The attribute's name on a module.
    static ::llvm::StringRef getModuleAttrName() { return "target.machine"; }
    /// Whether there is a product of pairs of bf16, added up in f32.
    bool hasBF16Dot() const { return getVectorBits() == 512 && getFeatures().contains("+avx512bf16"); }
  }];
}

def Target_StorageKind : I32EnumAttr<"StorageKind", "who owns a block of memory, beside inputs, parameters and constants", [
  I32EnumAttrCase<"Prepared", 0, "prepared">,
  I32EnumAttrCase<"Arena", 1, "arena">,
  I32EnumAttrCase<"Output", 2, "output">,
  I32EnumAttrCase<"Heap", 3, "heap">,
  I32EnumAttrCase<"Island", 4, "island">
]> {
  let cppNamespace = "::tessera::target";
  let genSpecializedAttr = 0;
}
def Target_StorageKindAttr : EnumAttr<Target_Dialect, Target_StorageKind, "storage_kind">;

def Target_StorageType : TypeDef<Target_Dialect, "Storage"> {
  let mnemonic = "storage";
  let summary = "a block of memory the program addresses (runtime::StorageSpec)";
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

class Target_Op<string mnemonic, list<Trait> traits = []> : Op<Target_Dialect, mnemonic, traits>;

def Target_SizeOp : Target_Op<"size", [Pure]> {
  let summary = "tile.size, in a kernel on machine vectors";
  let arguments = (ins I64Attr:$value);
  let results = (outs Index:$result);
  let assemblyFormat = "$value attr-dict";
}

def Target_PairLanes : AnyTypeOf<[I32, VectorOfRankAndType<[1], [I32]>]>;

def Target_LoadPairsOp : Target_Op<"load_pairs"> {
  let summary = "pairs of neighbouring bf16, as many as there are lanes of i32; the even one is the low half";
  let description = [{
    ```mlir
    %v = target.load_pairs %m[%i] : memref<4096xbf16> -> vector<16xi32>
    ```
  }];
  let arguments = (ins Arg<MemRefRankOf<[BF16], [1]>, "", [MemRead]>:$base, Index:$index);
  let results = (outs Target_PairLanes:$result);
  let assemblyFormat = "$base `[` $index `]` attr-dict `:` type($base) `->` type($result)";
}

def Target_StorePairsOp : Target_Op<"store_pairs"> {
  let summary = "the opposite of target.load_pairs";
  let arguments = (ins Target_PairLanes:$value, Arg<MemRefRankOf<[BF16], [1]>, "", [MemWrite]>:$base,
                       Index:$index);
  let assemblyFormat = "$value `,` $base `[` $index `]` attr-dict `:` type($value) `,` type($base)";
}

def Target_DotPairsOp : Target_Op<"dot_pairs", [Pure, AllTypesMatch<["acc", "result"]>, AllTypesMatch<["a", "b"]>]> {
  let summary = "acc + the products of both halves of each lane, in f32: vdpbf16ps";
  let description = [{
    The machine takes denormals, of operands and of sums, for zero, and rounds to nearest even whatever its
    control register says.

    ```mlir
    %r = target.dot_pairs %acc, %a, %b : vector<16xf32>, vector<16xi32>
    ```
  }];
  let arguments = (ins VectorOfLengthAndType<[4, 8, 16], [F32]>:$acc, VectorOfLengthAndType<[4, 8, 16], [I32]>:$a,
                       VectorOfLengthAndType<[4, 8, 16], [I32]>:$b);
  let results = (outs VectorOfLengthAndType<[4, 8, 16], [F32]>:$result);
  let assemblyFormat = "$acc `,` $a `,` $b attr-dict `:` type($acc) `,` type($a)";
}

def Target_RoundFactorsOp : Target_Op<"round_factors", [Pure, AllShapesMatch<["x", "result"]>]> {
  let summary = "f32 to bf16, half to even, denormals to zero: vcvtneps2bf16";
  let description = [{
    ```mlir
    %y = target.round_factors %x : vector<16xf32> -> vector<16xbf16>
    ```
  }];
  let arguments = (ins VectorOfLengthAndType<[4, 8, 16], [F32]>:$x);
  let results = (outs VectorOfLengthAndType<[4, 8, 16], [BF16]>:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($result)";
}

def Target_CallMathOp : Target_Op<"call_math", [Pure]> {
  let summary = "a pure function of libm or libmvec";
  let description = [{
    `callee` is the C symbol. Vector functions take and return one machine vector of the symbol's lanes.

    ```mlir
    %y = target.call_math "_ZGVeN16v_sinf"(%x) : (vector<16xf32>) -> vector<16xf32>
    ```
  }];
  let arguments = (ins StrAttr:$callee, Variadic<AnyType>:$operands);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$callee `(` $operands `)` attr-dict `:` functional-type($operands, $result)";
  let hasVerifier = 1;
}

def Target_CallLibraryOp : Target_Op<"call_library", [AttrSizedOperandSegments]> {
  let summary = "a function of the runtime's library (runtime/abi/Library.h)";
  let description = [{
    Each buffer begins at the element its offset names; the input buffers come before the outputs.
    `description` holds what the function is told of them, and its parameters.

    ```mlir
    %status = target.call_library "tessera_sort"(%x, %v, %i at %c0, %c0, %c0) scratch(%s : memref<8192xi8>)
        units %begin to %end description [3, 8, 1, 64, 1, 8, 1, 64, 1, 5, 1, 64, 1, 0, 0]
        : memref<64xf32>, memref<64xf32>, memref<64xi64>
    ```
  }];
  let arguments = (ins StrAttr:$callee, Arg<Variadic<AnyMemRef>, "", [MemRead, MemWrite]>:$buffers,
                       Variadic<Index>:$offsets, Arg<Optional<AnyMemRef>, "", [MemRead, MemWrite]>:$scratch,
                       Index:$begin, Index:$end, DenseI64ArrayAttr:$description);
  let results = (outs I32:$status);
  let assemblyFormat = [{
    $callee `(` $buffers `at` $offsets `)` (`scratch` `(` $scratch^ `:` type($scratch) `)`)?
    `units` $begin `to` $end `description` $description attr-dict `:` type($buffers)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// The host program
//===----------------------------------------------------------------------===//

def Target_ProgramOp : Target_Op<"program", [Symbol, SymbolTable, IsolatedFromAbove, NoTerminator, SingleBlock]> {
  let summary = "what the runtime executes (runtime::Program)";
  let description = [{
    The body declares memory and values, then kernels, then `target.prepare` and `target.main`, and ends in
    `target.outputs`. Storages are numbered in order; inputs, parameters, constants and outputs each in the
    order of their own kind.

    ```mlir
    target.program @main arena 256 {
      %x = target.input "x" : tensor<2x8xf32>
      %s = target.storage output offset 0 bytes 64
      %v = target.value %x offset 0 strides [8, 1] : tensor<2x8xf32>
      %y = target.value %s offset 0 strides [8, 1] : tensor<2x8xf32>
      target.kernel @k0 units 2 grain 1 scratch 0
      target.prepare {
      }
      target.main {
        target.launch @k0(%v) into(%y) : (tensor<2x8xf32>) -> tensor<2x8xf32>
      }
      target.outputs %y : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$arenaBytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `arena` $arenaBytes attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    PrepareOp getPrepare();
    MainOp getMain();
    OutputsOp getOutputs();
  }];
}

class Target_ProgramPart<string mnemonic, list<Trait> traits = []>
    : Target_Op<mnemonic, !listconcat([HasParent<"ProgramOp">], traits)>;

def Target_InputOp : Target_ProgramPart<"input"> {
  let summary = "memory of the next input, contiguous";
  let arguments = (ins StrAttr:$name, TypeAttrOf<AnyRankedTensor>:$type);
  let results = (outs Target_StorageType:$storage);
  let assemblyFormat = "$name attr-dict `:` $type";
}

def Target_ParameterOp : Target_ProgramPart<"parameter"> {
  let summary = "memory of the next parameter, contiguous, by its qualified name";
  let description = "`prepared`: the prepare list reads it, so its change means: prepare again.";
  let arguments = (ins StrAttr:$name, TypeAttrOf<AnyRankedTensor>:$type, UnitAttr:$prepared);
  let results = (outs Target_StorageType:$storage);
  let assemblyFormat = "(`prepared` $prepared^)? $name attr-dict `:` $type";
}

def Target_ConstantOp : Target_ProgramPart<"constant"> {
  let summary = "memory of the next constant, contiguous";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Target_StorageType:$storage);
  let assemblyFormat = "$value attr-dict";
}

def Target_StorageOp : Target_ProgramPart<"storage"> {
  let summary = "memory the program owns or hands out";
  let description = "`offset` is bytes into the arena of one call (0 elsewhere).";
  let arguments = (ins Target_StorageKindAttr:$kind, I64Attr:$offset, I64Attr:$bytes);
  let results = (outs Target_StorageType:$storage);
  let assemblyFormat = "`` $kind `offset` $offset `bytes` $bytes attr-dict";
}

def Target_ValueOp : Target_ProgramPart<"value"> {
  let summary = "a strided view of a storage (runtime::ValueSpec)";
  let description = "`offset` is bytes; `strides` are elements; the result's type gives dtype and sizes.";
  let arguments = (ins Target_StorageType:$storage, I64Attr:$offset, DenseI64ArrayAttr:$strides);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$storage `offset` $offset `strides` $strides attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Target_KernelOp : Target_ProgramPart<"kernel", [Symbol]> {
  let summary = "a compiled kernel (runtime::KernelSpec); `sym_name` is its entry";
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$units, I64Attr:$grain, I64Attr:$scratch,
                       DefaultValuedAttr<F64Attr, "0.0">:$flops, DefaultValuedAttr<F64Attr, "0.0">:$bytes);
  let assemblyFormat = "$sym_name `units` $units `grain` $grain `scratch` $scratch attr-dict";
  let hasVerifier = 1;
}

class Target_ListOp<string mnemonic, string what> : Target_ProgramPart<mnemonic, [NoTerminator, SingleBlock]> {
  let summary = what;
  let regions = (region MaxSizedRegion<1>:$body);
  let assemblyFormat = "attr-dict-with-keyword $body";
}
def Target_PrepareOp : Target_ListOp<"prepare", "launches that depend on parameters only">;
def Target_MainOp : Target_ListOp<"main", "what one call runs, in order">;

def Target_LaunchOp : Target_Op<"launch", [AttrSizedOperandSegments, ParentOneOf<["PrepareOp", "MainOp"]>,
                                           DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs a kernel; its location names the user's code";
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyRankedTensor>:$inputs,
                       Variadic<AnyRankedTensor>:$outputs);
  let assemblyFormat = [{
    $kernel `(` $inputs `)` `into` `(` $outputs `)` attr-dict `:` functional-type($inputs, $outputs)
  }];
}

def Target_IslandOp : Target_Op<"island", [AttrSizedOperandSegments, ParentOneOf<["PrepareOp", "MainOp"]>]> {
  let summary = "a call into the host framework; `id` names the callable";
  let arguments = (ins I64Attr:$id, StrAttr:$reason, Variadic<AnyRankedTensor>:$inputs,
                       Variadic<AnyRankedTensor>:$outputs);
  let assemblyFormat = [{
    $id $reason `(` $inputs `)` `into` `(` $outputs `)` attr-dict `:` functional-type($inputs, $outputs)
  }];
}

def Target_OutputsOp : Target_ProgramPart<"outputs"> {
  let summary = "what the program returns; may alias inputs, parameters or each other";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

#endif // TESSERA_TARGET_OPS
