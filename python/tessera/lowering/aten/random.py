# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random: numbers of every distribution torch draws without rejecting any.

All are functions of `LoweringContext.random_bits`. Floats have as many random bits as torch gives
them: those of the type's significand. Other numbers than PyTorch's come out of the same seed, as
they do on every other device of PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from tessera.lowering.aten.creation import check_factory, filled
from tessera.lowering.aten.rules import Arith, broadcast_shape, opmath, rule, sizes
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

#: Bits of a significand, the one in front of the point included.
_DIGITS = {torch.float64: 53, torch.float32: 24, torch.bfloat16: 8, torch.float16: 11}
_LOW_HALF = 0xFFFFFFFF


def refuse_generator(op: str, generator: object) -> None:
    """Programs draw from the default generator: another one's state is not theirs to advance."""
    if generator is not None:
        raise Unsupported(
            f"[{op}] draws from a torch.Generator that is passed to it",
            "leave generator= out and seed with torch.manual_seed",
            code="generator",
        )


def require(condition: bool, op: str, what: str) -> None:
    """Leaves parameters no distribution has to PyTorch, whose complaint names them."""
    if not condition:
        raise Unsupported(
            f"[{op}] expects {what}", "pass parameters inside the range", code="argument"
        )


def _float_type(dtype: torch.dtype, op: str) -> torch.dtype:
    """The type to compute in."""
    if dtype not in _DIGITS:
        raise Unsupported(f"[{op}] is not compiled for {dtype}", "draw floats", code="dtype")
    return opmath(dtype)


# --- bits as numbers -------------------------------------------------------------------------


def _word(dtype: torch.dtype) -> torch.dtype:
    """The integers that hold the random bits of a float."""
    return torch.int64 if dtype == torch.float64 else torch.int32


def _masked(ctx: LoweringContext, bits: GraphValue, mask: int) -> GraphValue:
    return ctx.emit("bitwise_and", [bits, ctx.constant(mask, bits.dtype)])


def standard_uniform(
    ctx: LoweringContext, shape: Sequence[int], dtype: torch.dtype, op: str
) -> GraphValue:
    """Multiples of 2^-digits in [0, 1): exact in `dtype`, held in the type to compute in."""
    compute, digits = _float_type(dtype, op), _DIGITS[dtype]
    bits = _masked(ctx, ctx.random_bits(shape, _word(dtype)), (1 << digits) - 1)
    return Arith(ctx, compute).mul(ctx.cast(bits, compute), 2.0**-digits)


def open_uniform(
    ctx: LoweringContext, shape: Sequence[int], dtype: torch.dtype, op: str
) -> GraphValue:
    """Odd multiples of 2^-digits in (0, 1), where logarithms are finite; dtype is not halved."""
    compute = _float_type(dtype, op)
    digits = _DIGITS[compute]
    bits = _masked(ctx, ctx.random_bits(shape, _word(compute)), (1 << (digits - 1)) - 1)
    a = Arith(ctx, compute)
    return a.add(a.mul(ctx.cast(bits, compute), 2.0 ** (1 - digits)), 2.0**-digits)


def signed_uniform(
    ctx: LoweringContext, shape: Sequence[int], dtype: torch.dtype, op: str
) -> GraphValue:
    """Odd multiples of 2^-digits in (-1, 1), as many above zero as below."""
    compute = _float_type(dtype, op)
    digits, word = _DIGITS[compute], _word(compute)
    amount = ctx.constant(torch.iinfo(word).bits - digits, word)
    bits = ctx.emit("shift_right", [ctx.random_bits(shape, word), amount])
    a = Arith(ctx, compute)
    return a.add(a.mul(ctx.cast(bits, compute), 2.0 ** (1 - digits)), 2.0**-digits)


def standard_normal(
    ctx: LoweringContext, shape: Sequence[int], dtype: torch.dtype, op: str
) -> GraphValue:
    """By the inverse of the distribution function: one word a number, whatever its neighbours."""
    x = signed_uniform(ctx, shape, dtype, op)
    a = Arith(ctx, x.dtype)
    return a.mul(a.unary("erfinv", x), math.sqrt(2.0))


def below(ctx: LoweringContext, shape: Sequence[int], span: int) -> GraphValue:
    """int64 numbers in [0, span), 1 <= span <= 2^64: the high half of 64 random bits times span.

    Two numbers differ in probability by no more than a 2^64 / span-th part.
    """
    bits = ctx.random_bits(shape, torch.int64)
    if span & (span - 1) == 0:
        return bits if span == 1 << 64 else _masked(ctx, bits, span - 1)
    a = Arith(ctx, torch.int64)

    def high(value: GraphValue) -> GraphValue:
        return _masked(ctx, a.emit("shift_right", value, 32), _LOW_HALF)

    # Products of halves, which wrap nowhere when taken as unsigned.
    low_bits, high_bits = _masked(ctx, bits, _LOW_HALF), high(bits)
    low_span, high_span = span & _LOW_HALF, span >> 32
    middle = a.add(a.mul(high_bits, low_span), high(a.mul(low_bits, low_span)))
    if not high_span:
        return high(middle)
    other = a.add(a.mul(low_bits, high_span), _masked(ctx, middle, _LOW_HALF))
    return a.add(a.add(a.mul(high_bits, high_span), high(middle)), high(other))


def integers(
    ctx: LoweringContext, shape: Sequence[int], low: int, high: int, dtype: torch.dtype
) -> GraphValue:
    """Uniform integers in [low, high) as `dtype`."""
    require(low < high, "randint", f"low < high, not {low} and {high}")
    drawn = below(ctx, shape, high - low)
    return ctx.cast(Arith(ctx, torch.int64).add(drawn, low) if low else drawn, dtype)


def happens(ctx: LoweringContext, shape: Sequence[int], probability: float) -> GraphValue:
    """True with a probability known now, to a part in 2^32."""
    limit = round(probability * (1 << 32))
    if limit in (0, 1 << 32):
        return filled(ctx, shape, bool(limit), torch.bool)
    bits = ctx.random_bits(shape, torch.int32)
    bound = ctx.constant(limit - (1 << 31), torch.int32)
    return ctx.emit("compare", [bits, bound], predicate="lt")


# --- new tensors -----------------------------------------------------------------------------


def _default(dtype: torch.dtype | None) -> torch.dtype:
    return torch.get_default_dtype() if dtype is None else dtype


@rule("rand", "rand.generator")
def rand(
    ctx: LoweringContext,
    size: Sequence[int],
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    refuse_generator("rand", generator)
    result = _default(dtype)
    return ctx.cast(standard_uniform(ctx, sizes(size, "rand"), result, "rand"), result)


@rule("randn", "randn.generator")
def randn(
    ctx: LoweringContext,
    size: Sequence[int],
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    refuse_generator("randn", generator)
    result = _default(dtype)
    return ctx.cast(standard_normal(ctx, sizes(size, "randn"), result, "randn"), result)


@rule("rand_like", "rand_like.generator")
def rand_like(
    ctx: LoweringContext,
    self: GraphValue,
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    memory_format: object = None,
    **options: object,
) -> GraphValue:
    return rand(ctx, self.shape, generator=generator, dtype=dtype or self.dtype, **options)


@rule("randn_like", "randn_like.generator")
def randn_like(
    ctx: LoweringContext,
    self: GraphValue,
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    memory_format: object = None,
    **options: object,
) -> GraphValue:
    return randn(ctx, self.shape, generator=generator, dtype=dtype or self.dtype, **options)


@rule("randint", "randint.generator")
def randint(
    ctx: LoweringContext,
    high: int,
    size: Sequence[int],
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    return randint_low(ctx, 0, high, size, generator=generator, dtype=dtype, **options)


@rule("randint.low", "randint.low_generator")
def randint_low(
    ctx: LoweringContext,
    low: int,
    high: int,
    size: Sequence[int],
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    refuse_generator("randint", generator)
    return integers(ctx, sizes(size, "randint"), low, high, dtype or torch.int64)


@rule("randint_like", "randint_like.generator")
def randint_like(
    ctx: LoweringContext,
    self: GraphValue,
    high: int,
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    memory_format: object = None,
    **options: object,
) -> GraphValue:
    return randint_like_low(ctx, self, 0, high, generator=generator, dtype=dtype, **options)


@rule("randint_like.low_dtype", "randint_like.low_generator_dtype")
def randint_like_low(
    ctx: LoweringContext,
    self: GraphValue,
    low: int,
    high: int,
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    memory_format: object = None,
    **options: object,
) -> GraphValue:
    return randint_low(
        ctx, low, high, self.shape, generator=generator, dtype=dtype or self.dtype, **options
    )


# --- filling a tensor ------------------------------------------------------------------------


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
    if isinstance(std, GraphValue) or std != 1:
        x = a.mul(x, ctx.value(std, x.dtype))
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
    return _normal(ctx, mean, std, sizes(size, "normal"), _default(dtype), generator)


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
    return 1 << _DIGITS[dtype] if dtype.is_floating_point else torch.iinfo(dtype).max


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
    drawn = standard_uniform(ctx, shape, compute, "bernoulli")
    return ctx.cast(
        Arith(ctx, compute).compare("lt", drawn, ctx.cast(probabilities, compute)), dtype
    )


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
