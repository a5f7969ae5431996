//===- LibraryMatrices.cpp - calls of the library's factorizations --------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From ops on matrices to functions of runtime/library: a unit is one matrix of the
// batch.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/ScheduleToTile/LibraryCall.h"
#include "compiler/graph/ir/GraphOps.h"
#include "compiler/support/Sizes.h"
#include "runtime/abi/Library.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tessera;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// A call for each matrix of `operand`, beside which stand `right` columns.
static LibraryCall callOn(StringRef callee, Value operand, int64_t right,
                          ArrayRef<int64_t> parameters) {
  ArrayRef<int64_t> shape = typeOf(operand).getShape();
  int64_t rows = shape[shape.size() - 2], columns = shape.back();
  LibraryCall call{callee, llvm::to_vector(parameters)};
  call.units = productOf(shape.drop_back(2));
  call.unitElements = rows * columns * std::max<int64_t>(std::min(rows, columns), right);
  call.scratchBytes = tessera_matrix_scratch(rows, columns, right);
  return call;
}

std::optional<LibraryCall> tessera::callOnMatrices(Operation *op) {
  auto columns = [](Value value) { return typeOf(value).getShape().back(); };
  return llvm::TypeSwitch<Operation *, std::optional<LibraryCall>>(op)
      .Case([](graph::CholeskyOp cholesky) {
        return callOn("tessera_cholesky", cholesky.getOperand(), 0,
                      {cholesky.getUpper(), cholesky.getChecked()});
      })
      .Case([](graph::LUOp lu) {
        return callOn("tessera_lu", lu.getOperand(), 0, {lu.getChecked()});
      })
      .Case([&](graph::LUSolveOp solve) {
        return callOn("tessera_lu_solve", solve.getPacked(), columns(solve.getRight()),
                      {solve.getTranspose()});
      })
      .Case([&](graph::TriangularSolveOp solve) {
        return callOn("tessera_triangular_solve", solve.getTriangle(), columns(solve.getRight()),
                      {solve.getUpper(), solve.getTranspose(), solve.getUnit()});
      })
      .Case([](graph::QROp qr) { return callOn("tessera_qr", qr.getOperand(), 0, {}); })
      .Case([](graph::HouseholderProductOp product) {
        return callOn("tessera_householder_product", product.getPacked(), 0, {});
      })
      .Case([](graph::EighOp eigh) {
        return callOn("tessera_eigh", eigh.getOperand(), 0, {eigh.getUpper()});
      })
      .Case([](graph::SVDOp svd) { return callOn("tessera_svd", svd.getOperand(), 0, {}); })
      .Case([](graph::MatrixExpOp exponential) {
        return callOn("tessera_matrix_exp", exponential.getOperand(), 0, {});
      })
      .Default([](Operation *) { return std::nullopt; });
}
