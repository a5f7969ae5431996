# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise functions of two tensors: arithmetic with torch's type promotion."""

from __future__ import annotations

import math

import torch

from tessera.lowering.aten.rules import (
    Arith,
    Number,
    Operand,
    both,
    either,
    finish,
    is_integral,
    number,
    promote_to,
    promoted,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext


@rule("add.Tensor", "add.Scalar")
def add(ctx: LoweringContext, self: Operand, other: Operand, alpha: Number = 1) -> GraphValue:
    (x, y), result = promoted(ctx, self, other, wide=alpha != 1)
    _check_alpha("add", alpha, result)
    a = Arith(ctx, x.dtype)
    return finish(ctx, a.add(x, a.scale(y, alpha)), result)


@rule("sub.Tensor", "sub.Scalar", "subtract.Tensor", "subtract.Scalar")
def sub(ctx: LoweringContext, self: Operand, other: Operand, alpha: Number = 1) -> GraphValue:
    (x, y), result = promoted(ctx, self, other, wide=alpha != 1)
    _check_alpha("sub", alpha, result)
    if result == torch.bool:
        raise TypeError("[sub] subtraction of bool tensors is not defined; use bitwise_xor")
    a = Arith(ctx, x.dtype)
    return finish(ctx, a.sub(x, a.scale(y, alpha)), result)


@rule("rsub.Tensor", "rsub.Scalar")
def rsub(ctx: LoweringContext, self: Operand, other: Operand, alpha: Number = 1) -> GraphValue:
    return sub(ctx, other, self, alpha)


def _check_alpha(op: str, alpha: Number, result: torch.dtype) -> None:
    if isinstance(alpha, float) and is_integral(result):
        raise TypeError(f"[{op}] alpha is {alpha}, but must be an integer for a {result} result")


@rule("mul.Tensor", "mul.Scalar", "multiply.Tensor", "multiply.Scalar")
def mul(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    (x, y), result = promoted(ctx, self, other)
    return finish(ctx, Arith(ctx, x.dtype).mul(x, y), result)


@rule(
    "div.Tensor",
    "div.Scalar",
    "div.Tensor_mode",
    "div.Scalar_mode",
    "divide.Tensor",
    "divide.Scalar",
    "divide.Tensor_mode",
    "divide.Scalar_mode",
    "true_divide.Tensor",
    "true_divide.Scalar",
)
def div(
    ctx: LoweringContext, self: Operand, other: Operand, *, rounding_mode: str | None = None
) -> GraphValue:
    if rounding_mode is None:
        (x, y), result = promoted(ctx, self, other, int_to_float=True)
        return finish(ctx, ctx.emit("div", [x, y]), result)
    if rounding_mode == "floor":
        return _integer_or_float(ctx, "floor_div", self, other)
    if rounding_mode == "trunc":
        return _integer_or_float(ctx, "trunc_div", self, other)
    raise ValueError(f"[div] rounding_mode is {rounding_mode!r}; expected None, 'trunc' or 'floor'")


@rule("floor_divide", "floor_divide.Scalar")
def floor_divide(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return _integer_or_float(ctx, "floor_div", self, other)


@rule("remainder.Tensor", "remainder.Scalar", "remainder.Scalar_Tensor")
def remainder(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return _integer_or_float(ctx, "remainder", self, other)


@rule("fmod.Tensor", "fmod.Scalar")
def fmod(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return _integer_or_float(ctx, "fmod", self, other)


def _integer_or_float(ctx: LoweringContext, op: str, self: Operand, other: Operand) -> GraphValue:
    (x, y), result = promoted(ctx, self, other)
    if result == torch.bool:
        raise TypeError(f"[{op}] is not defined for bool tensors; cast them to an integer dtype")
    return finish(ctx, ctx.emit(op, [x, y]), result)


#: Steps of Euclid's algorithm after which 64-bit integers are exact as float64.
_EUCLID_STEPS = 22


@rule("gcd")
def gcd(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    dtype = _integral(ctx, "gcd", self, other)
    if dtype == torch.bool:
        raise TypeError("[gcd] is not defined for bool tensors; cast them to an integer dtype")
    a = Arith(ctx, dtype)
    x, y = (a.unary("abs", value) for value in promote_to(ctx, dtype, self, other))
    for _ in range(_EUCLID_STEPS if dtype == torch.int64 else 0):
        done = a.compare("eq", x, 0)
        rest = a.emit("fmod", y, a.select(done, 1, x))
        x, y = a.select(done, 0, rest), a.select(done, y, x)
    found = ctx.cast(
        ctx.emit("special", promote_to(ctx, torch.float64, x, y), function="gcd"), dtype
    )
    # Found already, it may be too large for float64.
    return a.select(a.compare("eq", x, 0), y, found)


@rule("lcm")
def lcm(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    divisor = gcd(ctx, self, other)
    # C computes narrow integers in 32 bits.
    wide = divisor.dtype if torch.iinfo(divisor.dtype).bits > 32 else torch.int32
    a = Arith(ctx, wide)
    x, y, by = promote_to(ctx, wide, *promote_to(ctx, divisor.dtype, self, other), divisor)
    none = a.compare("eq", by, 0)
    share = a.emit("trunc_div", x, a.select(none, 1, by))
    return ctx.cast(a.select(none, 0, a.unary("abs", a.mul(share, y))), divisor.dtype)


def _register_float_pair(op: str, *names: str) -> None:
    @rule(*names)
    def lower(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
        (x, y), result = promoted(ctx, self, other, int_to_float=True)
        return finish(ctx, ctx.emit(op, [x, y]), result)


_register_float_pair("atan2", "atan2", "arctan2")
_register_float_pair("copysign", "copysign.Tensor", "copysign.Scalar")


@rule("maximum", "max.other")
def maximum(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    (x, y), result = promoted(ctx, self, other)
    return finish(ctx, Arith(ctx, x.dtype).maximum(x, y), result)


@rule("minimum", "min.other")
def minimum(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    (x, y), result = promoted(ctx, self, other)
    return finish(ctx, Arith(ctx, x.dtype).minimum(x, y), result)


def _without_nan(ctx: LoweringContext, op: str, self: Operand, other: Operand) -> GraphValue:
    (x, y), result = promoted(ctx, self, other)
    a = Arith(ctx, x.dtype)
    chosen = a.maximum(x, y) if op == "maximum" else a.minimum(x, y)
    if not is_integral(x.dtype):
        # A NaN loses against any number.
        chosen = a.select(a.unary("isnan", y), x, chosen)
        chosen = a.select(a.unary("isnan", x), y, chosen)
    return finish(ctx, chosen, result)


@rule("fmax")
def fmax(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return _without_nan(ctx, "maximum", self, other)


@rule("fmin")
def fmin(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return _without_nan(ctx, "minimum", self, other)


# --- powers ----------------------------------------------------------------------------------


@rule("pow.Tensor_Tensor", "pow.Tensor_Scalar", "pow.Scalar")
def pow_(ctx: LoweringContext, self: Operand, exponent: Operand) -> GraphValue:
    if isinstance(self, GraphValue) and not isinstance(exponent, GraphValue):
        return _pow_scalar(ctx, self, exponent)
    (x, y), result = promoted(ctx, self, exponent)
    if result == torch.bool:
        # 0 ** 1 is the only false one: x or not y.
        return either(ctx, x, ctx.emit("bitwise_not", [y]))
    return finish(ctx, ctx.emit("pow", [x, y]), result)


def _pow_scalar(ctx: LoweringContext, self: GraphValue, exponent: Number) -> GraphValue:
    (x, _), result = promoted(ctx, self, exponent, wide=True)
    a = Arith(ctx, x.dtype)
    if is_integral(result):
        if result == torch.bool:
            return a.add(x, not exponent)
        if exponent < 0:
            raise ValueError(
                f"[pow] integers to the negative integer power {exponent} are not defined; "
                "cast the tensor to a floating-point dtype"
            )
        return _integer_power(ctx, x, int(exponent))
    special = {0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if exponent in special:
        return finish(ctx, a.unary(special[float(exponent)], x), result)
    if exponent in (1, 2, 3, 4):
        return finish(ctx, _integer_power(ctx, x, int(exponent)), result)
    if exponent == -2:
        return finish(ctx, a.unary("reciprocal", a.mul(x, x)), result)
    if exponent == 0:
        return ctx.broadcast(number(ctx, 1, result), x.shape)
    return finish(ctx, a.emit("pow", x, float(exponent)), result)


def _integer_power(ctx: LoweringContext, x: GraphValue, exponent: int) -> GraphValue:
    """x ** exponent by repeated squaring; wraps as integers do."""
    if exponent == 0:
        return ctx.broadcast(number(ctx, 1, x.dtype), x.shape)
    power: GraphValue | None = None
    while True:
        if exponent & 1:
            power = x if power is None else ctx.emit("mul", [power, x])
        exponent >>= 1
        if not exponent:
            assert power is not None
            return power
        x = ctx.emit("mul", [x, x])


@rule("float_power.Tensor_Tensor", "float_power.Tensor_Scalar", "float_power.Scalar")
def float_power(ctx: LoweringContext, self: Operand, exponent: Operand) -> GraphValue:
    base = ctx.cast(self, torch.float64) if isinstance(self, GraphValue) else float(self)
    power = (
        ctx.cast(exponent, torch.float64) if isinstance(exponent, GraphValue) else float(exponent)
    )
    return ctx.cast(pow_(ctx, base, power), torch.float64)


@rule("ldexp.Tensor")
def ldexp(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    # torch computes self * 2 ** other, the power in float.
    power, result = promoted(ctx, other, int_to_float=True)
    return mul(ctx, self, finish(ctx, ctx.emit("exp2", [power[0]]), result))


# --- guarded logarithms and the like ---------------------------------------------------------


@rule("logaddexp")
def logaddexp(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    return _logaddexp(ctx, self, other, "exp", "log1p", 1.0)


@rule("logaddexp2")
def logaddexp2(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    return _logaddexp(ctx, self, other, "exp2", "log1p", 1.0 / math.log(2.0))


def _logaddexp(
    ctx: LoweringContext, self: Operand, other: Operand, exp: str, log1p: str, factor: float
) -> GraphValue:
    (x, y), result = promoted(ctx, self, other, int_to_float=True, wide=True)
    a = Arith(ctx, x.dtype)
    distance = a.unary("neg", a.unary("abs", a.sub(x, y)))
    value = a.add(a.maximum(x, y), a.scale(a.unary(log1p, a.unary(exp, distance)), factor))
    # Equal infinities: their difference is NaN, the answer is the infinity itself.
    same = both(ctx, a.unary("isinf", x), a.compare("eq", x, y))
    return finish(ctx, a.select(same, x, value), result)


def _register_xlog(op: str, *names: str) -> None:
    @rule(*names)
    def lower(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
        (x, y), result = promoted(ctx, self, other, int_to_float=True, wide=True)
        a = Arith(ctx, x.dtype)
        product = a.mul(x, a.unary(op, y))
        product = a.select(a.compare("eq", x, 0), 0.0, product)
        return finish(ctx, a.select(a.unary("isnan", y), math.nan, product), result)


_register_xlog(
    "log",
    "xlogy.Tensor",
    "xlogy.Scalar_Self",
    "xlogy.Scalar_Other",
    "special_xlogy",
    "special_xlogy.self_scalar",
    "special_xlogy.other_scalar",
)
_register_xlog(
    "log1p", "special_xlog1py", "special_xlog1py.self_scalar", "special_xlog1py.other_scalar"
)


@rule("hypot")
def hypot(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    (x, y), result = promoted(ctx, self, other, wide=True)
    if is_integral(result):
        raise TypeError(f"[hypot] is not defined for {result}; cast to a floating-point dtype")
    a = Arith(ctx, x.dtype)
    x, y = a.unary("abs", x), a.unary("abs", y)
    # Scaled by the larger leg, so that the squares cannot overflow.
    large, small = a.maximum(x, y), a.minimum(x, y)
    ratio = a.div(small, a.select(a.compare("eq", large, 0), 1.0, large))
    value = a.mul(large, a.unary("sqrt", a.add(a.mul(ratio, ratio), 1.0)))
    infinite = either(ctx, a.unary("isinf", x), a.unary("isinf", y))
    return finish(ctx, a.select(infinite, math.inf, value), result)


@rule("heaviside")
def heaviside(ctx: LoweringContext, self: GraphValue, values: GraphValue) -> GraphValue:
    if self.dtype != values.dtype:
        raise TypeError(
            f"[heaviside] input is {self.dtype} and values {values.dtype}; they must agree"
        )
    a = Arith(ctx, self.dtype)
    step = a.select(a.compare("gt", self, 0), 1, 0)
    return a.select(a.compare("eq", self, 0), values, step)


# --- bits ------------------------------------------------------------------------------------


def _register_bitwise(op: str, *names: str) -> None:
    @rule(*names)
    def lower(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
        x, y = promote_to(ctx, _integral(ctx, op, self, other), self, other)
        return ctx.emit(op, [x, y])


def _integral(ctx: LoweringContext, op: str, self: Operand, other: Operand) -> torch.dtype:
    dtype = ctx.result_type(self, other)
    if not is_integral(dtype):
        raise TypeError(f"[{op}] is defined for integers and bools, not {dtype}")
    return dtype


for _op, _dunder in (
    ("bitwise_and", "__and__"),
    ("bitwise_or", "__or__"),
    ("bitwise_xor", "__xor__"),
):
    _register_bitwise(
        _op,
        f"{_op}.Tensor",
        f"{_op}.Scalar",
        f"{_op}.Scalar_Tensor",
        f"{_dunder}.Tensor",
        f"{_dunder}.Scalar",
    )


def _shift(ctx: LoweringContext, left: bool, self: Operand, other: Operand) -> GraphValue:
    """torch's rule for shifts by a negative amount or by the width and more."""
    op = "shift_left" if left else "shift_right"
    dtype = _integral(ctx, op, self, other)
    if dtype == torch.bool:
        raise TypeError(f"[{op}] is not defined for bool tensors; cast them to an integer dtype")
    x, y = promote_to(ctx, dtype, self, other)
    a = Arith(ctx, dtype)
    signed = torch.iinfo(dtype).min < 0
    # A right shift keeps the sign bit apart, hence one place less.
    width = torch.iinfo(dtype).bits - (0 if left or not signed else 1)
    out = a.compare("ge", y, width)
    if signed:
        out = either(ctx, out, a.compare("lt", y, 0))
    safe = a.select(out, 0 if left else width - (0 if signed else 1), y)
    shifted = ctx.emit(op, [x, safe])
    if left or not signed:
        return a.select(out, 0, shifted)
    return shifted


@rule(
    "bitwise_left_shift.Tensor",
    "bitwise_left_shift.Tensor_Scalar",
    "bitwise_left_shift.Scalar_Tensor",
    "__lshift__.Tensor",
    "__lshift__.Scalar",
)
def shift_left(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return _shift(ctx, True, self, other)


@rule(
    "bitwise_right_shift.Tensor",
    "bitwise_right_shift.Tensor_Scalar",
    "bitwise_right_shift.Scalar_Tensor",
    "__rshift__.Tensor",
    "__rshift__.Scalar",
)
def shift_right(ctx: LoweringContext, self: Operand, other: Operand) -> GraphValue:
    return _shift(ctx, False, self, other)
