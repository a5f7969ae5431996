//===- GraphInference.cpp - what the ops' inference shares ----------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphInference.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace tessera::graph {

bool areCompatibleTypes(TypeRange lhs, TypeRange rhs) {
  return lhs.size() == rhs.size() && llvm::all_of(llvm::zip(lhs, rhs), [](auto pair) {
           auto [left, right] = pair;
           return getElementTypeOrSelf(left) == getElementTypeOrSelf(right) &&
                  succeeded(verifyCompatibleShape(left, right));
         });
}

std::string formatShape(ArrayRef<int64_t> shape) {
  if (shape.empty())
    return "scalar";
  return llvm::join(llvm::map_range(shape,
                                    [](int64_t size) {
                                      return ShapedType::isDynamic(size) ? std::string("?")
                                                                         : std::to_string(size);
                                    }),
                    "x");
}

/// The size both dimensions have after broadcasting, or nothing where they disagree.
static std::optional<int64_t> broadcastSize(int64_t lhs, int64_t rhs) {
  if (lhs == rhs || rhs == 1)
    return lhs;
  if (lhs == 1)
    return rhs;
  if (ShapedType::isDynamic(lhs))
    return rhs;
  if (ShapedType::isDynamic(rhs))
    return lhs;
  return std::nullopt;
}

std::optional<SmallVector<int64_t>> broadcastShapes(ArrayRef<int64_t> lhs, ArrayRef<int64_t> rhs) {
  if (lhs.size() < rhs.size())
    std::swap(lhs, rhs);
  SmallVector<int64_t> result(lhs);
  size_t offset = lhs.size() - rhs.size();
  for (auto [index, size] : llvm::enumerate(rhs)) {
    std::optional<int64_t> joined = broadcastSize(lhs[offset + index], size);
    if (!joined)
      return std::nullopt;
    result[offset + index] = *joined;
  }
  return result;
}

bool isBroadcastableTo(ArrayRef<int64_t> from, ArrayRef<int64_t> to) {
  if (from.size() > to.size())
    return false;
  return llvm::all_of(llvm::zip_equal(from, to.take_back(from.size())), [](auto pair) {
    auto [source, target] = pair;
    return source == 1 || sizesAgree(source, target);
  });
}

FailureOr<RankedTensorType> inferElementwise(const InferContext &ctx, ValueRange operands,
                                             Type element) {
  RankedTensorType first = rankedType(operands.front());
  SmallVector<int64_t> shape(first.getShape());
  for (Value operand : operands.drop_front()) {
    RankedTensorType type = rankedType(operand);
    if (type.getElementType() != first.getElementType())
      return ctx.error("operands must have one element type, got ", first.getElementType(), " and ",
                       type.getElementType(), "; insert graph.cast");
    std::optional<SmallVector<int64_t>> joined = broadcastShapes(shape, type.getShape());
    if (!joined)
      return ctx.error("shapes ", formatShape(shape), " and ", formatShape(type.getShape()),
                       " do not broadcast");
    shape = std::move(*joined);
  }
  return RankedTensorType::get(shape, element ? element : first.getElementType());
}

LogicalResult checkDim(const InferContext &ctx, StringRef name, int64_t dim, int64_t rank) {
  if (dim >= 0 && dim < rank)
    return success();
  return ctx.error("`", name, "` is ", dim, ", which is no dimension of a tensor of rank ", rank);
}

FailureOr<SmallVector<int64_t>> shapeFromAttribute(const InferContext &ctx,
                                                   ArrayRef<int64_t> shape) {
  SmallVector<int64_t> result;
  for (int64_t size : shape) {
    if (size < -1)
      return ctx.error("`shape` has the size ", size,
                       "; sizes are non-negative, or -1 where only known at run time");
    result.push_back(size == -1 ? ShapedType::kDynamic : size);
  }
  return result;
}

bool isLegalElementType(Type type) {
  if (isa<Float32Type, Float64Type, Float16Type, BFloat16Type>(type))
    return true;
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer)
    return false;
  if (integer.isUnsigned())
    return integer.getWidth() == 8;
  return integer.isSignless() && llvm::is_contained({1, 8, 16, 32, 64}, integer.getWidth());
}

} // namespace tessera::graph
