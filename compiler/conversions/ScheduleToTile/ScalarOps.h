//===- ScalarOps.h - elementwise graph ops in registers --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What every elementwise op of the Graph IR means on values in registers: scalars
// or 1-D vectors, of the register type of their element type (registerType in
// KernelEmitter.h). One table entry an op; the entries live in one file a group.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_SCHEDULETOTILE_SCALAROPS_H
#define TESSERA_CONVERSIONS_SCHEDULETOTILE_SCALAROPS_H

#include "runtime/abi/Kernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/DenseMap.h"

#include <functional>

namespace tessera {

/// On the decomposed parts of a normalization, and behind products: products and sums may fuse.
inline constexpr llvm::StringLiteral kContractAttr = "contract";
/// On a maximum whose NaN reaches the result by another way.
inline constexpr llvm::StringLiteral kIgnoreNanAttr = "ignore_nan";

/// A builder of arithmetic on scalars and vectors alike. Where a constant is needed, `like` gives
/// its type.
class ScalarBuilder : public mlir::ImplicitLocOpBuilder {
public:
  ScalarBuilder(mlir::Location loc, mlir::OpBuilder &b) : ImplicitLocOpBuilder(loc, b) {}

  /// Called with a condition (i1 or a vector of it) under which the kernel must fail with a status.
  std::function<void(mlir::Value, TesseraStatus)> raise;
  mlir::arith::FastMathFlags fastMath = mlir::arith::FastMathFlags::none;

  mlir::Value real(mlir::Type like, double value);
  mlir::Value integer(mlir::Type like, int64_t value);
  mlir::Value real(mlir::Value like, double value) { return real(like.getType(), value); }
  mlir::Value integer(mlir::Value like, int64_t value) { return integer(like.getType(), value); }

  mlir::Value addF(mlir::Value a, mlir::Value b);
  mlir::Value subF(mlir::Value a, mlir::Value b);
  mlir::Value mulF(mlir::Value a, mlir::Value b);
  mlir::Value divF(mlir::Value a, mlir::Value b);
  mlir::Value fma(mlir::Value a, mlir::Value b, mlir::Value c);
  /// c0 + x·(c1 + x·(…)), coefficients from the highest power down.
  mlir::Value polynomial(mlir::Value x, llvm::ArrayRef<double> highestFirst);
  mlir::Value compare(mlir::arith::CmpFPredicate predicate, mlir::Value a, mlir::Value b);
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value a, mlir::Value b);
  mlir::Value select(mlir::Value condition, mlir::Value a, mlir::Value b);
  mlir::Value both(mlir::Value a, mlir::Value b);
  mlir::Value either(mlir::Value a, mlir::Value b);
  mlir::Value no(mlir::Value a);
};

/// `type` with its element type replaced: scalars stay scalars, vectors vectors.
mlir::Type withElement(mlir::Type type, mlir::Type element);
/// True for ui8 and i1, whose numbers are never negative.
bool isUnsignedElement(mlir::Type elementType);

/// One entry of the table: emits `op` on `operands`, which all are scalars or all vectors.
using ScalarFn = mlir::Value (*)(ScalarBuilder &b, mlir::Operation *op, mlir::ValueRange operands);
/// An entry and its rough price, in additions.
struct ScalarRule {
  ScalarRule(ScalarFn emit = nullptr, double cost = 1) : emit(emit), cost(cost) {}
  ScalarFn emit;
  double cost;
};
using ScalarTable = llvm::DenseMap<mlir::TypeID, ScalarRule>;

/// The inverse error function, in a file of its own for its tables.
mlir::Value emitErfinv(ScalarBuilder &b, mlir::Operation *op, mlir::ValueRange operands);

void addArithmeticOps(ScalarTable &table);
void addIntegerOps(ScalarTable &table);
void addFunctionOps(ScalarTable &table);
void addLogicOps(ScalarTable &table);

/// The entry of `op`, whose `emit` is null where there is none.
ScalarRule findScalarOp(mlir::Operation *op);

/// Converts `value` between graph element types, both in register types.
mlir::Value convertElement(ScalarBuilder &b, mlir::Value value, mlir::Type from, mlir::Type to);

/// `value` as it would be after storing it as `element` and loading it again: f16 and bf16 are f32
/// in registers, and a conversion to them must still round.
mlir::Value roundToElement(ScalarBuilder &b, mlir::Value value, mlir::Type element);

/// The element type of an operand of a graph op.
inline mlir::Type elementOf(mlir::Value tensor) {
  return llvm::cast<mlir::ShapedType>(tensor.getType()).getElementType();
}

} // namespace tessera

#endif // TESSERA_CONVERSIONS_SCHEDULETOTILE_SCALAROPS_H
