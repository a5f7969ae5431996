//===- ScheduleOps.td - kernels, views, packed operands -------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_SCHEDULE_OPS
#define TESSERA_SCHEDULE_OPS

include "ScheduleAttrs.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Schedule_Op<string mnemonic, list<Trait> traits = []> : Op<Schedule_Dialect, mnemonic, traits>;

def Schedule_KernelOp : Schedule_Op<"kernel", [IsolatedFromAbove, RecursiveMemoryEffects,
                                               SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "one launch: a fusion group and its schedule";
  let description = [{
    Inputs are contiguous roots or `schedule.view`s; the block arguments have the same types. The body holds
    graph ops (and `schedule.unpack`/`schedule.pack`) and yields one value a result. Results are
    contiguous, or have longer rows whose ends nobody writes; with `result_perms`, dimension d of result i is dimension
    `result_perms[i][d]` of the i-th yielded value, so that a kernel can store in the order its consumer reads.

    ```mlir
    %y = schedule.kernel elementwise(%a, %b) {point = #schedule.elementwise<lanes = 64, grain = 16384>}
        : (tensor<8x512xf32>, tensor<512xf32>) -> tensor<8x512xf32> {
    ^bb0(%x: tensor<8x512xf32>, %s: tensor<512xf32>):
      %0 = graph.add %x, %s : (tensor<8x512xf32>, tensor<512xf32>) -> tensor<8x512xf32>
      schedule.yield %0 : tensor<8x512xf32>
    }
    ```
  }];
  let arguments = (ins Schedule_KernelKindAttr:$kind, Variadic<AnyRankedTensor>:$inputs,
                       OptionalAttr<AnyAttr>:$point, OptionalAttr<DictionaryAttr>:$space,
                       UnitAttr:$prepare, OptionalAttr<ArrayAttr>:$placement, OptionalAttr<ArrayAttr>:$result_perms);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`` $kind `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs) $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    YieldOp getYield();
    /// Dimension d of result `i` is dimension `perm[d]` of what is yielded for it.
    ::llvm::SmallVector<int64_t> getResultPerm(unsigned i);
    /// Strides of input `i`: of the view it comes through, or contiguous ones.
    ::llvm::SmallVector<int64_t> getInputStrides(unsigned i);
  }];
}

def Schedule_LaunchOp : Schedule_Op<"launch"> {
  let summary = "a kernel that has become a function";
  let description = [{
    What `schedule.kernel` turns into once its body is a tile function: the call, its parallel range
    (`units` in all, `grain` at a time), the scratch a thread needs and the predicted work.
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<AnyRankedTensor>:$inputs, Schedule_KernelKindAttr:$kind,
                       I64Attr:$units, I64Attr:$grain, I64Attr:$scratch, F64Attr:$flops, F64Attr:$bytes,
                       UnitAttr:$prepare, OptionalAttr<ArrayAttr>:$placement);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let assemblyFormat = "`` $kind $callee `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs)";
}

def Schedule_YieldOp : Schedule_Op<"yield", [Pure, Terminator, HasParent<"KernelOp">]> {
  let summary = "the results of a kernel's body";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), "build($_builder, $_state, ::mlir::ValueRange());">];
}

def Schedule_ViewOp : Schedule_Op<"view", [Pure]> {
  let summary = "another layout of a root's storage";
  let description = [{
    Element (i0, i1, …) of the result is element `offset + Σ ik·strides[k]` of the source's contiguous
    storage. The source is a root: never another view.

    ```mlir
    %q = schedule.view %qkv offset 0 strides [1536, 64, 1] : tensor<1024x1536xf32> to tensor<1024x8x64xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, I64Attr:$offset, DenseI64ArrayAttr:$strides);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$source `offset` $offset `strides` $strides attr-dict `:` type($source) `to` type($result)";
  let hasVerifier = 1;
}

def Schedule_PackOp : Schedule_Op<"pack", [Pure]> {
  let summary = "column panels of a matrix: […, K, N] to […, ceil(N/nr), K, nr], zero filled";
  let description = [{
    To […, ceil(N/nr), ceil(K/2), nr, 2] it puts two steps of depth side by side, as bf16: a matrix of f32 is
    rounded.
  }];
  let arguments = (ins AnyRankedTensor:$source);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `to` type($result)";
  let hasVerifier = 1;
}

def Schedule_UnpackOp : Schedule_Op<"unpack", [Pure]> {
  let summary = "the matrix behind column panels: […, ceil(N/nr), K, nr] to […, K, N]; see schedule.pack";
  let arguments = (ins AnyRankedTensor:$source);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `to` type($result)";
  let hasVerifier = 1;
}

def Schedule_UnpackKernelsOp : Schedule_Op<"unpack_kernels", [Pure]> {
  let summary = "the weight of a convolution behind the column panels its algorithm reads";
  let description = [{
    `source` is [groups, ceil(O/groups / nr), kernel…·C/groups, nr] for `direct`, and the transformed kernels,
    [16, ceil(O / nr), C, nr], for `winograd`; the result is [O, C/groups, kernel…]. Of pairs there are half
    as many rows, and a dimension of 2 behind: see `schedule.pack`.
  }];
  let arguments = (ins AnyRankedTensor:$source);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$source attr-dict `:` type($source) `to` type($result)";
  let hasVerifier = 1;
}

#endif // TESSERA_SCHEDULE_OPS
