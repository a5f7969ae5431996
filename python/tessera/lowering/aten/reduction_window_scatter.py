# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What goes by positions that are data: unpooling, pools whose windows are drawn at random, and
the gradients of maxima over windows that differ."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.reduction_window import first_maximum
from tessera.lowering.aten.rules import Arith, node_rule, number, rule
from tessera.lowering.aten.scatter import write
from tessera.lowering.aten.windows import Sizes, each
from tessera.lowering.context import GraphValue, LoweringContext


def _placed(
    ctx: LoweringContext,
    op: str,
    kind: str,
    values: GraphValue,
    places: GraphValue,
    extents: Sequence[int],
) -> GraphValue:
    """Zeros of the last dimensions `extents`, with `values` at the positions `places` in them."""
    dims = len(extents)
    if values.shape != places.shape:
        raise ValueError(f"[{op}] indices have shape {places.shape}, values {values.shape}")
    lead, count = values.shape[: values.ndim - dims], math.prod(values.shape[values.ndim - dims :])
    flat = (*lead, count)
    zeros = ctx.broadcast(number(ctx, 0, values.dtype), (*lead, math.prod(extents)))
    index = ctx.cast(ctx.reshape(places, flat), torch.int64)
    placed = write(ctx, kind, zeros, len(lead), index, ctx.reshape(values, flat))
    return ctx.reshape(placed, (*lead, *extents))


@rule("max_unpool2d")
def max_unpool2d(
    ctx: LoweringContext, self: GraphValue, indices: GraphValue, output_size: Sizes
) -> GraphValue:
    extents = each(output_size, 2, "max_unpool2d", "output_size")
    return _placed(ctx, "max_unpool2d", "none", self, indices, extents)


@rule("max_unpool3d")
def max_unpool3d(
    ctx: LoweringContext,
    self: GraphValue,
    indices: GraphValue,
    output_size: Sizes,
    stride: Sizes,
    padding: Sizes,
) -> GraphValue:
    extents = each(output_size, 3, "max_unpool3d", "output_size")
    return _placed(ctx, "max_unpool3d", "none", self, indices, extents)


def _register_adaptive_backward(dims: int) -> None:
    op = f"adaptive_max_pool{dims}d_backward"

    @rule(op)
    def backward(
        ctx: LoweringContext, grad_output: GraphValue, self: GraphValue, indices: GraphValue
    ) -> GraphValue:
        return _placed(ctx, op, "sum", grad_output, indices, self.shape[-dims:])


# --- windows drawn at random -----------------------------------------------------------------


def _starts(
    ctx: LoweringContext, sample: GraphValue, size: int, kernel: int, count: int
) -> GraphValue:
    """Where windows begin, [planes, count]: torch's sequence, rounded as it rounds."""
    a = Arith(ctx, sample.dtype)
    last = ctx.broadcast(ctx.constant(size - kernel, torch.int64), (sample.shape[0], 1))
    if count == 1:
        return last
    step = float(torch.tensor(size - kernel, dtype=sample.dtype) / (count - 1))
    line = ctx.constant(torch.arange(count - 1, dtype=sample.dtype))
    column = ctx.reshape(sample, (sample.shape[0], 1))
    ends = ctx.cast(a.mul(a.add(line, column), step), torch.int64)
    begin = ctx.cast(a.mul(column, step), torch.int64)
    return ctx.emit("concat", [Arith(ctx, torch.int64).sub(ends, begin), last], dim=1)


def _register_fractional(dims: int) -> None:
    op = f"fractional_max_pool{dims}d"

    @node_rule(op)
    def pool(
        ctx: LoweringContext,
        used: frozenset[int],
        self: GraphValue,
        kernel_size: Sizes,
        output_size: Sizes,
        random_samples: GraphValue,
    ) -> tuple[GraphValue, GraphValue]:
        kernel = each(kernel_size, dims, op, "kernel_size")
        wanted = each(output_size, dims, op, "output_size")
        lead, extents = self.shape[:-dims], self.shape[-dims:]
        planes = math.prod(lead)
        if any(k + o - 1 > n for k, o, n in zip(kernel, wanted, extents, strict=True)):
            raise ValueError(f"[{op}] {wanted} windows of {kernel} do not fit into {extents}")
        at = Arith(ctx, torch.int64)
        # An unbatched input may come with numbers for more planes than it has.
        samples = ctx.reshape(random_samples, (random_samples.numel() // dims, dims))
        places: GraphValue | None = None
        for dim, size in enumerate(extents):
            # Two dimensions take their numbers from the last one on, three from the first on.
            column = dims - 1 - dim if dims == 2 else dim
            sample = ctx.emit(
                "slice", [samples], starts=[0, column], limits=[planes, column + 1], steps=[1, 1]
            )
            starts = _starts(ctx, sample, size, kernel[dim], wanted[dim])
            window, tap = [1] * (2 * dims), [1] * (2 * dims)
            window[dim], tap[dims + dim] = wanted[dim], kernel[dim]
            taps = ctx.constant(torch.arange(kernel[dim]).reshape(tap))
            place = at.add(ctx.reshape(starts, (planes, *window)), taps)
            places = place if places is None else at.add(at.mul(places, size), place)
        assert places is not None
        whole = math.prod(extents)
        first = ctx.constant(torch.arange(planes).reshape(-1, *[1] * (2 * dims)) * whole)
        values = ctx.emit(
            "gather", [ctx.reshape(self, (planes * whole,)), at.add(places, first)], dim=0
        )
        over = list(range(1 + dims, 1 + 2 * dims))
        best, place = first_maximum(ctx, values, places, over)
        shape = (*lead, *wanted)
        return ctx.reshape(best, shape), ctx.reshape(place, shape)


for _dims in (2, 3):
    _register_adaptive_backward(_dims)
    _register_fractional(_dims)
