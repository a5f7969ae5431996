# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random: tensors filled by every distribution torch draws from without rejecting any number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from tessera.lowering.aten.creation import check_factory
from tessera.lowering.aten.random import (
    DIGITS,
    default_dtype,
    happens,
    integers,
    open_uniform,
    refuse_generator,
    require,
    signed_uniform,
    standard_normal,
    standard_uniform,
)
from tessera.lowering.aten.rules import Arith, both, broadcast_shape, rule, sizes
from tessera.lowering.context import GraphValue, LoweringContext


def _interval(bounds: Sequence[Any], named: dict[str, Any], defaults: tuple[Any, Any]) -> list[Any]:
    """The arguments `from`, which is no name Python allows, and `to`."""
    given = [*bounds, None, None][:2]
    names = ("from", "to")
    return [
        named.get(name, default) if value is None else value
        for name, value, default in zip(names, given, defaults, strict=True)
    ]


@rule("uniform")
def uniform(
    ctx: LoweringContext,
    self: GraphValue,
    *bounds: float,
    generator: object = None,
    **named: float,
) -> GraphValue:
    refuse_generator("uniform", generator)
    low, high = _interval(bounds, named, (0.0, 1.0))
    require(
        low <= high and high - low <= torch.finfo(self.dtype).max,
        "uniform",
        f"from <= to, and both finite, not {low} and {high}",
    )
    x = standard_uniform(ctx, self.shape, self.dtype, "uniform")
    a = Arith(ctx, x.dtype)
    x = a.scale(x, float(high) - float(low))
    if low:
        x = a.add(x, float(low))
    x = ctx.cast(x, self.dtype)
    if low == high or (low == 0 and high == 1):
        return x
    # The sum may round up to what the interval leaves out.
    end = torch.tensor(float(high), dtype=self.dtype)
    last = torch.nextafter(end, torch.tensor(-math.inf, dtype=self.dtype))
    return Arith(ctx, self.dtype).minimum(x, float(last))


def _normal(
    ctx: LoweringContext,
    mean: GraphValue | float,
    std: GraphValue | float,
    shape: Sequence[int],
    dtype: torch.dtype,
    generator: object,
) -> GraphValue:
    refuse_generator("normal", generator)
    if not isinstance(std, GraphValue):
        require(std >= 0, "normal", f"a standard deviation of at least 0, not {std}")
    x = standard_normal(ctx, shape, dtype, "normal")
    a = Arith(ctx, x.dtype)
    if isinstance(std, GraphValue):
        spread = ctx.cast(std, x.dtype)
        positive = a.compare("ge", spread, 0.0)
        x = a.mul(x, ctx.emit("require", [positive, spread], what="deviation"))
    elif std != 1:
        x = a.mul(x, float(std))
    if isinstance(mean, GraphValue) or mean:
        x = a.add(x, ctx.value(mean, x.dtype))
    return ctx.cast(x, dtype)


@rule("normal_functional")
def normal_functional(
    ctx: LoweringContext,
    self: GraphValue,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    generator: object = None,
) -> GraphValue:
    return _normal(ctx, mean, std, self.shape, self.dtype, generator)


@rule("normal.float_float")
def normal_sized(
    ctx: LoweringContext,
    mean: float,
    std: float,
    size: Sequence[int],
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    return _normal(ctx, mean, std, sizes(size, "normal"), default_dtype(dtype), generator)


@rule("normal.Tensor_float")
def normal_means(
    ctx: LoweringContext, mean: GraphValue, std: float = 1.0, *, generator: object = None
) -> GraphValue:
    return _normal(ctx, mean, std, mean.shape, mean.dtype, generator)


@rule("normal.float_Tensor")
def normal_deviations(
    ctx: LoweringContext, mean: float, std: GraphValue, *, generator: object = None
) -> GraphValue:
    return _normal(ctx, mean, std, std.shape, std.dtype, generator)


@rule("normal.Tensor_Tensor")
def normal_tensors(
    ctx: LoweringContext, mean: GraphValue, std: GraphValue, *, generator: object = None
) -> GraphValue:
    shape = broadcast_shape(mean.shape, std.shape)
    return _normal(ctx, mean, std, shape, mean.dtype, generator)


@rule("log_normal")
def log_normal(
    ctx: LoweringContext,
    self: GraphValue,
    mean: float = 1.0,
    std: float = 2.0,
    *,
    generator: object = None,
) -> GraphValue:
    refuse_generator("log_normal", generator)
    require(std > 0, "log_normal", f"a standard deviation above 0, not {std}")
    x = standard_normal(ctx, self.shape, self.dtype, "log_normal")
    a = Arith(ctx, x.dtype)
    return ctx.cast(a.unary("exp", a.add(a.mul(x, float(std)), float(mean))), self.dtype)


@rule("exponential")
def exponential(
    ctx: LoweringContext, self: GraphValue, lambd: float = 1.0, *, generator: object = None
) -> GraphValue:
    refuse_generator("exponential", generator)
    require(lambd > 0, "exponential", f"lambda above 0, not {lambd}")
    x = open_uniform(ctx, self.shape, self.dtype, "exponential")
    a = Arith(ctx, x.dtype)
    return ctx.cast(a.mul(a.unary("log", x), -1.0 / float(lambd)), self.dtype)


@rule("cauchy")
def cauchy(
    ctx: LoweringContext,
    self: GraphValue,
    median: float = 0.0,
    sigma: float = 1.0,
    *,
    generator: object = None,
) -> GraphValue:
    refuse_generator("cauchy", generator)
    require(sigma > 0, "cauchy", f"sigma above 0, not {sigma}")
    x = signed_uniform(ctx, self.shape, self.dtype, "cauchy")
    a = Arith(ctx, x.dtype)
    # tan(πx/2), beyond a half by the complement: a rounded π/2 may lie on the tangent's other side.
    size = a.unary("abs", x)
    rest = a.sub(1.0, size)
    tangent = a.unary("tan", a.mul(a.minimum(size, rest), math.pi / 2))
    tangent = a.select(a.compare("gt", size, 0.5), a.unary("reciprocal", tangent), tangent)
    tangent = a.emit("copysign", tangent, x)
    return ctx.cast(a.add(a.mul(tangent, float(sigma)), float(median)), self.dtype)


@rule("geometric")
def geometric(
    ctx: LoweringContext, self: GraphValue, p: float, *, generator: object = None
) -> GraphValue:
    refuse_generator("geometric", generator)
    require(0 < p < 1, "geometric", f"a probability between 0 and 1, not {p}")
    # In double precision, as torch does for every type: steps of a small p are fine ones.
    x = open_uniform(ctx, self.shape, torch.float64, "geometric")
    a = Arith(ctx, torch.float64)
    return ctx.cast(a.unary("ceil", a.div(a.unary("log", x), math.log1p(-p))), self.dtype)


def _largest(dtype: torch.dtype) -> int:
    """The largest number random() gives: floats hold every integer up to it."""
    if dtype == torch.bool:
        return 1
    return 1 << DIGITS[dtype] if dtype.is_floating_point else torch.iinfo(dtype).max


@rule("random")
def random(ctx: LoweringContext, self: GraphValue, *, generator: object = None) -> GraphValue:
    refuse_generator("random", generator)
    ctx.require_supported(self.dtype)
    return integers(ctx, self.shape, 0, _largest(self.dtype) + 1, self.dtype)


@rule("random.to")
def random_to(
    ctx: LoweringContext, self: GraphValue, to: int, *, generator: object = None
) -> GraphValue:
    refuse_generator("random", generator)
    ctx.require_supported(self.dtype)
    return integers(ctx, self.shape, 0, to, self.dtype)


@rule("random.from")
def random_from(
    ctx: LoweringContext,
    self: GraphValue,
    *bounds: int | None,
    generator: object = None,
    **named: int | None,
) -> GraphValue:
    refuse_generator("random", generator)
    ctx.require_supported(self.dtype)
    low, high = _interval(bounds, named, (None, None))
    return integers(
        ctx, self.shape, low, _largest(self.dtype) + 1 if high is None else high, self.dtype
    )


# --- yes or no -------------------------------------------------------------------------------


def _bernoulli(
    ctx: LoweringContext, probabilities: GraphValue, shape: Sequence[int], dtype: torch.dtype
) -> GraphValue:
    wide = probabilities.dtype == torch.float64
    compute = torch.float64 if wide else torch.float32
    p = ctx.cast(probabilities, compute)
    a = Arith(ctx, compute)
    within = both(ctx, a.compare("ge", p, 0.0), a.compare("le", p, 1.0))
    p = ctx.emit("require", [within, p], what="probability")
    drawn = standard_uniform(ctx, shape, compute, "bernoulli")
    return ctx.cast(a.compare("lt", drawn, p), dtype)


@rule("bernoulli")
def bernoulli(ctx: LoweringContext, self: GraphValue, *, generator: object = None) -> GraphValue:
    refuse_generator("bernoulli", generator)
    return _bernoulli(ctx, self, self.shape, self.dtype)


@rule("bernoulli.Tensor")
def bernoulli_tensor(
    ctx: LoweringContext, self: GraphValue, p: GraphValue, *, generator: object = None
) -> GraphValue:
    refuse_generator("bernoulli", generator)
    return _bernoulli(ctx, ctx.broadcast(p, self.shape), self.shape, self.dtype)


@rule("bernoulli.p")
def bernoulli_p(
    ctx: LoweringContext, self: GraphValue, p: float = 0.5, *, generator: object = None
) -> GraphValue:
    refuse_generator("bernoulli", generator)
    require(0 <= p <= 1, "bernoulli", f"a probability between 0 and 1, not {p}")
    return ctx.cast(happens(ctx, self.shape, p), self.dtype)
