//===- GraphLinearAlgebra.td - factorizations of matrices --*- tablegen -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Matrices lie in the last two dimensions; the dimensions before are a batch, and all
// operands of an op agree in it. Conventions are LAPACK's: pivots and `info` count from
// one, an `info` of zero says that all went well.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_GRAPH_LINEARALGEBRA
#define TESSERA_GRAPH_LINEARALGEBRA

include "compiler/graph/ir/GraphBase.td"

def Graph_MatrixTensor : RankedTensorOf<[F32, F64]>;
def Graph_PivotTensor : RankedTensorOf<[I32]>;

class Graph_FactorizationOp<string mnemonic> : Graph_InferredResultsOp<mnemonic, [Graph_Library]>;

def Graph_CholeskyOp : Graph_FactorizationOp<"cholesky"> {
  let summary = "the triangular factor of symmetric, positive definite matrices";
  let description = [{
    Reads the lower triangle and gives the lower factor, with `upper` the upper ones. With `checked`
    a matrix that is not positive definite is an error, else `info` says so.

    Example:
    ```mlir
    %1:2 = graph.cholesky %0 {upper} : (tensor<8x4x4xf32>) -> (tensor<8x4x4xf32>, tensor<8xi32>)
    ```
  }];
  let arguments = (ins Graph_MatrixTensor:$operand, UnitAttr:$upper, UnitAttr:$checked);
  let results = (outs Graph_MatrixTensor:$factor, Graph_PivotTensor:$info);
  let assemblyFormat = "$operand attr-dict `:` functional-type(operands, results)";
}

def Graph_LUOp : Graph_FactorizationOp<"lu"> {
  let summary = "triangular factors of matrices with exchanged rows";
  let description = [{
    `packed` holds the upper factor, and below its diagonal the unit lower one. Row k was exchanged
    with row `pivots`[k], in this order. With `checked` a singular matrix is an error.

    Example:
    ```mlir
    %1:3 = graph.lu %0 : (tensor<8x4x5xf32>) -> (tensor<8x4x5xf32>, tensor<8x4xi32>, tensor<8xi32>)
    ```
  }];
  let arguments = (ins Graph_MatrixTensor:$operand, UnitAttr:$checked);
  let results = (outs Graph_MatrixTensor:$packed, Graph_PivotTensor:$pivots, Graph_PivotTensor:$info);
  let assemblyFormat = "$operand attr-dict `:` functional-type(operands, results)";
}

def Graph_LUSolveOp : Graph_InferredOp<"lu_solve", [Graph_Library]> {
  let summary = "solutions of linear equations by the factors of graph.lu";
  let description = [{
    X of A X = B, with `transpose` of Aᵀ X = B.

    Example:
    ```mlir
    %3 = graph.lu_solve %0, %1, %2
         : (tensor<8x4x4xf32>, tensor<8x4xi32>, tensor<8x4x2xf32>) -> tensor<8x4x2xf32>
    ```
  }];
  let arguments = (ins
    Graph_MatrixTensor:$packed, Graph_PivotTensor:$pivots, Graph_MatrixTensor:$right,
    UnitAttr:$transpose);
  let results = (outs Graph_MatrixTensor:$result);
  let assemblyFormat = [{
    $packed `,` $pivots `,` $right attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_TriangularSolveOp : Graph_InferredOp<"triangular_solve", [Graph_Library]> {
  let summary = "solutions of triangular linear equations";
  let description = [{
    X of T X = B, with `transpose` of Tᵀ X = B. T is the lower triangle, with `upper` the upper one;
    with `unit` its diagonal is one, whatever is there.

    Example:
    ```mlir
    %2 = graph.triangular_solve %0, %1 {upper}
         : (tensor<8x4x4xf32>, tensor<8x4x2xf32>) -> tensor<8x4x2xf32>
    ```
  }];
  let arguments = (ins
    Graph_MatrixTensor:$triangle, Graph_MatrixTensor:$right, UnitAttr:$upper, UnitAttr:$transpose,
    UnitAttr:$unit);
  let results = (outs Graph_MatrixTensor:$result);
  let assemblyFormat = [{
    $triangle `,` $right attr-dict `:` functional-type(operands, results)
  }];
}

def Graph_QROp : Graph_FactorizationOp<"qr"> {
  let summary = "R, and the reflections that lead to it";
  let description = [{
    `packed` holds R, and below its diagonal the vectors of the reflections 1 - tau v vᵀ, whose first
    elements are one.

    Example:
    ```mlir
    %1:2 = graph.qr %0 : (tensor<8x5x4xf32>) -> (tensor<8x5x4xf32>, tensor<8x4xf32>)
    ```
  }];
  let arguments = (ins Graph_MatrixTensor:$operand);
  let results = (outs Graph_MatrixTensor:$packed, Graph_MatrixTensor:$tau);
  let assemblyFormat = "$operand attr-dict `:` functional-type(operands, results)";
}

def Graph_HouseholderProductOp : Graph_InferredOp<"householder_product", [Graph_Library]> {
  let summary = "the product of the reflections of graph.qr";
  let description = [{
    Its first columns, as many as `packed` has.

    Example:
    ```mlir
    %2 = graph.householder_product %0, %1
         : (tensor<8x5x4xf32>, tensor<8x4xf32>) -> tensor<8x5x4xf32>
    ```
  }];
  let arguments = (ins Graph_MatrixTensor:$packed, Graph_MatrixTensor:$tau);
  let results = (outs Graph_MatrixTensor:$result);
  let assemblyFormat = "$packed `,` $tau attr-dict `:` functional-type(operands, results)";
}

def Graph_EighOp : Graph_FactorizationOp<"eigh"> {
  let summary = "eigenvalues and eigenvectors of symmetric matrices";
  let description = [{
    The values ascend; of the vectors, which are columns, the sign is anybody's choice. Reads the lower
    triangle, with `upper` the upper one.

    Example:
    ```mlir
    %1:2 = graph.eigh %0 : (tensor<8x4x4xf32>) -> (tensor<8x4xf32>, tensor<8x4x4xf32>)
    ```
  }];
  let arguments = (ins Graph_MatrixTensor:$operand, UnitAttr:$upper);
  let results = (outs Graph_MatrixTensor:$values, Graph_MatrixTensor:$vectors);
  let assemblyFormat = "$operand attr-dict `:` functional-type(operands, results)";
}

def Graph_SVDOp : Graph_FactorizationOp<"svd"> {
  let summary = "singular values and vectors of matrices";
  let description = [{
    A = left · diag(values) · right. The values descend; the sign of a pair of vectors is anybody's choice.

    Example:
    ```mlir
    %1:3 = graph.svd %0
           : (tensor<8x5x4xf32>) -> (tensor<8x5x4xf32>, tensor<8x4xf32>, tensor<8x4x4xf32>)
    ```
  }];
  let arguments = (ins Graph_MatrixTensor:$operand);
  let results = (outs
    Graph_MatrixTensor:$left, Graph_MatrixTensor:$values, Graph_MatrixTensor:$right);
  let assemblyFormat = "$operand attr-dict `:` functional-type(operands, results)";
}

def Graph_MatrixExpOp : Graph_InferredOp<"matrix_exp", [Graph_Library]> {
  let summary = "the exponential of square matrices";
  let description = [{
    Example:
    ```mlir
    %1 = graph.matrix_exp %0 : (tensor<8x4x4xf32>) -> tensor<8x4x4xf32>
    ```
  }];
  let arguments = (ins Graph_MatrixTensor:$operand);
  let results = (outs Graph_MatrixTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` functional-type(operands, results)";
}

#endif // TESSERA_GRAPH_LINEARALGEBRA
