# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What all convolutions share: how a kernel slides, and `graph.convolution` itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tessera.lowering.aten.rules import number
from tessera.lowering.aten.windows import Sizes, each
from tessera.lowering.context import GraphValue, LoweringContext


@dataclass(frozen=True)
class Geometry:
    """How a kernel slides: one entry a spatial dimension."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    @property
    def dims(self) -> int:
        return len(self.stride)


def geometry_of(
    dims: int, op: str, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Geometry:
    return Geometry(
        each(stride, dims, op, "stride"),
        each(padding, dims, op, "padding"),
        each(dilation, dims, op, "dilation"),
        groups,
    )


def slide(
    ctx: LoweringContext,
    x: GraphValue,
    weight: GraphValue,
    low: Sequence[int],
    high: Sequence[int],
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> GraphValue:
    """`graph.convolution`; a negative padding crops the input first."""
    starts, limits, front, back = [0, 0], list(x.shape[:2]), [], []
    for size, before, after in zip(x.shape[2:], low, high, strict=True):
        start = min(max(-before, 0), size)
        limit = size - min(max(-after, 0), size - start)
        starts.append(start)
        limits.append(limit)
        # What is cropped beyond the input goes off the other border.
        front.append(max(before, 0) - max(-after - (size - limit), 0))
        back.append(max(after, 0) - max(-before - start, 0))
    if starts != [0] * x.ndim or tuple(limits) != x.shape:
        x = ctx.emit("slice", [x], starts=starts, limits=limits, steps=[1] * x.ndim)
    return ctx.emit(
        "convolution",
        [x, weight],
        stride=list(stride),
        padding_low=front,
        padding_high=back,
        dilation=list(dilation),
        groups=groups,
    )


def forward(ctx: LoweringContext, x: GraphValue, weight: GraphValue, g: Geometry) -> GraphValue:
    return slide(
        ctx,
        x,
        weight,
        g.padding,
        g.padding,
        stride=g.stride,
        dilation=g.dilation,
        groups=g.groups,
    )


def padded(
    ctx: LoweringContext, x: GraphValue, low: Sequence[int], high: Sequence[int]
) -> GraphValue:
    """Zeros around `x`; negative amounts crop."""
    if not any(low) and not any(high):
        return x
    return ctx.emit("pad", [x, number(ctx, 0, x.dtype)], low=list(low), high=list(high))


def cut(ctx: LoweringContext, x: GraphValue, spatial: Sequence[int]) -> GraphValue:
    high = [want - have for want, have in zip(spatial, x.shape[2:], strict=True)]
    return padded(ctx, x, [0] * x.ndim, [0, 0, *high])
