# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Windows as columns and back: im2col and col2im, which torch.nn calls unfold and fold."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tessera.lowering.aten.movement import permute_to
from tessera.lowering.aten.rules import Arith, finish, number, opmath, rule
from tessera.lowering.aten.windows import Axis, Sizes, cover, each, spread
from tessera.lowering.context import GraphValue, LoweringContext


def _axes(
    op: str,
    extents: Sequence[int],
    kernel_size: Sizes,
    dilation: Sizes,
    padding: Sizes,
    stride: Sizes,
) -> list[Axis]:
    kernel = each(kernel_size, 2, op, "kernel_size")
    gaps, pads = each(dilation, 2, op, "dilation"), each(padding, 2, op, "padding")
    steps = each(stride, 2, op, "stride")
    axes = []
    for dim, size in enumerate(extents):
        room = size + 2 * pads[dim] - gaps[dim] * (kernel[dim] - 1) - 1
        count = room // steps[dim] + 1
        if count < 1:
            raise ValueError(f"[{op}] windows {kernel} do not fit into {list(extents)}")
        axes.append(Axis(dim + 2, size, kernel[dim], steps[dim], pads[dim], gaps[dim], count))
    return axes


@rule("im2col")
def im2col(
    ctx: LoweringContext,
    self: GraphValue,
    kernel_size: Sizes,
    dilation: Sizes,
    padding: Sizes,
    stride: Sizes,
) -> GraphValue:
    unbatched = self.ndim == 3
    x = ctx.reshape(self, (1, *self.shape)) if unbatched else self
    axes = _axes("im2col", x.shape[2:], kernel_size, dilation, padding, stride)
    # A single window is cut to what it holds, which columns are not.
    plain = [
        Axis(a.dim, a.size + 2 * a.pad, a.kernel, a.step, 0, a.dilation, a.count) for a in axes
    ]
    border = [0, 0, *(axis.pad for axis in axes)]
    if any(border):
        x = ctx.emit("pad", [x, number(ctx, 0, x.dtype)], low=border, high=border)
    windows, _ = cover(ctx, x, plain, 0)
    columns = permute_to(ctx, windows, [0, 1, 4, 5, 2, 3])
    count, channels, *rest = columns.shape
    result = ctx.reshape(columns, (count, channels * rest[0] * rest[1], rest[2] * rest[3]))
    return ctx.reshape(result, result.shape[1:]) if unbatched else result


@rule("col2im")
def col2im(
    ctx: LoweringContext,
    self: GraphValue,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes,
    padding: Sizes,
    stride: Sizes,
) -> GraphValue:
    unbatched = self.ndim == 2
    x = ctx.reshape(self, (1, *self.shape)) if unbatched else self
    extents = each(output_size, 2, "col2im", "output_size")
    axes = _axes("col2im", extents, kernel_size, dilation, padding, stride)
    taps, places = [a.kernel for a in axes], [a.count for a in axes]
    channels = x.shape[1] // math.prod(taps)
    if x.shape[1:] != (channels * math.prod(taps), math.prod(places)):
        raise ValueError(f"[col2im] {self.shape} does not hold {places} windows of {taps} elements")
    a = Arith(ctx, opmath(x.dtype))
    y = ctx.reshape(ctx.cast(x, a.dtype), (x.shape[0], channels, *taps, *places))
    # [N, C, KH, KW, H, W] to [N, C, KW, H, W] to [N, C, H, W].
    y = _summed(ctx, permute_to(ctx, y, [0, 1, 3, 2, 4, 5]), 3, axes[0])
    y = permute_to(ctx, y, [0, 1, 3, 2, 4])
    y = _summed(ctx, y, 3, axes[1])
    y = finish(ctx, y, x.dtype)
    return ctx.reshape(y, y.shape[1:]) if unbatched else y


def _summed(ctx: LoweringContext, y: GraphValue, dim: int, axis: Axis) -> GraphValue:
    """[…, kernel, windows, …] with windows' elements put where they belong and summed.

    Element k of window i goes to i·step - pad + k·dilation: with the windows `step` apart, each
    row of them is the line of its k shifted by k·dilation. Rows one behind the other make that a
    window over all of them.
    """
    y = spread(ctx, y, dim + 1, axis.step)
    # As long as the padded line, and a whole span of zeros before it.
    length = axis.size + 2 * axis.pad
    low, high = [0] * y.ndim, [0] * y.ndim
    low[dim + 1] = axis.span - 1
    high[dim + 1] = length - y.shape[dim + 1]
    y = ctx.emit("pad", [y, number(ctx, 0, y.dtype)], low=low, high=high)
    row = length + axis.span - 1
    flat = ctx.reshape(y, (*y.shape[:dim], axis.kernel * row, *y.shape[dim + 2 :]))
    # Of element p the terms lie at k·row + (span - 1) + p + pad - k·dilation.
    shift = row - axis.dilation if axis.kernel > 1 else 1
    first = axis.span - 1 + axis.pad
    last = first + axis.size + (axis.kernel - 1) * shift
    starts, limits = [0] * flat.ndim, list(flat.shape)
    starts[dim], limits[dim] = first, last
    flat = ctx.emit("slice", [flat], starts=starts, limits=limits, steps=[1] * flat.ndim)
    terms = ctx.emit(
        "window", [flat], dims=[dim], sizes=[axis.kernel], steps=[1], dilations=[shift]
    )
    return ctx.emit("reduce", [terms], kind="sum", dims=[flat.ndim], keepdim=False)


@rule("native_channel_shuffle")
def native_channel_shuffle(ctx: LoweringContext, self: GraphValue, groups: int) -> GraphValue:
    batch, channels, *rest = self.shape
    if groups < 1 or channels % groups:
        raise ValueError(f"[channel_shuffle] {channels} channels do not divide into {groups}")
    x = ctx.reshape(self, (batch, groups, channels // groups, *rest))
    x = permute_to(ctx, x, [0, 2, 1, *range(3, x.ndim)])
    return ctx.reshape(x, self.shape)
