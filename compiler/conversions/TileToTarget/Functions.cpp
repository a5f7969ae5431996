//===- Functions.cpp - exp, exp2, erf, tanh, GELU -------------------------===//
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
// GELU is x times a gate between 0 and 1, which is off by 1.2 epsilon: AVX-512 looks the gate's
// polynomials up in registers, which spares a quotient; others take it from erf or tanh (1.6).
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

/// Arithmetic on scalars or vectors of floats; the functions of bits are for f32.
class F32Builder {
public:
  F32Builder(OpBuilder &b, Location loc, Type type, target::MachineAttr machine)
      : b(b), loc(loc), type(type), machine(machine) {}

  Value constant(double v) { return splatConstant(b, loc, type, v); }
  Value abs(Value x) { return math::AbsFOp::create(b, loc, x); }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
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

  /// Whether the values are machine vectors of f32 of AVX-512.
  bool isWide() const {
    auto vector = dyn_cast<VectorType>(type);
    return vector && vector.getElementType().isF32() && vector.getNumElements() == 16 &&
           machine.getVectorBits() == 512;
  }

  template <typename OpTy> Value apply(Value x) { return OpTy::create(b, loc, x); }

  /// x less the nearest whole number; 0 for infinities. Only where `isWide`.
  Value fraction(Value x) {
    return intrinsic("llvm.x86.avx512.mask.reduce.ps.512",
                     {x, integer32(8), constant(0.0), allLanes(), integer32(4)});
  }

  /// The smaller of |x| and `bound`; `bound` for a NaN. Only where `isWide`.
  Value boundedMagnitude(Value x, double bound) {
    Value smallerMagnitudeWithoutSign = integer32(0b1010);
    return intrinsic(
        "llvm.x86.avx512.mask.range.ps.512",
        {x, constant(bound), smallerMagnitudeWithoutSign, constant(0.0), allLanes(), integer32(4)});
  }

  /// The whole number nearest to x, |x| < 2^22, in the lowest bits of a lane. Only where `isWide`.
  Value nearestIndex(Value x) {
    Type i32 = cast<VectorType>(type).clone(b.getI32Type());
    return arith::BitcastOp::create(b, loc, i32, add(x, constant(0x1.8p23)));
  }

  /// table[index mod 16]. Only where `isWide`.
  Value lookUp(ArrayRef<float> table, Value index) {
    auto elements = DenseElementsAttr::get(cast<ShapedType>(type), table);
    return intrinsic("llvm.x86.avx512.permvar.sf.512",
                     {arith::ConstantOp::create(b, loc, elements), index});
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
  Value intrinsic(StringRef name, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(b, loc, type, b.getStringAttr(name), operands)
        .getResults();
  }
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
      1.0, 9.99999702e-01, 4.999915063e-01, 1.666763723e-01, 4.189797491e-02, 8.290306665e-03};
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

/// gate(x) - 1/2 for x >= 0, where gelu(x) = x · gate(x) and gate(-x) = 1 - gate(x): polynomials
/// about k / scale for k from 0 to 15 in what x · scale exceeds k by. `coefficients[i][k]` is that
/// of power i. The last polynomial ends in 1/2 exactly, which is the value beyond it.
struct Gate {
  float scale;
  float coefficients[5][16];
};

/// The normal distribution function.
const Gate normalGate = {
    2.87037039,
    {{0.0, 1.36225253e-01, 2.57027924e-01, 3.52025777e-01, 4.18273002e-01, 4.59240139e-01,
      4.81705576e-01, 4.92630094e-01, 4.97340858e-01, 4.99142140e-01, 4.99752879e-01,
      4.99936521e-01, 4.99985456e-01, 4.99997050e-01, 4.99999464e-01, 4.99999940e-01},
     {1.38986260e-01, 1.30801827e-01, 1.09030515e-01, 8.04954171e-02, 5.26359193e-02,
      3.04845627e-02, 1.56373363e-02, 7.10441964e-03, 2.85874191e-03, 1.01882382e-03,
      3.21586500e-04, 8.99015940e-05, 2.22589060e-05, 4.88092974e-06, 9.47891351e-07,
      1.63029583e-07},
     {2.47167100e-06, -7.93776009e-03, -1.32331569e-02, -1.46547817e-02, -1.27770863e-02,
      -9.25003458e-03, -5.69393439e-03, -3.01808584e-03, -1.38796517e-03, -5.56501152e-04,
      -1.95180255e-04, -6.00226340e-05, -1.62129018e-05, -3.85164958e-06, -8.05596926e-07,
      -1.48465375e-07},
     {-2.83078733e-03, -2.31340853e-03, -1.13344169e-03, 1.43149649e-04, 9.93157504e-04,
      1.24749402e-03, 1.06335338e-03, 7.11720844e-04, 3.93225200e-04, 1.83614728e-04,
      7.34230125e-05, 2.53496564e-05, 7.59809245e-06, 1.98474891e-06, 4.53111767e-07,
      9.06016453e-08},
     {5.46473457e-05, 2.29169120e-04, 3.34143318e-04, 2.81384011e-04, 1.36875708e-04,
      -2.20233460e-06, -7.78906760e-05, -8.94780896e-05, -6.68744469e-05, -3.85840794e-05,
      -1.81827163e-05, -7.18603724e-06, -2.41729754e-06, -6.98557869e-07, -1.74508628e-07,
      -3.78531233e-08}}};

/// (1 + tanh(sqrt(2/π) · (x + 0.044715 x³))) / 2.
const Gate tanhGate = {
    3.10000014,
    {{0.0, 1.26483291e-01, 2.40523234e-01, 3.33267301e-01, 4.01352942e-01, 4.46506530e-01,
      4.73556459e-01, 4.88166273e-01, 4.95248079e-01, 4.98306006e-01, 4.99470383e-01,
      4.99856681e-01, 4.99966890e-01, 4.99993563e-01, 4.99998957e-01, 4.99999911e-01},
     {1.28690988e-01, 1.22136757e-01, 1.04433857e-01, 8.05027261e-02, 5.59936315e-02,
      3.51592787e-02, 1.99119225e-02, 1.01367822e-02, 4.60933521e-03, 1.85475277e-03,
      6.52782270e-04, 1.98298250e-04, 5.12621300e-05, 1.11149593e-05, 1.99215992e-06,
      2.90888380e-07},
     {1.72342004e-06, -6.38167746e-03, -1.08906562e-02, -1.25504965e-02, -1.15963686e-02,
      -9.08218976e-03, -6.18321495e-03, -3.70143726e-03, -1.95305375e-03, -9.04368469e-04,
      -3.64110630e-04, -1.25895793e-04, -3.68665205e-05, -9.01163367e-06, -1.81220059e-06,
      -2.95507562e-07},
     {-2.25635455e-03, -1.89373537e-03, -1.04603043e-03, -7.85366865e-05, 6.40891492e-04,
      9.54904419e-04, 9.24369961e-04, 7.10183056e-04, 4.58743161e-04, 2.53778824e-04,
      1.20363584e-04, 4.85684213e-05, 1.64781213e-05, 4.63830156e-06, 1.06847983e-06,
      1.98714218e-07},
     {3.80749298e-05, 1.61686126e-04, 2.44977738e-04, 2.22760224e-04, 1.30496846e-04,
      2.96023063e-05, -3.77368597e-05, -6.31500588e-05, -5.91640855e-05, -4.23964921e-05,
      -2.48197866e-05, -1.20400291e-05, -4.82409314e-06, -1.58144530e-06, -4.19343621e-07,
      -8.88707774e-08}}};

/// x · gate(x) as |x| · (gate(|x|) - 1/2) + x/2. The last sum makes NaN of NaN and of -infinity,
/// as the definition does in f32, and 0 of everything below -15.5 / scale.
Value emitGated(F32Builder &f, Value x, const Gate &gate) {
  // Just short of 15.5, which would round to 16.
  Value position = f.boundedMagnitude(f.mul(x, f.constant(gate.scale)), 0x1.effffep3);
  Value index = f.nearestIndex(position), excess = f.fraction(position);
  Value p = f.lookUp(gate.coefficients[4], index);
  for (int power = 3; power >= 0; --power)
    p = f.fma(p, excess, f.lookUp(gate.coefficients[power], index));
  return f.fma(f.abs(x), p, f.mul(x, f.constant(0.5)));
}

/// Not half + half · inner: the sum must vanish exactly where `inner` is -1.
Value emitHalfTimesOnePlus(F32Builder &f, Value x, Value inner) {
  return f.mul(f.mul(x, f.constant(0.5)), f.add(f.constant(1.0), inner));
}

Value emitGelu(F32Builder &f, Value x, double) {
  if (f.isWide())
    return emitGated(f, x, normalGate);
  Value argument = f.mul(x, f.constant(0.70710678118654752440));
  return emitHalfTimesOnePlus(f, x, f.apply<tile::ErfOp>(argument));
}

Value emitGeluTanh(F32Builder &f, Value x, double) {
  if (f.isWide())
    return emitGated(f, x, tanhGate);
  Value cube = f.mul(f.mul(x, x), x);
  Value sum = f.fma(cube, f.constant(0.044715), x);
  Value argument = f.mul(f.constant(0.79788456080286535588), sum);
  return emitHalfTimesOnePlus(f, x, f.apply<tile::TanhOp>(argument));
}

/// `emit` is the f32 form, `function` the library's name for f64, if it has one.
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
      if (getElementTypeOrSelf(piece.getType()).isF64() && !function.empty()) {
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
  patterns.add<LowerFunction<tile::GeluOp>>(lowering, emitGelu, "");
  patterns.add<LowerFunction<tile::GeluTanhOp>>(lowering, emitGeluTanh, "");
}
