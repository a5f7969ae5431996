//===- Passes.td - Graph IR to Schedule IR --------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES
#define TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES

include "mlir/Pass/PassBase.td"

def ClaimConvolutions : Pass<"tessera-schedule-claim-convolutions", "::mlir::func::FuncOp"> {
  let summary = "mark the convolutions that have a kernel of their own";
  let description = [{
    A convolution with channels last, kernels that parameters give and windows worth reading in place gets the
    attribute `graph.claimed`; tessera-graph-expand-convolutions leaves it whole.

    ```mlir
    %0 = graph.convolution %x, %w … {channels_last}
    ```
    becomes
    ```mlir
    %0 = graph.convolution %x, %w … {channels_last, graph.claimed}
    ```
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512", "width of a machine vector">,
    Option<"threads", "threads", "int64_t", "1", "threads the work is split for">,
    Option<"anySizes", "any-sizes", "bool", "false", "code is to serve other sizes: mark none">,
    Option<"bf16Dot", "bf16-dot", "bool", "false", "the machine multiplies pairs of bf16, adding up in f32">
  ];
}

def ConvertGraphToSchedule : Pass<"tessera-graph-to-schedule", "::mlir::func::FuncOp"> {
  let summary = "group graph ops into kernels, fold movement into layouts";
  let description = [{
    Every computing op goes into one `schedule.kernel`; movement that is only a layout becomes a
    `schedule.view`; constants, parameters and islands stay.

    ```mlir
    %0 = graph.matmul %x, %w : (tensor<8x64xf32>, tensor<64x32xf32>) -> tensor<8x32xf32>
    %1 = graph.add %0, %b : (tensor<8x32xf32>, tensor<32xf32>) -> tensor<8x32xf32>
    ```
    becomes one kernel of class contraction whose body holds both.
  }];
  let dependentDialects = ["::tessera::schedule::ScheduleDialect"];
}

def ChoosePoints : Pass<"tessera-schedule-choose", "::mlir::func::FuncOp"> {
  let summary = "give every kernel its default schedule and the space around it";
  let description = [{
    Writes `point`, and for the classes a tuner can search `space`, on every kernel that has none. The
    choice looks at shapes, layouts and element types, at the machine's vector width and at the threads.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512", "width of a machine vector">,
    Option<"threads", "threads", "int64_t", "1", "threads the work is split for">,
    Option<"anySizes", "any-sizes", "bool", "false", "prefer code that differs in numbers only from size to size">,
    Option<"bf16Dot", "bf16-dot", "bool", "false", "the machine multiplies pairs of bf16, adding up in f32">
  ];
}

def PrepackWeights : Pass<"tessera-schedule-prepack", "::mlir::func::FuncOp"> {
  let summary = "give contractions and convolutions of parameters column panels, packed once";
  let description = [{
    Where the right operand of a contraction depends on parameters only, a prepare kernel packs it into
    panels of the chosen width and the contraction reads those:

    ```mlir
    %y = schedule.kernel contraction(%x, %w) … graph.matmul %a, %b
    ```
    becomes
    ```mlir
    %p = schedule.kernel pack(%w) {prepare} … schedule.pack
    %y = schedule.kernel contraction(%x, %p) … schedule.unpack, graph.matmul
    ```
    Kernels of convolutions are brought into the order in which windows are read, or transformed for Winograd's
    products, and then packed; `schedule.unpack_kernels` stands for them in the body.
  }];
}

#endif // TESSERA_CONVERSIONS_GRAPHTOSCHEDULE_PASSES
