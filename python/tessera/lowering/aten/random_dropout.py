# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random: what training drops or scales at random.

The mask is drawn where it is used: it becomes part of the kernel around it and takes no memory
unless the program reads it twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.creation import filled
from tessera.lowering.aten.elementwise_activation import leaky_relu
from tessera.lowering.aten.random import (
    happens,
    refuse_generator,
    require,
    standard_uniform,
)
from tessera.lowering.aten.rules import Arith, Number, finish, opmath, rule
from tessera.lowering.context import GraphValue, LoweringContext

#: -scale * alpha of SELU: what alpha dropout puts in the place of a dropped element.
_DROPPED = 1.7580993408473766


def _scaled(ctx: LoweringContext, x: GraphValue, kept: GraphValue, p: float) -> GraphValue:
    """x / (1 - p) where kept; zero times x elsewhere, which is NaN for what is not finite."""
    a = Arith(ctx, opmath(x.dtype))
    factor = a.select(kept, 1.0 / (1.0 - p) if p < 1 else 0.0, 0.0)
    return finish(ctx, a.mul(ctx.cast(x, a.dtype), factor), x.dtype)


def _drop(ctx: LoweringContext, x: GraphValue, p: float, shape: Sequence[int]) -> GraphValue:
    require(0 <= p <= 1, "dropout", f"a probability between 0 and 1, not {p}")
    return _scaled(ctx, x, happens(ctx, shape, 1.0 - p), p)


def _per_feature(x: GraphValue) -> tuple[int, ...]:
    """One decision for each channel of each sample."""
    if x.ndim < 2:
        raise ValueError(f"[feature_dropout] needs two dimensions, but got shape {x.shape}")
    return (*x.shape[:2], *(1 for _ in x.shape[2:]))


@rule("dropout")
def dropout(ctx: LoweringContext, input: GraphValue, p: float, train: bool) -> GraphValue:
    return _drop(ctx, input, p, input.shape) if train and p else input


@rule("feature_dropout")
def feature_dropout(ctx: LoweringContext, input: GraphValue, p: float, train: bool) -> GraphValue:
    return _drop(ctx, input, p, _per_feature(input)) if train and p else input


@rule("native_dropout")
def native_dropout(
    ctx: LoweringContext, input: GraphValue, p: float, train: bool | None
) -> tuple[GraphValue, GraphValue]:
    # Without a word on it, torch trains.
    if train is False:
        return input, filled(ctx, input.shape, True, torch.bool)
    require(0 <= p <= 1, "native_dropout", f"a probability between 0 and 1, not {p}")
    kept = happens(ctx, input.shape, 1.0 - p)
    return _scaled(ctx, input, kept, p), kept


def _drop_alpha(ctx: LoweringContext, x: GraphValue, p: float, shape: Sequence[int]) -> GraphValue:
    """Dropout that keeps mean and variance of what SELU gives."""
    require(0 <= p <= 1, "alpha_dropout", f"a probability between 0 and 1, not {p}")
    kept = happens(ctx, shape, 1.0 - p)
    if p == 1:
        return _scaled(ctx, x, kept, p)
    scale = 1.0 / math.sqrt((_DROPPED * _DROPPED * p + 1.0) * (1.0 - p))
    shift = _DROPPED * scale * p
    a = Arith(ctx, opmath(x.dtype))
    value = a.mul(ctx.cast(x, a.dtype), a.select(kept, scale, 0.0))
    result = a.add(value, a.select(kept, shift, shift - _DROPPED * scale))
    return finish(ctx, result, x.dtype)


@rule("alpha_dropout")
def alpha_dropout(ctx: LoweringContext, input: GraphValue, p: float, train: bool) -> GraphValue:
    return _drop_alpha(ctx, input, p, input.shape) if train and p else input


@rule("feature_alpha_dropout")
def feature_alpha_dropout(
    ctx: LoweringContext, input: GraphValue, p: float, train: bool
) -> GraphValue:
    return _drop_alpha(ctx, input, p, _per_feature(input)) if train and p else input


# --- leaky ReLU with random slopes -----------------------------------------------------------


@rule("rrelu_with_noise_functional")
def rrelu_with_noise_functional(
    ctx: LoweringContext,
    self: GraphValue,
    noise: GraphValue,
    lower: Number = 0.125,
    upper: Number = 1.0 / 3.0,
    training: bool = False,
    generator: object = None,
) -> tuple[GraphValue, GraphValue]:
    """The result, and the slopes: 1 where the operand is positive."""
    if not training:
        return leaky_relu(ctx, self, (lower + upper) / 2), noise
    refuse_generator("rrelu", generator)
    require(lower <= upper, "rrelu", f"lower <= upper, not {lower} and {upper}")
    a = Arith(ctx, opmath(self.dtype))
    drawn = standard_uniform(ctx, self.shape, a.dtype, "rrelu")
    slopes = a.add(a.scale(drawn, float(upper) - float(lower)), float(lower))
    x = ctx.cast(self, a.dtype)
    slopes = a.select(a.compare("le", x, 0.0), slopes, 1.0)
    return finish(ctx, a.mul(x, slopes), self.dtype), finish(ctx, slopes, self.dtype)


@rule("rrelu")
def rrelu(
    ctx: LoweringContext,
    self: GraphValue,
    lower: Number = 0.125,
    upper: Number = 1.0 / 3.0,
    training: bool = False,
    generator: object = None,
) -> GraphValue:
    return rrelu_with_noise_functional(ctx, self, self, lower, upper, training, generator)[0]
