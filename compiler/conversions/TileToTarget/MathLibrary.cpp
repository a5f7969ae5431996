//===- MathLibrary.cpp - functions of libmvec and libm --------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From math ops without an instruction to calls: of glibc's vector functions
// where the machine's library has them, else of libm, lane by lane. Special functions
// are calls of the runtime, lane by lane.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"
#include "compiler/tile/ir/TileOps.h"

#include "runtime/abi/Mathematics.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/StringSwitch.h"

#include <numeric>

using namespace mlir;
using namespace tessera;

/// The C function behind a math op, or nothing where the machine computes it itself.
static StringRef libraryFunction(Operation *op) {
  if (op->getName().getDialectNamespace() != math::MathDialect::getDialectNamespace() ||
      op->getNumResults() != 1 || !isa<FloatType>(getElementTypeOrSelf(op->getResult(0).getType())))
    return "";
  return llvm::StringSwitch<StringRef>(op->getName().stripDialect())
      .Cases({"acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh"},
             op->getName().stripDialect())
      .Cases({"cbrt", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1"},
             op->getName().stripDialect())
      .Cases({"log", "log10", "log1p", "log2", "sin", "sinh", "tan", "tanh"},
             op->getName().stripDialect())
      .Case("powf", "pow")
      .Default("");
}

bool tessera::needsMathLibrary(Operation *op) { return !libraryFunction(op).empty(); }

/// Whether the library has vector variants: six functions came first, the others with glibc 2.35.
static bool hasVectorVariant(StringRef library, StringRef function) {
  if (library == "none" || function.starts_with(TESSERA_MATH_PREFIX))
    return false;
  return library == "libmvec-2.35" ||
         llvm::is_contained({"sin", "cos", "exp", "log", "pow"}, function);
}

namespace {

/// Calls one function on vectors of any lanes.
class VectorCall {
public:
  VectorCall(OpBuilder &b, Location loc, target::MachineAttr machine, StringRef function,
             Type element)
      : b(b), loc(loc), machine(machine), function(function), element(element) {}

  Value scalar(ValueRange operands) {
    std::string name = function.str() + (element.isF32() ? "f" : "");
    return target::CallMathOp::create(b, loc, element, name, operands);
  }

  Value vector(ValueRange operands) {
    int64_t lanes = lanesOf(operands.front());
    if (lanes == 1 || !hasVectorVariant(machine.getMathLibrary(), function))
      return laneByLane(operands);
    int64_t bits = element.getIntOrFloatBitWidth(), widest = machine.getVectorBits() / bits;
    if (lanes > widest)
      return halves(operands, widest);
    int64_t width = 128 / bits;
    while (width < lanes)
      width *= 2;
    if (width != lanes)
      return padded(operands, width);
    // The vector ABI's letters: b is SSE, d AVX2, e AVX-512.
    char isa = width * bits == 128 ? 'b' : width * bits == 256 ? 'd' : 'e';
    std::string name = "_ZGV" + std::string(1, isa) + "N" + std::to_string(width) +
                       std::string(operands.size(), 'v') + "_" + function.str() +
                       (element.isF32() ? "f" : "");
    return target::CallMathOp::create(b, loc, operands.front().getType(), name, operands);
  }

private:
  static int64_t lanesOf(Value v) { return cast<VectorType>(v.getType()).getNumElements(); }

  Value laneByLane(ValueRange operands) {
    SmallVector<Value> results;
    for (int64_t lane = 0, e = lanesOf(operands.front()); lane < e; ++lane) {
      SmallVector<Value> scalars;
      for (Value operand : operands)
        scalars.push_back(vector::ExtractOp::create(b, loc, operand, ArrayRef<int64_t>{lane}));
      results.push_back(scalar(scalars));
    }
    return vector::FromElementsOp::create(b, loc, cast<VectorType>(operands.front().getType()),
                                          results);
  }

  /// The lanes [start, start + count) of `v`; past its end, its first lane, which is always a
  /// number the function is asked for anyway.
  Value lanes(Value v, int64_t start, int64_t count) {
    SmallVector<int64_t> mask(count, start);
    for (int64_t i = 0; i < count && start + i < lanesOf(v); ++i)
      mask[i] = start + i;
    return vector::ShuffleOp::create(b, loc, v, v, mask);
  }

  Value halves(ValueRange operands, int64_t widest) {
    int64_t total = lanesOf(operands.front());
    SmallVector<Value> low, high;
    for (Value operand : operands) {
      low.push_back(lanes(operand, 0, widest));
      high.push_back(lanes(operand, widest, total - widest));
    }
    Value a = vector(low), c = vector(high);
    SmallVector<int64_t> mask(total);
    std::iota(mask.begin(), mask.end(), 0);
    return vector::ShuffleOp::create(b, loc, a, c, mask);
  }

  Value padded(ValueRange operands, int64_t width) {
    SmallVector<Value> wide;
    for (Value operand : operands)
      wide.push_back(lanes(operand, 0, width));
    return lanes(vector(wide), 0, lanesOf(operands.front()));
  }

  OpBuilder &b;
  Location loc;
  target::MachineAttr machine;
  StringRef function;
  Type element;
};

/// A math op of machine vectors or scalars.
class CallLibrary : public ConversionPattern {
public:
  explicit CallLibrary(const Lowering &lowering)
      : ConversionPattern(lowering.types, MatchAnyOpTypeTag(), /*benefit=*/2,
                          lowering.machine.getContext()),
        lowering(lowering) {}

  LogicalResult matchAndRewrite(Operation *op, ArrayRef<ValueRange> operands,
                                ConversionPatternRewriter &rewriter) const override {
    StringRef function = libraryFunction(op);
    if (function.empty())
      return rewriter.notifyMatchFailure(op, "expected a function of the C library");
    Type element = getElementTypeOrSelf(op->getResult(0).getType());
    if (!element.isF32() && !element.isF64())
      return rewriter.notifyMatchFailure(
          op, "expected f32 or f64: narrower floats are computed in f32");
    SmallVector<Value> results;
    for (size_t piece = 0; piece < operands.front().size(); ++piece) {
      auto arguments =
          llvm::map_to_vector(operands, [&](ValueRange values) -> Value { return values[piece]; });
      results.push_back(callMath(rewriter, op->getLoc(), lowering.machine, function, arguments));
    }
    rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
    return success();
  }

private:
  const Lowering &lowering;
};

/// A special function on machine vectors or scalars.
class CallSpecial : public LoweringPattern<tile::SpecialOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(tile::SpecialOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    std::string function = TESSERA_MATH_PREFIX + op.getFunction().str();
    SmallVector<ValueRange> operands = llvm::to_vector(adaptor.getOperands());
    SmallVector<Value> results;
    for (size_t piece = 0; piece < operands.front().size(); ++piece) {
      auto arguments =
          llvm::map_to_vector(operands, [&](ValueRange values) -> Value { return values[piece]; });
      results.push_back(callMath(rewriter, op.getLoc(), lowering.machine, function, arguments));
    }
    rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
    return success();
  }
};

} // namespace

Value tessera::callMath(OpBuilder &b, Location loc, target::MachineAttr machine, StringRef function,
                        ValueRange operands) {
  Type type = operands.front().getType();
  VectorCall call(b, loc, machine, function, getElementTypeOrSelf(type));
  return isa<VectorType>(type) ? call.vector(operands) : call.scalar(operands);
}

void tessera::populateMathLibraryPatterns(RewritePatternSet &patterns, const Lowering &lowering) {
  patterns.add<CallLibrary, CallSpecial>(lowering);
}
