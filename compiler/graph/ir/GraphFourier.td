//===- GraphFourier.td - Fourier transforms ----------------*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Graph IR has no complex numbers: a tensor of them is two of reals. A row is what
// lies along `dim`, and each is transformed: y[k] = scale Σ x[j] e^(∓2πi jk/n), with
// the upper sign forward.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_FOURIER
#define TESSERA_GRAPH_FOURIER

include "compiler/graph/ir/GraphBase.td"

def Graph_FourierTensor : RankedTensorOf<[F32, F64]>;

def Graph_FFTOp : Graph_InferredResultsOp<"fft", [Graph_Library]> {
  let summary = "the Fourier transform of complex rows";
  let description = [{
    With `inverse` the exponent is positive; what is left out of `scale` is left out.

    Example:
    ```mlir
    %2:2 = graph.fft %0, %1 dim = 1 {inverse, scale = 0.015625 : f64}
           : (tensor<8x64xf32>, tensor<8x64xf32>) -> (tensor<8x64xf32>, tensor<8x64xf32>)
    ```
  }];
  let arguments = (ins
    Graph_FourierTensor:$real, Graph_FourierTensor:$imaginary, I64Attr:$dim, UnitAttr:$inverse,
    DefaultValuedAttr<F64Attr, "1.0">:$scale);
  let results = (outs Graph_FourierTensor:$realPart, Graph_FourierTensor:$imaginaryPart);
  let assemblyFormat = [{
    $real `,` $imaginary `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_RealFFTOp : Graph_InferredResultsOp<"real_fft", [Graph_Library]> {
  let summary = "the Fourier transform of real rows";
  let description = [{
    Of n elements the first n / 2 + 1, of which the others are conjugates.

    Example:
    ```mlir
    %1:2 = graph.real_fft %0 dim = 1 : (tensor<8x64xf32>) -> (tensor<8x33xf32>, tensor<8x33xf32>)
    ```
  }];
  let arguments = (ins
    Graph_FourierTensor:$operand, I64Attr:$dim, DefaultValuedAttr<F64Attr, "1.0">:$scale);
  let results = (outs Graph_FourierTensor:$realPart, Graph_FourierTensor:$imaginaryPart);
  let assemblyFormat = [{
    $operand `dim` `=` $dim attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_InverseRealFFTOp : Graph_InferredOp<"inverse_real_fft", [Graph_Library]> {
  let summary = "real rows by their Fourier transform";
  let description = [{
    Takes the first `length` / 2 + 1 elements, as graph.real_fft gives them, and reads the others as
    their conjugates. The imaginary part of the first is not read, nor that of the middle one of an
    even length: of real rows they are zero.

    Example:
    ```mlir
    %2 = graph.inverse_real_fft %0, %1 dim = 1, length = 64 {scale = 0.015625 : f64}
         : (tensor<8x33xf32>, tensor<8x33xf32>) -> tensor<8x64xf32>
    ```
  }];
  let arguments = (ins
    Graph_FourierTensor:$real, Graph_FourierTensor:$imaginary, I64Attr:$dim, I64Attr:$length,
    DefaultValuedAttr<F64Attr, "1.0">:$scale);
  let results = (outs Graph_FourierTensor:$result);
  let assemblyFormat = [{
    $real `,` $imaginary `dim` `=` $dim `,` `length` `=` $length attr-dict `:`
    functional-type(operands, results)
  }];
}

#endif // TESSERA_GRAPH_FOURIER
