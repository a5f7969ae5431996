//===- GraphInference.h - shape and type inference --------------*- C++ -*-===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the ops' `inferType` functions share. Errors read as MLIR's own op errors
// do, although inference has a location but no op yet.
//
//===----------------------------------------------------------------------===//

#ifndef TESSERA_COMPILER_GRAPH_IR_GRAPHINFERENCE_H
#define TESSERA_COMPILER_GRAPH_IR_GRAPHINFERENCE_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/ValueRange.h"

#include <optional>

namespace tessera::graph {

/// Where and for which op types are being inferred.
class InferContext {
public:
  InferContext(mlir::MLIRContext *context, std::optional<mlir::Location> location,
               llvm::StringRef opName)
      : context(context), location(location), opName(opName) {}

  mlir::MLIRContext *getContext() const { return context; }

  /// Emits "'graph.add' op [add] …"; says nothing where there is no location.
  template <typename... Args> llvm::LogicalResult error(Args &&...args) const {
    return mlir::emitOptionalError(location, "'", opName, "' op [",
                                   opName.substr(opName.find('.') + 1), "] ",
                                   std::forward<Args>(args)...);
  }

private:
  mlir::MLIRContext *context;
  std::optional<mlir::Location> location;
  llvm::StringRef opName;
};

/// Adaptors index operands without looking: ops made by name may have the wrong number.
template <typename OpT> llvm::LogicalResult checkArity(const InferContext &ctx, size_t count) {
  auto exactly = [&](size_t want) -> llvm::LogicalResult {
    if (count == want)
      return llvm::success();
    return ctx.error("takes ", want, " operand", want == 1 ? "" : "s", ", got ", count);
  };
  if constexpr (OpT::template hasTrait<mlir::OpTrait::ZeroOperands>())
    return exactly(0);
  if constexpr (OpT::template hasTrait<mlir::OpTrait::OneOperand>())
    return exactly(1);
  if constexpr (OpT::template hasTrait<mlir::OpTrait::NOperands<2>::Impl>())
    return exactly(2);
  if constexpr (OpT::template hasTrait<mlir::OpTrait::NOperands<3>::Impl>())
    return exactly(3);
  auto atLeast = [&](size_t want) -> llvm::LogicalResult {
    if (count >= want)
      return llvm::success();
    return ctx.error("takes at least ", want, " operand", want == 1 ? "" : "s", ", got ", count);
  };
  if constexpr (OpT::template hasTrait<mlir::OpTrait::AtLeastNOperands<1>::Impl>())
    return atLeast(1);
  if constexpr (OpT::template hasTrait<mlir::OpTrait::AtLeastNOperands<3>::Impl>())
    return atLeast(3);
  return llvm::success();
}

/// Result types agree with inferred ones when element types are equal and no two known sizes
/// differ.
bool areCompatibleTypes(mlir::TypeRange lhs, mlir::TypeRange rhs);

/// "2x?x3", for messages; "scalar" for 0-d.
std::string formatShape(llvm::ArrayRef<int64_t> shape);

inline mlir::RankedTensorType rankedType(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

/// NumPy's rule; nothing where the shapes disagree. A `?` is taken to fit what it meets.
std::optional<llvm::SmallVector<int64_t>> broadcastShapes(llvm::ArrayRef<int64_t> lhs,
                                                          llvm::ArrayRef<int64_t> rhs);

/// Whether `from` broadcasts to exactly `to`.
bool isBroadcastableTo(llvm::ArrayRef<int64_t> from, llvm::ArrayRef<int64_t> to);

/// The broadcast shape of all operands with their common element type, or with `element`.
llvm::FailureOr<mlir::RankedTensorType>
inferElementwise(const InferContext &ctx, mlir::ValueRange operands, mlir::Type element = {});

/// Errors unless 0 <= dim < rank.
llvm::LogicalResult checkDim(const InferContext &ctx, llvm::StringRef name, int64_t dim,
                             int64_t rank);

/// Errors unless two known sizes are equal.
inline bool sizesAgree(int64_t lhs, int64_t rhs) {
  return lhs == rhs || mlir::ShapedType::isDynamic(lhs) || mlir::ShapedType::isDynamic(rhs);
}

/// Attributes write a dynamic size as -1, types as ShapedType::kDynamic.
llvm::FailureOr<llvm::SmallVector<int64_t>> shapeFromAttribute(const InferContext &ctx,
                                                               llvm::ArrayRef<int64_t> shape);

/// Whether tensors may have this element type in the graph dialect.
bool isLegalElementType(mlir::Type type);

} // namespace tessera::graph

#endif // TESSERA_COMPILER_GRAPH_IR_GRAPHINFERENCE_H
