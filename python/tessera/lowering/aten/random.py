# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random: bits as numbers, and new tensors of them.

All are functions of `LoweringContext.random_bits`. Floats have as many random bits as torch gives
them: those of the type's significand. Other numbers than PyTorch's come out of the same seed, as
they do on every other device of PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.creation import check_factory, filled
from tessera.lowering.aten.rules import Arith, opmath, rule, sizes
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

#: Bits of a significand, the one in front of the point included.
DIGITS = {torch.float64: 53, torch.float32: 24, torch.bfloat16: 8, torch.float16: 11}
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
    if dtype not in DIGITS:
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
    compute, digits = _float_type(dtype, op), DIGITS[dtype]
    bits = _masked(ctx, ctx.random_bits(shape, _word(dtype)), (1 << digits) - 1)
    return Arith(ctx, compute).mul(ctx.cast(bits, compute), 2.0**-digits)


def open_uniform(
    ctx: LoweringContext, shape: Sequence[int], dtype: torch.dtype, op: str
) -> GraphValue:
    """Odd multiples of 2^-digits in (0, 1), where logarithms are finite; dtype is not halved."""
    compute = _float_type(dtype, op)
    digits = DIGITS[compute]
    bits = _masked(ctx, ctx.random_bits(shape, _word(compute)), (1 << (digits - 1)) - 1)
    a = Arith(ctx, compute)
    return a.add(a.mul(ctx.cast(bits, compute), 2.0 ** (1 - digits)), 2.0**-digits)


def signed_uniform(
    ctx: LoweringContext, shape: Sequence[int], dtype: torch.dtype, op: str
) -> GraphValue:
    """Odd multiples of 2^-digits in (-1, 1), as many above zero as below."""
    compute = _float_type(dtype, op)
    digits, word = DIGITS[compute], _word(compute)
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


def default_dtype(dtype: torch.dtype | None) -> torch.dtype:
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
    result = default_dtype(dtype)
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
    result = default_dtype(dtype)
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
