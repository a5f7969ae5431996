//===- ScheduleAttrs.td - the chosen points -------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_SCHEDULE_ATTRS
#define TESSERA_SCHEDULE_ATTRS

include "ScheduleDialect.td"

def Schedule_KernelKind : I32EnumAttr<"KernelKind", "class of a kernel: which code generator it goes to", [
  I32EnumAttrCase<"Contraction", 0, "contraction">,
  I32EnumAttrCase<"Attention", 1, "attention">,
  I32EnumAttrCase<"Rows", 2, "rows">,
  I32EnumAttrCase<"Elementwise", 3, "elementwise">,
  I32EnumAttrCase<"Indexing", 4, "indexing">,
  I32EnumAttrCase<"Pack", 5, "pack">,
  I32EnumAttrCase<"Library", 6, "library">,
  I32EnumAttrCase<"Depthwise", 7, "depthwise">,
  I32EnumAttrCase<"Convolution", 8, "convolution">
]> {
  let cppNamespace = "::tessera::schedule";
  let genSpecializedAttr = 0;
}
def Schedule_KernelKindAttr : EnumAttr<Schedule_Dialect, Schedule_KernelKind, "kind">;

def Schedule_PlacementKind : I32EnumAttr<"PlacementKind", "where a tensor lives", [
  I32EnumAttrCase<"Arena", 0, "arena">,
  I32EnumAttrCase<"Output", 1, "output">,
  I32EnumAttrCase<"Prepared", 2, "prepared">,
  I32EnumAttrCase<"Heap", 3, "heap">
]> {
  let cppNamespace = "::tessera::schedule";
  let genSpecializedAttr = 0;
}

def Schedule_ConvolutionAlgorithm : I32EnumAttr<"ConvolutionAlgorithm", "how a convolution multiplies", [
  I32EnumAttrCase<"Direct", 0, "direct">,
  I32EnumAttrCase<"Winograd", 1, "winograd">
]> {
  let cppNamespace = "::tessera::schedule";
  let genSpecializedAttr = 0;
}

class Schedule_Attr<string name, string mnem> : AttrDef<Schedule_Dialect, name> {
  let mnemonic = mnem;
}

def Schedule_PlacementAttr : Schedule_Attr<"Placement", "placement"> {
  let summary = "storage of one kernel result; `offset` is bytes into the arena";
  let parameters = (ins EnumParameter<Schedule_PlacementKind>:$kind, "int64_t":$offset);
  let assemblyFormat = "`<` $kind `,` $offset `>`";
}

def Schedule_ContractionAttr : Schedule_Attr<"Contraction", "contraction"> {
  let summary = "how a contraction walks its operands";
  let description = [{
    `mr`x`nr` is the register tile; `kc` the depth of one pass over K; `mc` the rows of A per block (one
    parallel unit is one block of `mc` rows, or, when `nSplit` > 0, a block of `nSplit` column panels of it);
    `packA` copies a block of A to scratch with a padded row stride; `unroll` unrolls the depth loop;
    `prefetchB` is how many lines ahead the next panel of B is fetched (0: not). With `anyRows` the code has
    the number of rows in numbers only: the last strip of a block covers rows of the one before again in place
    of having its own height, so that one piece of code serves every number of rows from `mr` on. With `pairs`
    two steps of depth lie side by side in the panels, for a machine that multiplies pairs of bf16.
  }];
  let parameters = (ins "int64_t":$mr, "int64_t":$nr, "int64_t":$kc, "int64_t":$mc, "int64_t":$nSplit,
                        "bool":$packA, "int64_t":$unroll, "int64_t":$prefetchB,
                        DefaultValuedParameter<"bool", "false">:$anyRows,
                        DefaultValuedParameter<"bool", "false">:$pairs);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Schedule_ConvolutionAttr : Schedule_Attr<"Convolution", "convolution"> {
  let summary = "how a convolution walks its windows";
  let description = [{
    `direct` multiplies windows where they lie: a register tile is `mr` neighbouring outputs of a row by `nr`
    channels. `winograd`, F(2x2, 3x3), transforms blocks of tiles of 4x4 inputs to scratch, makes sixteen
    products of them, `mr` tiles by `nr` channels in registers, and transforms those to 2x2 outputs a tile.
    `block` is the rows of outputs (of tiles) a parallel unit has of all panels of channels, or, when
    `nSplit` > 0, of `nSplit` of them. `unroll`, `prefetchB` (0 or 1: the next panel) and `pairs`, here of
    channels, are those of `schedule.contraction`.
  }];
  let parameters = (ins EnumParameter<Schedule_ConvolutionAlgorithm>:$algorithm, "int64_t":$mr, "int64_t":$nr,
                        "int64_t":$block, "int64_t":$nSplit, "int64_t":$unroll, "int64_t":$prefetchB,
                        DefaultValuedParameter<"bool", "false">:$pairs);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Schedule_AttentionAttr : Schedule_Attr<"Attention", "attention"> {
  let summary = "flash attention: `br` query rows a block, `bc` keys a pass (the whole row where it fits L2)";
  let description = [{
    With `anySizes` the code has the numbers of queries and keys in numbers only; see `anyRows` of
    `schedule.contraction`. With `inPlace` keys and values are read where they lie, once: so few queries use
    them that packing them would cost more than it brings. `pairs` is that of `schedule.contraction`. With
    `stream` the keys and values that the kernel puts together are written past the caches.
  }];
  let parameters = (ins "int64_t":$br, "int64_t":$bc, "int64_t":$mr, "int64_t":$nr, "int64_t":$unroll,
                        DefaultValuedParameter<"bool", "false">:$anySizes,
                        DefaultValuedParameter<"bool", "false">:$inPlace,
                        DefaultValuedParameter<"bool", "false">:$pairs,
                        DefaultValuedParameter<"bool", "false">:$stream);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Schedule_DepthwiseAttr : Schedule_Attr<"Depthwise", "depthwise"> {
  let summary = "a convolution with few channels a group: `tw` outputs x `vectors` vectors of `lanes` channels in registers";
  let description = [{
    Channels are the outermost loop: what neighbouring windows share is then found in the first cache. One
    parallel unit is `rows` rows of the outputs of `vectors` vectors of channels.
  }];
  let parameters = (ins "int64_t":$lanes, "int64_t":$vectors, "int64_t":$tw, "int64_t":$rows);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Schedule_RowsAttr : Schedule_Attr<"Rows", "rows"> {
  let summary = "row kernels: vectors of `lanes` along the row, `grain` rows a unit";
  let description = [{
    `lanesAlongReduction` tells whether the lanes run along the reduced dimension (contiguous rows) or
    along a kept one (column reductions). `prefetchRow` fetches the next row while this one is computed.
    `stream` writes results past the caches: for those nobody reads before they would have left them.
  }];
  let parameters = (ins "int64_t":$lanes, "bool":$lanesAlongReduction, "int64_t":$grain, "bool":$prefetchRow,
                        DefaultValuedParameter<"bool", "false">:$stream);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Schedule_ElementwiseAttr : Schedule_Attr<"Elementwise", "elementwise"> {
  let summary = "one loop nest over index maps: vectors of `lanes`, about `grain` elements a unit";
  let description = [{ `stream` is that of `schedule.rows`. }];
  let parameters = (ins "int64_t":$lanes, "int64_t":$grain, DefaultValuedParameter<"bool", "false">:$stream);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Schedule_LibraryAttr : Schedule_Attr<"Library", "library"> {
  let summary = "a call of the runtime's library: about `grain` elements a unit";
  let parameters = (ins "int64_t":$grain);
  let assemblyFormat = "`<` struct(params) `>`";
}

#endif // TESSERA_SCHEDULE_ATTRS
