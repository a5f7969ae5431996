//===- Lowering.h - what the tile-to-target patterns share ------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A long or two-dimensional vector becomes a list of machine vectors, row by row
// (a 1:N type conversion); a buffer becomes a flat one and an address in it.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_CONVERSIONS_TILETOTARGET_LOWERING_H
#define TESSERA_CONVERSIONS_TILETOTARGET_LOWERING_H

#include "compiler/target/ir/TargetOps.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/Transforms/DialectConversion.h"
#include "llvm/ADT/DenseMap.h"

namespace tessera {

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

/// Splits vectors into machine vectors of `lanes`; the last of a row may be shorter.
class MachineTypes : public mlir::TypeConverter {
public:
  explicit MachineTypes(int64_t lanes);

  /// The machine vectors of `type`, row by row.
  llvm::SmallVector<mlir::VectorType> split(mlir::VectorType type) const;
  /// Machine vectors that hold `n` lanes.
  int64_t pieces(int64_t n) const { return (n + lanes - 1) / lanes; }
  int64_t getLanes() const { return lanes; }

private:
  int64_t lanes;
};

//===----------------------------------------------------------------------===//
// Buffers
//===----------------------------------------------------------------------===//

/// A position in a flat buffer: a value (may be null) plus a constant, in elements.
struct Address {
  mlir::Value index;
  int64_t constant = 0;

  Address operator+(int64_t elements) const { return {index, constant + elements}; }
  Address plus(mlir::OpBuilder &b, mlir::Location loc, mlir::Value index, int64_t stride) const;
  mlir::Value materialize(mlir::OpBuilder &b, mlir::Location loc) const;
};

/// A buffer of the tile level as the target sees it.
struct FlatBuffer {
  mlir::Value base;                          ///< memref<NxT>
  Address start;                             ///< of the element with indices 0
  llvm::SmallVector<int64_t> sizes, strides; ///< of the tile level

  Address at(mlir::OpBuilder &b, mlir::Location loc, mlir::ValueRange indices) const;
};

/// The buffers of one kernel function.
class Buffers {
public:
  /// Flattens the function's buffers; diagnoses one whose layout is not static. Function arguments
  /// change their type at once, so the accesses must be rewritten before the function verifies
  /// again.
  static mlir::FailureOr<Buffers> flatten(mlir::func::FuncOp function);

  const FlatBuffer &operator[](mlir::Value buffer) const;
  /// Whether `op` reads or writes a buffer through its shape of the tile level.
  static bool isTileAccess(mlir::Operation *op);
  /// Erases the views that nothing uses any more.
  void eraseDead();

private:
  mlir::LogicalResult flattenArgument(mlir::func::FuncOp function, unsigned index);
  mlir::LogicalResult flattenView(mlir::Operation *op);
  llvm::DenseMap<mlir::Value, FlatBuffer> buffers;
  llvm::SmallVector<mlir::Operation *> views;
};

//===----------------------------------------------------------------------===//
// Patterns, one file each
//===----------------------------------------------------------------------===//

/// What every pattern needs.
struct Lowering {
  const MachineTypes &types;
  const Buffers &buffers;
  target::MachineAttr machine;
};

template <typename OpTy> class LoweringPattern : public mlir::OpConversionPattern<OpTy> {
public:
  explicit LoweringPattern(const Lowering &lowering, mlir::PatternBenefit benefit = 1)
      : mlir::OpConversionPattern<OpTy>(lowering.types, lowering.machine.getContext(), benefit),
        lowering(lowering) {}

protected:
  const Lowering &lowering;
};

void populateElementwisePatterns(mlir::RewritePatternSet &patterns, const Lowering &lowering);
void populateShapePatterns(mlir::RewritePatternSet &patterns, const Lowering &lowering);
void populateMemoryPatterns(mlir::RewritePatternSet &patterns, const Lowering &lowering);
void populateMmaPatterns(mlir::RewritePatternSet &patterns, const Lowering &lowering);
void populatePackPatterns(mlir::RewritePatternSet &patterns, const Lowering &lowering);
void populateFunctionPatterns(mlir::RewritePatternSet &patterns, const Lowering &lowering);
void populateMathLibraryPatterns(mlir::RewritePatternSet &patterns, const Lowering &lowering);
void populateLibraryPatterns(mlir::RewritePatternSet &patterns, const Lowering &lowering);

/// Whether the op is arithmetic on machine types that the machine yet lacks: maths without an
/// instruction, conversions that LLVM would make calls of.
bool needsExpansion(mlir::Operation *op, target::MachineAttr machine);
bool needsMathLibrary(mlir::Operation *op);
/// Whether LLVM would run a vector.reduction lane by lane.
bool isSlowReduction(mlir::Operation *op);

/// Replaces `op` by what `make` gives for each machine vector of its result, and that vector's
/// first lane.
void replaceWithPieces(mlir::ConversionPatternRewriter &rewriter, mlir::Operation *op,
                       const MachineTypes &types,
                       llvm::function_ref<mlir::Value(mlir::VectorType, int64_t)> make);

/// The values of operands that are not split.
llvm::SmallVector<mlir::Value> firsts(llvm::ArrayRef<mlir::ValueRange> operands);

//===----------------------------------------------------------------------===//
// Small builders
//===----------------------------------------------------------------------===//

mlir::Value indexConstant(mlir::OpBuilder &b, mlir::Location loc, int64_t value);
/// A scalar or splat constant of a float or integer type.
mlir::Value splatConstant(mlir::OpBuilder &b, mlir::Location loc, mlir::Type type, double value);
/// vector<lanes x i1>: lane l is set when start + l < valid.
mlir::Value laneMask(mlir::OpBuilder &b, mlir::Location loc, mlir::Value valid, int64_t start,
                     int64_t lanes);
/// `x` (floats or integers of at least the width) in the element type `element`.
mlir::Value widen(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x, mlir::Type element);
/// Calls `function` ("sin") of the machine's mathematical library on scalars or machine vectors of
/// f32 or f64.
mlir::Value callMath(mlir::OpBuilder &b, mlir::Location loc, target::MachineAttr machine,
                     llvm::StringRef function, mlir::ValueRange operands);

} // namespace tessera

#endif // TESSERA_CONVERSIONS_TILETOTARGET_LOWERING_H
