# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise functions of one tensor: arithmetic, exponentials, trigonometry, rounding, tests.

Integers and bools become the default float dtype where torch's do (exp, sin, sqrt, …); rounding
functions and the like return integers unchanged.
"""

from __future__ import annotations

import math

import torch

from tessera.lowering.aten.rules import (
    Arith,
    either,
    finish,
    is_integral,
    negate,
    promoted,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext

#: Graph IR's name for ATen functions that compute integers in the default float dtype.
FLOAT_FUNCTIONS: dict[str, tuple[str, ...]] = {
    "exp": ("exp",),
    "exp2": ("exp2", "special_exp2"),
    "expm1": ("expm1", "special_expm1"),
    "log": ("log",),
    "log2": ("log2",),
    "log10": ("log10",),
    "log1p": ("log1p", "special_log1p"),
    "sqrt": ("sqrt",),
    "rsqrt": ("rsqrt",),
    "reciprocal": ("reciprocal",),
    "sin": ("sin",),
    "cos": ("cos",),
    "tan": ("tan",),
    "asin": ("asin", "arcsin"),
    "acos": ("acos", "arccos"),
    "atan": ("atan", "arctan"),
    "sinh": ("sinh",),
    "cosh": ("cosh",),
    "tanh": ("tanh",),
    "asinh": ("asinh", "arcsinh"),
    "acosh": ("acosh", "arccosh"),
    "atanh": ("atanh", "arctanh"),
    "erf": ("erf", "special_erf"),
    "erfc": ("erfc", "special_erfc"),
    "erfinv": ("erfinv", "special_erfinv"),
    "sigmoid": ("sigmoid", "special_expit"),
}

#: Functions whose result for integers is the integer itself.
ROUNDING: dict[str, tuple[str, ...]] = {
    "ceil": ("ceil",),
    "floor": ("floor",),
    "trunc": ("trunc", "fix"),
    "round": ("round",),
}


def _register_float_function(op: str, names: tuple[str, ...]) -> None:
    @rule(*names)
    def lower(ctx: LoweringContext, self: GraphValue) -> GraphValue:
        (x,), _ = promoted(ctx, self, int_to_float=True)
        return ctx.emit(op, [x])


def _register_rounding(op: str, names: tuple[str, ...]) -> None:
    @rule(*names)
    def lower(ctx: LoweringContext, self: GraphValue) -> GraphValue:
        return self if is_integral(self.dtype) else ctx.emit(op, [self])


for _op, _names in FLOAT_FUNCTIONS.items():
    _register_float_function(_op, _names)
for _op, _names in ROUNDING.items():
    _register_rounding(_op, _names)


@rule("round.decimals", "special_round")
def round_decimals(ctx: LoweringContext, self: GraphValue, *, decimals: int = 0) -> GraphValue:
    if is_integral(self.dtype):
        return self
    (x,), result = promoted(ctx, self, wide=True)
    a = Arith(ctx, x.dtype)
    if decimals == 0:
        return finish(ctx, a.unary("round", x), result)
    factor = float(10 ** abs(decimals))
    if decimals > 0:
        return finish(ctx, a.div(a.unary("round", a.mul(x, factor)), factor), result)
    return finish(ctx, a.mul(a.unary("round", a.div(x, factor)), factor), result)


@rule("frac")
def frac(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    a = Arith(ctx, self.dtype)
    return a.sub(self, a.unary("trunc", self))


@rule("abs", "absolute")
def abs_(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    # Unsigned values and bools are their own magnitude.
    if self.dtype in (torch.bool, torch.uint8):
        return self
    return ctx.emit("abs", [self])


@rule("neg", "negative")
def neg(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    if self.dtype == torch.bool:
        raise TypeError("[neg] negation of a bool tensor is not defined; use logical_not")
    return ctx.emit("neg", [self])


@rule("sign", "sgn")
def sign(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return self if self.dtype == torch.bool else ctx.emit("sign", [self])


@rule("positive", "real", "resolve_conj", "resolve_neg", "conj", "_conj", "conj_physical")
def identity(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    """What changes nothing on real tensors."""
    return self


@rule("square")
def square(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    # torch computes pow(x, 2), which makes bools int64.
    x = ctx.cast(self, torch.int64) if self.dtype == torch.bool else self
    return ctx.emit("mul", [x, x])


@rule("bitwise_not")
def bitwise_not(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return ctx.emit("bitwise_not", [self])


# --- tests -----------------------------------------------------------------------------------


def _nowhere(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return ctx.broadcast(ctx.constant(False, torch.bool), self.shape)


@rule("isnan")
def isnan(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return _nowhere(ctx, self) if is_integral(self.dtype) else ctx.emit("isnan", [self])


@rule("isinf")
def isinf(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return _nowhere(ctx, self) if is_integral(self.dtype) else ctx.emit("isinf", [self])


@rule("isfinite")
def isfinite(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    if is_integral(self.dtype):
        return ctx.broadcast(ctx.constant(True, torch.bool), self.shape)
    return negate(ctx, either(ctx, ctx.emit("isnan", [self]), ctx.emit("isinf", [self])))


@rule("isposinf")
def isposinf(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    if is_integral(self.dtype):
        return _nowhere(ctx, self)
    return Arith(ctx, self.dtype).compare("eq", self, math.inf)


@rule("isneginf")
def isneginf(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    if is_integral(self.dtype):
        return _nowhere(ctx, self)
    return Arith(ctx, self.dtype).compare("eq", self, -math.inf)


@rule("isreal")
def isreal(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return ctx.broadcast(ctx.constant(True, torch.bool), self.shape)


@rule("signbit")
def signbit(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    if self.dtype == torch.bool:
        return _nowhere(ctx, self)
    a = Arith(ctx, self.dtype)
    if is_integral(self.dtype):
        return a.compare("lt", self, 0)
    # The sign of zeros and NaN shows only once it is copied to a one.
    return a.compare("lt", a.emit("copysign", 1.0, self), 0)


# --- composites ------------------------------------------------------------------------------


@rule("deg2rad")
def deg2rad(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    (x,), result = promoted(ctx, self, int_to_float=True, wide=True)
    return finish(ctx, Arith(ctx, x.dtype).mul(x, math.pi / 180.0), result)


@rule("rad2deg")
def rad2deg(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    (x,), result = promoted(ctx, self, int_to_float=True, wide=True)
    return finish(ctx, Arith(ctx, x.dtype).mul(x, 180.0 / math.pi), result)


@rule("sinc", "special_sinc")
def sinc(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    (x,), result = promoted(ctx, self, int_to_float=True, wide=True)
    a = Arith(ctx, x.dtype)
    angle = a.mul(x, math.pi)
    quotient = a.div(a.unary("sin", angle), angle)
    return finish(ctx, a.select(a.compare("eq", x, 0), 1.0, quotient), result)


@rule("logit", "special_logit")
def logit(ctx: LoweringContext, self: GraphValue, eps: float | None = None) -> GraphValue:
    (x,), result = promoted(ctx, self, int_to_float=True, wide=True)
    a = Arith(ctx, x.dtype)
    if eps is not None:
        x = a.minimum(a.maximum(x, eps), 1.0 - eps)
    return finish(ctx, a.unary("log", a.div(x, a.sub(1.0, x))), result)


@rule("nan_to_num")
def nan_to_num(
    ctx: LoweringContext,
    self: GraphValue,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> GraphValue:
    if is_integral(self.dtype):
        return self
    a = Arith(ctx, self.dtype)
    limits = torch.finfo(self.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    finite = a.select(a.unary("isnan", self), 0.0 if nan is None else nan, self)
    finite = a.select(a.compare("eq", self, math.inf), high, finite)
    return a.select(a.compare("eq", self, -math.inf), low, finite)


@rule("special_entr")
def entr(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    (x,), result = promoted(ctx, self, int_to_float=True, wide=True)
    a = Arith(ctx, x.dtype)
    inside = a.unary("neg", a.mul(x, a.unary("log", x)))
    outside = a.select(a.compare("eq", x, 0), 0.0, -math.inf)
    value = a.select(a.compare("gt", x, 0), inside, outside)
    return finish(ctx, a.select(a.unary("isnan", x), x, value), result)


@rule("special_ndtr")
def ndtr(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    (x,), result = promoted(ctx, self, int_to_float=True, wide=True)
    a = Arith(ctx, x.dtype)
    # Below zero through erfc, which keeps its digits where 1 + erf cancels.
    scaled = a.mul(x, math.sqrt(0.5))
    tail = a.mul(a.unary("erfc", a.unary("neg", scaled)), 0.5)
    return finish(ctx, tail, result)
