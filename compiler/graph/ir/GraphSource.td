//===- GraphSource.td - values from nowhere ----------------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_SOURCE
#define TESSERA_GRAPH_SOURCE

include "compiler/graph/ir/GraphBase.td"

def Graph_ConstantOp : Graph_Op<"constant", [
    Pure, ConstantLike,
    DeclareOpInterfaceMethods<InferTypeOpInterface>,
    DeclareOpInterfaceMethods<Graph_NamedBuildOpInterface>]> {
  let summary = "a tensor known when compiling";
  let description = [{
    For what the program itself says (scalars, small tables). A weight is a
    `graph.parameter`, so that it can change without compiling again.

    Example:
    ```mlir
    %0 = graph.constant dense<1.0> : tensor<f32>
    ```
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasVerifier = 1;
  let extraClassDeclaration = Graph_InferDeclaration;
  let extraClassDefinition = Graph_InferDefinition;
  let hasFolder = 1;
}

def Graph_IotaOp : Graph_InferredOp<"iota"> {
  let summary = "an arithmetic progression along one dimension";
  let description = [{
    The element at position i along `dim` is start + i * step, computed in f64 for
    floating-point types and in i64 for integers, then converted.

    Example:
    ```mlir
    %0 = graph.iota shape = [8, 4], dim = 1, start = 0 : i64, step = 1 : i64, dtype = i64
         : tensor<8x4xi64>
    ```
  }];
  let arguments = (ins
    DenseI64ArrayAttr:$shape, DefaultValuedAttr<I64Attr, "0">:$dim,
    AnyAttrOf<[I64Attr, F64Attr]>:$start, AnyAttrOf<[I64Attr, F64Attr]>:$step, TypeAttr:$dtype);
  let results = (outs Graph_NumericTensor:$result);
  let assemblyFormat = [{
    `shape` `=` $shape `,` `dim` `=` $dim `,` `start` `=` $start `,` `step` `=` $step `,`
    `dtype` `=` $dtype attr-dict `:` type($result)
  }];
}

def Graph_ParameterOp : Graph_Op<"parameter", [
    Pure, DeclareOpInterfaceMethods<Graph_NamedBuildOpInterface>]> {
  let summary = "an entry of the parameter store";
  let description = [{
    Weights and buffers are inputs with a name, never constants of the code.

    Example:
    ```mlir
    %0 = graph.parameter "fc.weight" : tensor<2048x512xf32>
    ```
  }];
  let arguments = (ins StrAttr:$name);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$name attr-dict `:` type($result)";
  let hasVerifier = 1;
}

#endif // TESSERA_GRAPH_SOURCE
