# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise functions, with torch's names, arguments, broadcasting and type promotion.

Integers and bools become the default float dtype in functions whose results are not integers.
"""

from __future__ import annotations

import torch

from tessera.ops._dispatch import Value, call

Number = bool | int | float


# --- one operand -----------------------------------------------------------------------------


def abs(input: Value) -> Value:
    """The magnitude."""
    return call("abs.default", input)


def neg(input: Value) -> Value:
    """The negative."""
    return call("neg.default", input)


def sign(input: Value) -> Value:
    """-1, 0 or 1."""
    return call("sign.default", input)


def exp(input: Value) -> Value:
    """e to the power of each element."""
    return call("exp.default", input)


def exp2(input: Value) -> Value:
    """Two to the power of each element."""
    return call("exp2.default", input)


def expm1(input: Value) -> Value:
    """exp(x) - 1, accurate near zero."""
    return call("expm1.default", input)


def log(input: Value) -> Value:
    """The natural logarithm."""
    return call("log.default", input)


def log2(input: Value) -> Value:
    """The logarithm to base 2."""
    return call("log2.default", input)


def log10(input: Value) -> Value:
    """The logarithm to base 10."""
    return call("log10.default", input)


def log1p(input: Value) -> Value:
    """log(1 + x), accurate near zero."""
    return call("log1p.default", input)


def sqrt(input: Value) -> Value:
    """The square root."""
    return call("sqrt.default", input)


def rsqrt(input: Value) -> Value:
    """1 / sqrt(x)."""
    return call("rsqrt.default", input)


def reciprocal(input: Value) -> Value:
    """1 / x."""
    return call("reciprocal.default", input)


def square(input: Value) -> Value:
    """x * x."""
    return call("square.default", input)


def sin(input: Value) -> Value:
    """The sine."""
    return call("sin.default", input)


def cos(input: Value) -> Value:
    """The cosine."""
    return call("cos.default", input)


def tan(input: Value) -> Value:
    """The tangent."""
    return call("tan.default", input)


def asin(input: Value) -> Value:
    """The arc sine."""
    return call("asin.default", input)


def acos(input: Value) -> Value:
    """The arc cosine."""
    return call("acos.default", input)


def atan(input: Value) -> Value:
    """The arc tangent."""
    return call("atan.default", input)


def sinh(input: Value) -> Value:
    """The hyperbolic sine."""
    return call("sinh.default", input)


def cosh(input: Value) -> Value:
    """The hyperbolic cosine."""
    return call("cosh.default", input)


def tanh(input: Value) -> Value:
    """The hyperbolic tangent."""
    return call("tanh.default", input)


def asinh(input: Value) -> Value:
    """The inverse hyperbolic sine."""
    return call("asinh.default", input)


def acosh(input: Value) -> Value:
    """The inverse hyperbolic cosine."""
    return call("acosh.default", input)


def atanh(input: Value) -> Value:
    """The inverse hyperbolic tangent."""
    return call("atanh.default", input)


def erf(input: Value) -> Value:
    """The error function."""
    return call("erf.default", input)


def erfc(input: Value) -> Value:
    """1 - erf(x), accurate for large x."""
    return call("erfc.default", input)


def erfinv(input: Value) -> Value:
    """The inverse of the error function."""
    return call("erfinv.default", input)


def sigmoid(input: Value) -> Value:
    """1 / (1 + exp(-x))."""
    return call("sigmoid.default", input)


def ceil(input: Value) -> Value:
    """The smallest integer not below x."""
    return call("ceil.default", input)


def floor(input: Value) -> Value:
    """The largest integer not above x."""
    return call("floor.default", input)


def trunc(input: Value) -> Value:
    """x without its fraction."""
    return call("trunc.default", input)


def frac(input: Value) -> Value:
    """x - trunc(x)."""
    return call("frac.default", input)


def isnan(input: Value) -> Value:
    """Whether an element is NaN."""
    return call("isnan.default", input)


def isinf(input: Value) -> Value:
    """Whether an element is an infinity."""
    return call("isinf.default", input)


def isfinite(input: Value) -> Value:
    """Whether an element is a finite number."""
    return call("isfinite.default", input)


def signbit(input: Value) -> Value:
    """Whether an element carries a minus sign."""
    return call("signbit.default", input)


def bitwise_not(input: Value) -> Value:
    """All bits inverted; logical not on bool."""
    return call("bitwise_not.default", input)


def logical_not(input: Value) -> Value:
    """Whether an element is zero."""
    return call("logical_not.default", input)


def relu(input: Value) -> Value:
    """max(x, 0)."""
    return call("relu.default", input)


def silu(input: Value) -> Value:
    """x * sigmoid(x)."""
    return call("silu.default", input)


def round(input: Value, *, decimals: int = 0) -> Value:
    """The nearest integer, ties to even; with `decimals`, the nearest multiple of 10**-decimals."""
    return (
        call("round.decimals", input, decimals=decimals)
        if decimals
        else call("round.default", input)
    )


def logit(input: Value, eps: float | None = None) -> Value:
    """log(x / (1 - x)), x clamped to [eps, 1 - eps]."""
    return call("logit.default", input, eps)


def nan_to_num(
    input: Value, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Value:
    """NaN and infinities replaced by numbers."""
    return call("nan_to_num.default", input, nan, posinf, neginf)


# --- two operands ----------------------------------------------------------------------------


def add(input: Value, other: Value, *, alpha: Number = 1) -> Value:
    """input + alpha * other."""
    return call("add.Tensor", input, other, alpha=alpha)


def sub(input: Value, other: Value, *, alpha: Number = 1) -> Value:
    """input - alpha * other."""
    return call("sub.Tensor", input, other, alpha=alpha)


def mul(input: Value, other: Value) -> Value:
    """input * other."""
    return call("mul.Tensor", input, other)


def div(input: Value, other: Value, *, rounding_mode: str | None = None) -> Value:
    """input / other; `rounding_mode` "trunc" rounds towards zero, "floor" down."""
    return call("div.Tensor_mode", input, other, rounding_mode=rounding_mode)


def floor_divide(input: Value, other: Value) -> Value:
    """The quotient rounded down."""
    return call("floor_divide.default", input, other)


def remainder(input: Value, other: Value) -> Value:
    """The remainder with the sign of the divisor."""
    return call("remainder.Tensor", input, other)


def fmod(input: Value, other: Value) -> Value:
    """The remainder with the sign of the dividend."""
    return call("fmod.Tensor", input, other)


def atan2(input: Value, other: Value) -> Value:
    """The angle of the point (other, input)."""
    return call("atan2.default", input, other)


def copysign(input: Value, other: Value) -> Value:
    """The magnitude of input with the sign of other."""
    return call("copysign.Tensor", input, other)


def maximum(input: Value, other: Value) -> Value:
    """The larger of two; NaN when either is."""
    return call("maximum.default", input, other)


def minimum(input: Value, other: Value) -> Value:
    """The smaller of two; NaN when either is."""
    return call("minimum.default", input, other)


def fmax(input: Value, other: Value) -> Value:
    """The larger of two; NaN only when both are."""
    return call("fmax.default", input, other)


def fmin(input: Value, other: Value) -> Value:
    """The smaller of two; NaN only when both are."""
    return call("fmin.default", input, other)


def hypot(input: Value, other: Value) -> Value:
    """sqrt(input² + other²) without overflow."""
    return call("hypot.default", input, other)


def logaddexp(input: Value, other: Value) -> Value:
    """log(exp(input) + exp(other))."""
    return call("logaddexp.default", input, other)


def logaddexp2(input: Value, other: Value) -> Value:
    """log2(2**input + 2**other)."""
    return call("logaddexp2.default", input, other)


def xlogy(input: Value, other: Value) -> Value:
    """input * log(other), zero where input is."""
    return call("xlogy.Tensor", input, other)


def heaviside(input: Value, other: Value) -> Value:
    """The step function, `other` where input is zero."""
    return call("heaviside.default", input, other)


def bitwise_and(input: Value, other: Value) -> Value:
    """Bitwise (on bool: logical) conjunction."""
    return call("bitwise_and.Tensor", input, other)


def bitwise_or(input: Value, other: Value) -> Value:
    """Bitwise (on bool: logical) disjunction."""
    return call("bitwise_or.Tensor", input, other)


def bitwise_xor(input: Value, other: Value) -> Value:
    """Bitwise (on bool: logical) exclusive disjunction."""
    return call("bitwise_xor.Tensor", input, other)


def bitwise_left_shift(input: Value, other: Value) -> Value:
    """input * 2**other on integers."""
    return call("bitwise_left_shift.Tensor", input, other)


def bitwise_right_shift(input: Value, other: Value) -> Value:
    """input / 2**other rounded down, on integers."""
    return call("bitwise_right_shift.Tensor", input, other)


def logical_and(input: Value, other: Value) -> Value:
    """Whether both are not zero."""
    return call("logical_and.default", input, other)


def logical_or(input: Value, other: Value) -> Value:
    """Whether either is not zero."""
    return call("logical_or.default", input, other)


def logical_xor(input: Value, other: Value) -> Value:
    """Whether exactly one is not zero."""
    return call("logical_xor.default", input, other)


def eq(input: Value, other: Value) -> Value:
    """Whether elements are equal."""
    return call("eq.Tensor", input, other)


def ne(input: Value, other: Value) -> Value:
    """Whether elements differ."""
    return call("ne.Tensor", input, other)


def lt(input: Value, other: Value) -> Value:
    """Whether input < other."""
    return call("lt.Tensor", input, other)


def le(input: Value, other: Value) -> Value:
    """Whether input <= other."""
    return call("le.Tensor", input, other)


def gt(input: Value, other: Value) -> Value:
    """Whether input > other."""
    return call("gt.Tensor", input, other)


def ge(input: Value, other: Value) -> Value:
    """Whether input >= other."""
    return call("ge.Tensor", input, other)


def pow(input: Value, exponent: Value) -> Value:
    """input to the power of exponent."""
    scalar = isinstance(exponent, (bool, int, float))
    return call("pow.Tensor_Scalar" if scalar else "pow.Tensor_Tensor", input, exponent)


# --- three and more --------------------------------------------------------------------------


def where(condition: Value, input: Value, other: Value) -> Value:
    """input where the condition holds, else other."""
    return call("where.self", condition, input, other)


def masked_fill(input: Value, mask: Value, value: Value) -> Value:
    """value where the mask holds, else input."""
    return call("masked_fill.Scalar", input, mask, value)


def clamp(input: Value, min: Value | None = None, max: Value | None = None) -> Value:
    """input, no smaller than min and no larger than max; NaN stays."""
    return call("clamp.default", input, min, max)


def addcmul(input: Value, tensor1: Value, tensor2: Value, *, value: Number = 1) -> Value:
    """input + value * tensor1 * tensor2."""
    return call("addcmul.default", input, tensor1, tensor2, value=value)


def addcdiv(input: Value, tensor1: Value, tensor2: Value, *, value: Number = 1) -> Value:
    """input + value * tensor1 / tensor2."""
    return call("addcdiv.default", input, tensor1, tensor2, value=value)


def lerp(input: Value, end: Value, weight: Value) -> Value:
    """input + weight * (end - input)."""
    return call("lerp.Tensor", input, end, weight)


def gelu(input: Value, approximate: str = "none") -> Value:
    """x times the normal distribution's cumulative function."""
    return call("gelu.default", input, approximate=approximate)


def to(input: Value, dtype: torch.dtype) -> Value:
    """The elements converted to another dtype."""
    return call("to.dtype", input, dtype)
