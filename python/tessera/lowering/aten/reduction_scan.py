# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions that keep every partial result: cumulative sums, products, sums of exponentials.

Written as log2(n) additions of the tensor to itself, shifted by 1, 2, 4, …: each is one
elementwise kernel over its neighbour's padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from tessera.lowering.aten.elementwise_binary import logaddexp
from tessera.lowering.aten.rules import (
    Number,
    finish,
    is_integral,
    normalize_dim,
    number,
    opmath,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext


def _scan(
    ctx: LoweringContext,
    op: str,
    neutral: Number,
    self: GraphValue,
    dim: int,
    dtype: torch.dtype | None,
    combine: Callable[[GraphValue, GraphValue], GraphValue] | None = None,
) -> GraphValue:
    """Partial results along `dim` of the graph op `op`, or of what `combine` writes for it."""
    result = dtype or (torch.int64 if is_integral(self.dtype) else self.dtype)
    axis = normalize_dim(dim, self.ndim, f"cumulative {op}")
    if not self.ndim:
        return ctx.cast(self, result)
    # torch converts first, so that the partial results are of the type asked for.
    x = ctx.cast(ctx.cast(self, result), opmath(result))
    fill = number(ctx, neutral, x.dtype)
    shift = 1
    while shift < x.shape[axis]:
        low, high = [0] * x.ndim, [0] * x.ndim
        low[axis], high[axis] = shift, -shift
        shifted = ctx.emit("pad", [x, fill], low=low, high=high)
        x = ctx.emit(op, [x, shifted]) if combine is None else combine(x, shifted)
        shift *= 2
    return finish(ctx, x, result)


@rule("cumsum")
def cumsum(
    ctx: LoweringContext, self: GraphValue, dim: int, *, dtype: torch.dtype | None = None
) -> GraphValue:
    return _scan(ctx, "add", 0, self, dim, dtype)


@rule("cumprod")
def cumprod(
    ctx: LoweringContext, self: GraphValue, dim: int, *, dtype: torch.dtype | None = None
) -> GraphValue:
    return _scan(ctx, "mul", 1, self, dim, dtype)


@rule("logcumsumexp")
def logcumsumexp(ctx: LoweringContext, self: GraphValue, dim: int) -> GraphValue:
    def combine(x: GraphValue, shifted: GraphValue) -> GraphValue:
        return logaddexp(ctx, x, shifted)

    return _scan(ctx, "logaddexp", -math.inf, self, dim, None, combine)
