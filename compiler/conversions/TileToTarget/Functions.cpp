//===- Functions.cpp - exp, exp2, erf, tanh -------------------------------===//
//
// Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// From functions with a stated accuracy to polynomials and rationals in f32; f64
// goes to the mathematical library. The coefficients minimise the largest relative
// error over the interval given beside them; what they reach, rounding included:
// exp 1.5 (degree 5) or 0.9 (degree 6), exp2 the same, erf 2.5, tanh 2.5 epsilon.
//
//===----------------------------------------------------------------------===//

#include "compiler/conversions/TileToTarget/Lowering.h"
#include "compiler/tile/ir/TileOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;
using namespace tessera;

namespace {

/// Arithmetic on scalars or vectors of f32.
class F32Builder {
public:
  F32Builder(OpBuilder &b, Location loc, Type type, target::MachineAttr machine)
      : b(b), loc(loc), type(type), machine(machine) {}

  Value constant(double v) { return splatConstant(b, loc, type, v); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
  Value fma(Value x, Value y, Value z) { return math::FmaOp::create(b, loc, x, y, z); }
  Value round(Value x) { return math::RoundEvenOp::create(b, loc, x); }

  /// x within [low, high]. A NaN stays one: the comparisons are false and select x.
  Value clamp(Value x, double low, double high) {
    Value lowest = constant(low), highest = constant(high);
    Value below = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, lowest, x);
    x = arith::SelectOp::create(b, loc, below, lowest, x);
    Value above = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, highest, x);
    return arith::SelectOp::create(b, loc, above, highest, x);
  }

  /// c[0] + x·(c[1] + x·(…)).
  Value polynomial(Value x, ArrayRef<double> c) {
    Value p = constant(c.back());
    for (double next : llvm::reverse(c.drop_back()))
      p = fma(p, x, constant(next));
    return p;
  }

  /// Whether the values are machine vectors of AVX-512.
  bool isWide() const {
    auto vector = dyn_cast<VectorType>(type);
    return vector && vector.getNumElements() == 16 && machine.getVectorBits() == 512;
  }

  /// x less the nearest whole number; 0 for infinities. Only where `isWide`.
  Value fraction(Value x) {
    Value nearest = integer32(8), all = allLanes(), rounding = integer32(4);
    Value none = constant(0.0);
    return LLVM::CallIntrinsicOp::create(b, loc, type,
                                         b.getStringAttr("llvm.x86.avx512.mask.reduce.ps.512"),
                                         ValueRange{x, nearest, none, all, rounding})
        .getResults();
  }

  /// p · 2^n for whole n, where `isWide` any, else at most ±300; overflows to infinity and
  /// underflows through the denormals to 0.
  Value scale(Value p, Value n) {
    // MLIR hands the operands on as they stand to an intrinsic whose order is (a, b, src).
    if (isWide())
      return x86vector::MaskScaleFOp::create(b, loc, type, p, n, p, allLanes(), integer32(4));
    // One factor of 2^n would leave the exponent's range where the product does not: two halves do
    // not.
    auto vector = dyn_cast<VectorType>(type);
    Type i32 = vector ? Type(vector.clone(b.getI32Type())) : b.getI32Type();
    auto integer = [&](int64_t v) { return splatConstant(b, loc, i32, v); };
    Value whole = arith::FPToSIOp::create(b, loc, i32, n);
    Value half = arith::ShRSIOp::create(b, loc, whole, integer(1));
    for (Value part : {half, arith::SubIOp::create(b, loc, whole, half).getResult()}) {
      Value biased = arith::AddIOp::create(b, loc, part, integer(127));
      Value bits = arith::ShLIOp::create(b, loc, biased, integer(23));
      p = mul(p, arith::BitcastOp::create(b, loc, type, bits));
    }
    return p;
  }

private:
  Value integer32(int32_t v) { return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(v)); }
  Value allLanes() { return arith::ConstantOp::create(b, loc, b.getI16IntegerAttr(-1)); }

  OpBuilder &b;
  Location loc;
  Type type;
  target::MachineAttr machine;
};

Value emitExp(F32Builder &f, Value x, double accuracy) {
  // exp(-104) rounds to 0 and exp(89) to infinity. x = n·ln2 + r; ln2 in two parts keeps r exact.
  x = f.clamp(x, -104.0, 89.0);
  Value n = f.round(f.mul(x, f.constant(1.44269504088896341)));
  Value r = f.fma(n, f.constant(-0.693145751953125), x);
  r = f.fma(n, f.constant(-1.42860682030941723e-6), r);
  // On [-ln2/2, ln2/2].
  static const double five[] = {
      1.0, 9.999997020e-01, 4.999915063e-01, 1.666763723e-01, 4.189797491e-02, 8.290306665e-03};
  static const double six[] = {1.0,
                               1.0,
                               4.999999404e-01,
                               1.666643173e-01,
                               4.166800156e-02,
                               8.374163881e-03,
                               1.384364441e-03};
  Value p = accuracy < 2.0 ? f.polynomial(r, six) : f.polynomial(r, five);
  return f.scale(p, n);
}

Value emitExp2(F32Builder &f, Value x, double accuracy) {
  Value n, r;
  if (f.isWide()) { // infinities scale 1 to the right values
    r = f.fraction(x);
    n = f.sub(x, r);
  } else { // 2^-151 rounds to 0 and 2^129 to infinity
    x = f.clamp(x, -151.0, 129.0);
    n = f.round(x);
    r = f.sub(x, n);
  }
  // On [-1/2, 1/2].
  static const double five[] = {
      1.0, 6.931470037e-01, 2.402224243e-01, 5.550733581e-02, 9.671512991e-03, 1.326472731e-03};
  static const double six[] = {1.0,
                               6.931471825e-01,
                               2.402264774e-01,
                               5.550332367e-02,
                               9.618436918e-03,
                               1.339887502e-03,
                               1.535336196e-04};
  Value p = accuracy < 2.0 ? f.polynomial(r, six) : f.polynomial(r, five);
  return f.scale(p, n);
}

/// x·p(x²)/q(x²), odd like the function, relative to which the error is small near 0 as well.
/// Beyond `saturation` the function rounds to ±1.
Value emitOddRational(F32Builder &f, Value x, double saturation, ArrayRef<double> p,
                      ArrayRef<double> q) {
  x = f.clamp(x, -saturation, saturation);
  Value square = f.mul(x, x);
  Value numerator = f.mul(x, f.polynomial(square, p));
  // Rounding may exceed 1 by an epsilon, which a caller's 1 - y would show as a wrong sign.
  return f.clamp(f.div(numerator, f.polynomial(square, q)), -1.0, 1.0);
}

Value emitErf(F32Builder &f, Value x, double) {
  static const double p[] = {1.128379107e+00, 1.907844245e-01, 5.279036239e-02,
                             3.779633669e-03, 2.848089207e-04, 2.041963171e-06};
  static const double q[] = {
      1.0, 5.024110079e-01, 1.142577678e-01, 1.499748696e-02, 1.165218186e-03, 3.800401464e-05};
  return emitOddRational(f, x, 3.93, p, q);
}

Value emitTanh(F32Builder &f, Value x, double) {
  static const double p[] = {1.0, 1.337971538e-01, 3.494032193e-03, 2.058344398e-05,
                             1.331902499e-08};
  static const double q[] = {1.0, 4.671303034e-01, 2.587106451e-02, 3.283089027e-04,
                             7.761998972e-07};
  return emitOddRational(f, x, 9.02, p, q);
}

/// `emit` is the f32 form, `function` the library's name for f64.
template <typename OpTy> class LowerFunction : public LoweringPattern<OpTy> {
public:
  using Emit = Value (*)(F32Builder &, Value, double);
  LowerFunction(const Lowering &lowering, Emit emit, StringRef function)
      : LoweringPattern<OpTy>(lowering), emit(emit), function(function) {}

  LogicalResult matchAndRewrite(OpTy op, typename LoweringPattern<OpTy>::OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    target::MachineAttr machine = this->lowering.machine;
    SmallVector<Value> results;
    for (Value piece : adaptor.getX()) {
      if (getElementTypeOrSelf(piece.getType()).isF64()) {
        results.push_back(callMath(rewriter, op.getLoc(), machine, function, piece));
        continue;
      }
      F32Builder f(rewriter, op.getLoc(), piece.getType(), machine);
      results.push_back(emit(f, piece, op.getAccuracy().convertToDouble()));
    }
    rewriter.replaceOpWithMultiple(op, {ValueRange(results)});
    return success();
  }

private:
  Emit emit;
  StringRef function;
};

} // namespace

void tessera::populateFunctionPatterns(RewritePatternSet &patterns, const Lowering &lowering) {
  patterns.add<LowerFunction<tile::ExpOp>>(lowering, emitExp, "exp");
  patterns.add<LowerFunction<tile::Exp2Op>>(lowering, emitExp2, "exp2");
  patterns.add<LowerFunction<tile::ErfOp>>(lowering, emitErf, "erf");
  patterns.add<LowerFunction<tile::TanhOp>>(lowering, emitTanh, "tanh");
}
