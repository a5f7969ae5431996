//===- GraphOps.cpp - generated definitions of the graph ops --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The generated code and the pieces of assembly format it calls; what the ops
// mean is in one file a family.
//
//===----------------------------------------------------------------------===//

#include "compiler/graph/ir/GraphOps.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace tessera::graph {

/// `tensor<8xf32>` when operands and result share one type, else `(types) -> type`.
static ParseResult parseElementwiseTypes(OpAsmParser &parser, ArrayRef<Type *> operands,
                                         Type &result) {
  SMLoc loc = parser.getCurrentLocation();
  Type type;
  if (parser.parseType(type))
    return failure();
  auto function = dyn_cast<FunctionType>(type);
  if (!function) {
    for (Type *operand : operands)
      *operand = type;
    result = type;
    return success();
  }
  if (function.getNumInputs() != operands.size() || function.getNumResults() != 1)
    return parser.emitError(loc) << "expected " << operands.size()
                                 << " operand types and one result type";
  for (auto [operand, input] : llvm::zip_equal(operands, function.getInputs()))
    *operand = input;
  result = function.getResult(0);
  return success();
}

static ParseResult parseElementwiseTypes(OpAsmParser &parser, Type &operand, Type &result) {
  return parseElementwiseTypes(parser, {&operand}, result);
}
static ParseResult parseElementwiseTypes(OpAsmParser &parser, Type &lhs, Type &rhs, Type &result) {
  return parseElementwiseTypes(parser, {&lhs, &rhs}, result);
}
static ParseResult parseElementwiseTypes(OpAsmParser &parser, Type &first, Type &second,
                                         Type &third, Type &result) {
  return parseElementwiseTypes(parser, {&first, &second, &third}, result);
}

template <typename... Types>
static void printElementwiseTypes(OpAsmPrinter &printer, Operation *op, Types...) {
  Type result = op->getResult(0).getType();
  if (llvm::all_equal(op->getOperandTypes()) && op->getOperand(0).getType() == result)
    printer << result;
  else
    printer.printFunctionalType(op);
}

} // namespace tessera::graph

using namespace tessera::graph;

#define GET_OP_CLASSES
#include "compiler/graph/ir/GraphOps.cpp.inc"
