# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random: permutations, and choices with given weights."""

from __future__ import annotations

import math
from typing import Any

import torch

from tessera.lowering.aten.creation import check_factory
from tessera.lowering.aten.random import open_uniform, refuse_generator, require, standard_uniform
from tessera.lowering.aten.reduction import amax, argmax
from tessera.lowering.aten.reduction_scan import cumsum
from tessera.lowering.aten.rules import Arith, both, opmath, rule, sizes
from tessera.lowering.aten.sorting import argsort, cummax, searchsorted, topk
from tessera.lowering.context import GraphValue, LoweringContext


@rule("randperm", "randperm.generator")
def randperm(
    ctx: LoweringContext,
    n: int,
    *,
    generator: object = None,
    dtype: torch.dtype | None = None,
    **options: Any,
) -> GraphValue:
    """The order of keys of 64 bits, of which no two are equal but by a chance of n²/2^65."""
    check_factory(**options)
    refuse_generator("randperm", generator)
    keys = ctx.random_bits(sizes([n], "randperm"), torch.int64)
    return ctx.cast(argsort(ctx, keys), dtype or torch.int64)


@rule("multinomial")
def multinomial(
    ctx: LoweringContext,
    self: GraphValue,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: object = None,
) -> GraphValue:
    refuse_generator("multinomial", generator)
    require(
        self.ndim in (1, 2) and self.dtype.is_floating_point,
        "multinomial",
        f"one or two dimensions of floats, not {self.shape} of {self.dtype}",
    )
    weights = _checked(ctx, ctx.cast(self, opmath(self.dtype)))
    if num_samples == 1:
        return argmax(ctx, _race(ctx, weights), -1, True)
    if replacement:
        return _with_replacement(ctx, weights, num_samples)
    return topk(ctx, _race(ctx, weights), num_samples, -1)[1]


def _checked(ctx: LoweringContext, weights: GraphValue) -> GraphValue:
    """The weights; a call in which they mean nothing fails."""
    a = Arith(ctx, weights.dtype)
    valid = both(ctx, a.compare("ge", weights, 0.0), a.compare("lt", weights, math.inf))
    some = a.compare("gt", amax(ctx, weights, [-1], True), 0.0)
    return ctx.emit("require", [both(ctx, valid, some), weights], what="weights")


def _race(ctx: LoweringContext, weights: GraphValue) -> GraphValue:
    """Who runs at the speed of its weight arrives first with the probability of its weight.

    The larger, the earlier; 0 for a weight of 0, which never arrives.
    """
    a = Arith(ctx, weights.dtype)
    time = a.unary("log", open_uniform(ctx, weights.shape, weights.dtype, "multinomial"))
    return a.div(weights, a.unary("neg", time))


def _with_replacement(ctx: LoweringContext, weights: GraphValue, count: int) -> GraphValue:
    """Where uniform numbers fall among the sums of the weights."""
    a = Arith(ctx, weights.dtype)
    sums = cumsum(ctx, weights, -1)
    # Sums of different elements round differently: a weight of 0 must add exactly that.
    sums = cummax(ctx, a.select(a.compare("gt", weights, 0.0), sums, -math.inf), -1)[0]
    total = amax(ctx, sums, [-1], True)
    drawn = standard_uniform(ctx, (*weights.shape[:-1], count), a.dtype, "multinomial")
    place = a.mul(drawn, total)
    # Among denormal numbers the product may round up to the total, which is nobody's.
    place = a.select(a.compare("lt", place, total), place, 0.0)
    return searchsorted(ctx, sums, place, right=True)
