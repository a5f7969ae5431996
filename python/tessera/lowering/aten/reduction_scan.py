# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions that keep every partial result: cumulative sums, products, sums of exponentials.

Sums and products are the runtime's, which walks rows side by side. Sums of exponentials are
written as log2(n) combinations of the tensor with itself, shifted by 1, 2, 4, …: each is one
elementwise kernel over its neighbour's padding, where vectors compute the exponentials.
"""

from __future__ import annotations

import math

import torch

from tessera.lowering.aten.elementwise_binary import logaddexp
from tessera.lowering.aten.rules import (
    finish,
    is_integral,
    normalize_dim,
    number,
    opmath,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext


def _running(
    ctx: LoweringContext,
    kind: str,
    self: GraphValue,
    dim: int,
    dtype: torch.dtype | None,
) -> GraphValue:
    """Partial sums or products along `dim`."""
    result = dtype or (torch.int64 if is_integral(self.dtype) else self.dtype)
    axis = normalize_dim(dim, self.ndim, f"cum{kind}")
    # torch converts first, so that the partial results are of the type asked for.
    x = ctx.cast(ctx.cast(self, result), opmath(result))
    if self.ndim:
        x = ctx.emit("running_reduce", [x], kind=kind, dim=axis)
    return finish(ctx, x, result)


@rule("cumsum")
def cumsum(
    ctx: LoweringContext, self: GraphValue, dim: int, *, dtype: torch.dtype | None = None
) -> GraphValue:
    return _running(ctx, "sum", self, dim, dtype)


@rule("cumprod")
def cumprod(
    ctx: LoweringContext, self: GraphValue, dim: int, *, dtype: torch.dtype | None = None
) -> GraphValue:
    return _running(ctx, "prod", self, dim, dtype)


@rule("logcumsumexp")
def logcumsumexp(ctx: LoweringContext, self: GraphValue, dim: int) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "logcumsumexp")
    if not self.ndim:
        return self
    x = ctx.cast(self, opmath(self.dtype))
    fill = number(ctx, -math.inf, x.dtype)
    shift = 1
    while shift < x.shape[axis]:
        low, high = [0] * x.ndim, [0] * x.ndim
        low[axis], high[axis] = shift, -shift
        x = logaddexp(ctx, x, ctx.emit("pad", [x, fill], low=low, high=high))
        shift *= 2
    return finish(ctx, x, self.dtype)
