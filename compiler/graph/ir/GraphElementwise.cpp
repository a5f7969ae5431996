//===- GraphElementwise.cpp - elementwise ops: inference and building -----===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphBuild.h"
#include "compiler/graph/ir/GraphOps.h"

#include "runtime/abi/Mathematics.h"

#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace tessera::graph;

Attribute GeluOp::coerceAttribute(StringRef name, Attribute given, std::string &allowed) {
  return coerceEnum<GeluApproximationAttr>(given, symbolizeGeluApproximation, "none, tanh",
                                           allowed);
}

Attribute CompareOp::coerceAttribute(StringRef name, Attribute given, std::string &allowed) {
  return coerceEnum<ComparePredicateAttr>(given, symbolizeComparePredicate,
                                          "eq, ne, lt, le, gt, ge", allowed);
}

/// The numbers a special function takes; 0 for names that are none.
static unsigned specialArity(StringRef function) {
#define TESSERA_MATH_CASE(name, arity) .Case(#name, arity)
  return llvm::StringSwitch<unsigned>(function) TESSERA_MATH_FUNCTIONS(TESSERA_MATH_CASE)
      .Default(0);
#undef TESSERA_MATH_CASE
}

FailureOr<RankedTensorType> SpecialOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  unsigned arity = specialArity(adaptor.getFunction());
  if (arity == 0)
    return ctx.error("there is no function \"", adaptor.getFunction(),
                     "\"; runtime/abi/Mathematics.h lists them");
  if (adaptor.getOperands().size() != arity)
    return ctx.error("\"", adaptor.getFunction(), "\" takes ", arity, " operands, got ",
                     adaptor.getOperands().size());
  return inferElementwise(ctx, adaptor.getOperands());
}

FailureOr<RankedTensorType> SelectOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  FailureOr<RankedTensorType> values =
      inferElementwise(ctx, {adaptor.getOnTrue(), adaptor.getOnFalse()});
  if (failed(values))
    return failure();
  ArrayRef<int64_t> condition = rankedType(adaptor.getCondition()).getShape();
  std::optional<SmallVector<int64_t>> shape = broadcastShapes(condition, values->getShape());
  if (!shape)
    return ctx.error("the condition's shape ", formatShape(condition),
                     " does not broadcast with the values' shape ",
                     formatShape(values->getShape()));
  return values->clone(*shape);
}

FailureOr<RankedTensorType> CastOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  Type dtype = adaptor.getDtype();
  if (!isLegalElementType(dtype))
    return ctx.error("`dtype` is ", dtype,
                     "; use f32, f64, f16, bf16, i8, i16, i32, i64, ui8 or i1");
  return rankedType(adaptor.getOperand()).clone(dtype);
}

FailureOr<RankedTensorType> BitcastOp::inferType(const InferContext &ctx, Adaptor adaptor) {
  RankedTensorType operand = rankedType(adaptor.getOperand());
  Type from = operand.getElementType(), to = adaptor.getDtype();
  unsigned width = from.getIntOrFloatBitWidth();
  if (!isLegalElementType(to) || to.getIntOrFloatBitWidth() != width ||
      (width != 32 && width != 64))
    return ctx.error("`dtype` is ", to, ", and elements are ", from,
                     "; both must have 32 bits, or both 64");
  return operand.clone(to);
}
