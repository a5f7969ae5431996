//===- DTypes.h - element types on both sides of the API --------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Private to compiler/api: the runtime names element types by an enum, MLIR by
// types.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_API_DTYPES_H
#define TESSERA_COMPILER_API_DTYPES_H

#include "runtime/Program.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/ErrorHandling.h"

#include <optional>

namespace tessera {

inline mlir::Type typeOf(mlir::MLIRContext *context, runtime::DType dtype) {
  mlir::Builder builder(context);
  switch (dtype) {
  case runtime::DType::Bool:
    return builder.getI1Type();
  case runtime::DType::U8:
    return builder.getIntegerType(8, /*isSigned=*/false);
  case runtime::DType::I8:
    return builder.getI8Type();
  case runtime::DType::I16:
    return builder.getI16Type();
  case runtime::DType::I32:
    return builder.getI32Type();
  case runtime::DType::I64:
    return builder.getI64Type();
  case runtime::DType::F16:
    return builder.getF16Type();
  case runtime::DType::BF16:
    return builder.getBF16Type();
  case runtime::DType::F32:
    return builder.getF32Type();
  case runtime::DType::F64:
    return builder.getF64Type();
  }
  llvm_unreachable("all element types are handled above");
}

/// Nothing for a type that tensors of the graph dialect cannot have.
inline std::optional<runtime::DType> dtypeOf(mlir::Type type) {
  if (type.isF16())
    return runtime::DType::F16;
  if (type.isBF16())
    return runtime::DType::BF16;
  if (type.isF32())
    return runtime::DType::F32;
  if (type.isF64())
    return runtime::DType::F64;
  if (type.isUnsignedInteger(8))
    return runtime::DType::U8;
  if (!type.isSignlessInteger())
    return std::nullopt;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return runtime::DType::Bool;
  case 8:
    return runtime::DType::I8;
  case 16:
    return runtime::DType::I16;
  case 32:
    return runtime::DType::I32;
  case 64:
    return runtime::DType::I64;
  default:
    return std::nullopt;
  }
}

} // namespace tessera

#endif // TESSERA_COMPILER_API_DTYPES_H
