//===- Elementwise.cpp - lane by lane ops on machine vectors --------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From elementwise ops on vectors of any size to the same ops on machine
// vectors; narrowing to 16-bit floats the way the machine can; constants.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tessera;

namespace {

/// Repeats an elementwise op on each machine vector of its operands.
class SplitElementwise : public ConversionPattern {
public:
  explicit SplitElementwise(const Lowering &lowering)
      : ConversionPattern(lowering.types, MatchAnyOpTypeTag(), /*benefit=*/1,
                          lowering.machine.getContext()),
        lowering(lowering) {}

  LogicalResult matchAndRewrite(Operation *op, ArrayRef<ValueRange> operands,
                                ConversionPatternRewriter &rewriter) const override {
    if (!OpTrait::hasElementwiseMappableTraits(op) && !isa<vector::FMAOp>(op))
      return rewriter.notifyMatchFailure(op, "expected an elementwise op");
    auto type =
        op->getNumResults() == 1 ? dyn_cast<VectorType>(op->getResult(0).getType()) : VectorType();
    if (!type)
      return rewriter.notifyMatchFailure(op, "expected one result, a vector");
    SmallVector<Value> results;
    for (auto [i, piece] : llvm::enumerate(lowering.types.split(type))) {
      SmallVector<Value> arguments;
      for (auto [operand, values] :
           llvm::zip_equal(op->getOperands(), operands)) // a select's condition may be a scalar
        arguments.push_back(isa<VectorType>(operand.getType()) ? values[i] : values.front());
      OperationState state(op->getLoc(), op->getName(), arguments, TypeRange(piece),
                           llvm::to_vector(op->getDiscardableAttrs()));
      state.propertiesAttr = op->getPropertiesAsAttribute();
      results.push_back(rewriter.create(state)->getResult(0));
    }
    rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
    return success();
  }

private:
  const Lowering &lowering;
};

class SplitConstant : public LoweringPattern<arith::ConstantOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(arith::ConstantOp op, OpAdaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto value = dyn_cast<DenseElementsAttr>(op.getValue());
    if (!value)
      return rewriter.notifyMatchFailure(op, "expected dense elements");
    auto elements =
        value.isSplat() ? SmallVector<Attribute>() : llvm::to_vector(value.getValues<Attribute>());
    replaceWithPieces(rewriter, op, lowering.types, [&](VectorType piece, int64_t start) -> Value {
      auto part = value.isSplat()
                      ? value.resizeSplat(piece)
                      : DenseElementsAttr::get(
                            piece, ArrayRef(elements).slice(start, piece.getNumElements()));
      return arith::ConstantOp::create(rewriter, op.getLoc(), part);
    });
    return success();
  }
};

class SplitPoison : public LoweringPattern<ub::PoisonOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(ub::PoisonOp op, OpAdaptor,
                                ConversionPatternRewriter &rewriter) const override {
    replaceWithPieces(rewriter, op, lowering.types, [&](VectorType piece, int64_t) -> Value {
      return ub::PoisonOp::create(rewriter, op.getLoc(), piece, op.getValue());
    });
    return success();
  }
};

/// f32 to bf16, half to even on the bits: AVX-512's instruction flushes denormals to zero, and
/// without it LLVM calls a run-time library.
Value roundToBF16(OpBuilder &b, Location loc, Value x) {
  auto typed = [&](Type element) -> Type {
    auto vector = dyn_cast<VectorType>(x.getType());
    return vector ? Type(vector.clone(element)) : element;
  };
  Type i32 = typed(b.getI32Type());
  auto constant = [&](int64_t v) { return splatConstant(b, loc, i32, v); };
  Value bits = arith::BitcastOp::create(b, loc, i32, x);
  Value sixteen = constant(16);
  Value odd =
      arith::AndIOp::create(b, loc, arith::ShRUIOp::create(b, loc, bits, sixteen), constant(1));
  Value rounded =
      arith::AddIOp::create(b, loc, arith::AddIOp::create(b, loc, bits, constant(0x7fff)), odd);
  // Rounding could carry a NaN's payload into infinity.
  Value isNan = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, x, x);
  rounded = arith::SelectOp::create(b, loc, isNan, constant(0x7fc00000), rounded);
  Value high = arith::TruncIOp::create(b, loc, typed(b.getI16Type()),
                                       arith::ShRUIOp::create(b, loc, rounded, sixteen));
  return arith::BitcastOp::create(b, loc, typed(b.getBF16Type()), high);
}

/// Narrowing of one value; `to` is the element type.
Value narrow(OpBuilder &b, Location loc, Value x, Type to) {
  auto vector = dyn_cast<VectorType>(x.getType());
  if (getElementTypeOrSelf(x.getType()).isF64() &&
      to.getIntOrFloatBitWidth() == 16) // by way of f32, as PyTorch does
    x = arith::TruncFOp::create(b, loc,
                                vector ? Type(vector.clone(b.getF32Type())) : b.getF32Type(), x);
  if (to.isBF16())
    return roundToBF16(b, loc, x);
  return arith::TruncFOp::create(b, loc, vector ? Type(vector.clone(to)) : to, x);
}

/// Whether a lane of `pieces`, of f32, is denormal and not zero.
Value hasDenormal(OpBuilder &b, Location loc, ValueRange pieces) {
  auto type = cast<VectorType>(pieces.front().getType()).clone(b.getI32Type());
  Value one = splatConstant(b, loc, type, 1), least;
  for (Value x : pieces) {
    // Less the sign, less one: zero becomes the largest.
    Value bits = arith::BitcastOp::create(b, loc, type, x);
    bits = arith::SubIOp::create(b, loc, arith::AddIOp::create(b, loc, bits, bits), one);
    least = least ? arith::MinUIOp::create(b, loc, least, bits).getResult() : bits;
  }
  Value isBelow = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, least,
                                        splatConstant(b, loc, type, 0xffffff));
  return vector::ReductionOp::create(b, loc, vector::CombiningKind::OR, isBelow);
}

/// Several vectors of f32 to bf16: by the machine's instruction where none of their lanes is one
/// that it takes for zero.
SmallVector<Value> roundAll(OpBuilder &b, Location loc, ValueRange pieces) {
  auto type = cast<VectorType>(pieces.front().getType()).clone(b.getBF16Type());
  SmallVector<Type> types(pieces.size(), type);
  auto branch =
      scf::IfOp::create(b, loc, types, hasDenormal(b, loc, pieces), /*withElseRegion=*/true);
  auto fill = [&](Region &region, llvm::function_ref<Value(Value)> round) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&region.front());
    SmallVector<Value> rounded = llvm::map_to_vector(pieces, round);
    scf::YieldOp::create(b, loc, rounded);
  };
  fill(branch.getThenRegion(), [&](Value x) { return roundToBF16(b, loc, x); });
  fill(branch.getElseRegion(),
       [&](Value x) -> Value { return target::RoundFactorsOp::create(b, loc, type, x); });
  return SmallVector<Value>(branch.getResults());
}

/// Whether roundAll is worth its branch.
bool areSeveral(ValueRange pieces) {
  return pieces.size() > 1 && isa<VectorType>(pieces.front().getType()) &&
         llvm::all_equal(pieces.getTypes());
}

/// What LLVM would turn into calls of a run-time library that need not be there.
bool needsNarrowing(arith::TruncFOp op) {
  Type from = getElementTypeOrSelf(op.getIn().getType()), to = getElementTypeOrSelf(op.getType());
  return (from.isF64() && to.getIntOrFloatBitWidth() == 16) || to.isBF16();
}

class NarrowFloats : public LoweringPattern<arith::TruncFOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(arith::TruncFOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (!needsNarrowing(op))
      return rewriter.notifyMatchFailure(op,
                                         "expected a conversion to 16 bits that is done by hand");
    SmallVector<Value> results;
    bool isRounding = getElementTypeOrSelf(op.getIn().getType()).isF32() &&
                      getElementTypeOrSelf(op.getType()).isBF16();
    if (isRounding && lowering.machine.hasBF16Dot() && areSeveral(adaptor.getIn())) {
      results = roundAll(rewriter, op.getLoc(), adaptor.getIn());
      rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
      return success();
    }
    for (Value piece : adaptor.getIn())
      results.push_back(narrow(rewriter, op.getLoc(), piece, getElementTypeOrSelf(op.getType())));
    rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
    return success();
  }
};

/// f16 and bf16 to f64 by way of f32, which is exact and has instructions; bf16 to f32 on the bits,
/// since LLVM would sink the conversion below operations that bf16 has none of.
class WidenFloats : public LoweringPattern<arith::ExtFOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(arith::ExtFOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (!needsExpansion(op, lowering.machine))
      return rewriter.notifyMatchFailure(op, "expected f16 to f64, or bf16");
    SmallVector<Value> results;
    for (Value piece : adaptor.getIn()) {
      Value wide = widen(rewriter, op.getLoc(), piece, rewriter.getF32Type());
      results.push_back(widen(rewriter, op.getLoc(), wide, getElementTypeOrSelf(op.getType())));
    }
    rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
    return success();
  }
};

class LowerRoundFactors : public LoweringPattern<tile::RoundFactorsOp> {
public:
  using LoweringPattern::LoweringPattern;

  LogicalResult matchAndRewrite(tile::RoundFactorsOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    SmallVector<Value> results;
    for (Value x : adaptor.getX()) {
      auto type = cast<VectorType>(x.getType()).clone(rewriter.getBF16Type());
      results.push_back(lowering.machine.hasBF16Dot()
                            ? target::RoundFactorsOp::create(rewriter, op.getLoc(), type, x)
                            : roundToBF16(rewriter, op.getLoc(), x));
    }
    rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
    return success();
  }
};

} // namespace

bool tessera::needsExpansion(Operation *op, target::MachineAttr machine) {
  if (auto narrowing = dyn_cast<arith::TruncFOp>(op))
    return needsNarrowing(narrowing);
  if (auto widening = dyn_cast<arith::ExtFOp>(op)) {
    Type from = getElementTypeOrSelf(widening.getIn().getType());
    return from.isBF16() || (from.isF16() && getElementTypeOrSelf(widening.getType()).isF64());
  }
  return needsMathLibrary(op);
}

void tessera::populateElementwisePatterns(RewritePatternSet &patterns, const Lowering &lowering) {
  patterns.add<SplitElementwise, SplitConstant, SplitPoison, LowerRoundFactors>(lowering);
  patterns.add<NarrowFloats, WidenFloats>(lowering, /*benefit=*/2);
}
