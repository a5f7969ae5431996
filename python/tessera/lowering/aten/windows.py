# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Building blocks of whatever slides windows: pools, unfold and fold, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tessera.lowering.aten.movement import slice_along
from tessera.lowering.aten.rules import Number, number, sizes
from tessera.lowering.context import GraphValue, LoweringContext

Sizes = int | Sequence[int]


def each(value: Sizes, dims: int, op: str, name: str) -> list[int]:
    """One number a spatial dimension."""
    given = sizes([value] if isinstance(value, int) else list(value), op)
    if len(given) not in (1, dims):
        raise ValueError(
            f"[{op}] {name} is {given}; expected one number, or one for each of {dims}"
        )
    return given * dims if len(given) == 1 else given


@dataclass(frozen=True)
class Axis:
    """Windows along one dimension: window i holds the elements i·step - pad + k·dilation."""

    dim: int
    size: int
    kernel: int
    step: int
    pad: int
    dilation: int
    count: int

    @property
    def span(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    @property
    def beyond(self) -> int:
        """Elements behind the input that the last window reaches; negative when it ends before."""
        return (self.count - 1) * self.step + self.span - self.pad - self.size

    @property
    def has_empty_windows(self) -> bool:
        """Whether a window's elements all lie in the border, its gaps over the input."""
        starts = (index * self.step - self.pad for index in range(self.count))
        return any(
            all(not 0 <= start + k * self.dilation < self.size for k in range(self.kernel))
            for start in starts
        )

    @property
    def is_whole(self) -> bool:
        """Whether there is one window, of all there is."""
        return self.count == 1 and self.inside == range(self.size)

    @property
    def inside(self) -> range:
        """The elements of the input in the first window."""
        first = -(-self.pad // self.dilation) * self.dilation - self.pad
        return range(first, min(self.span - self.pad, self.size), self.dilation)


def count_windows(
    size: int, kernel: int, step: int, pad: int, dilation: int, ceil_mode: bool, op: str
) -> int:
    """torch's rule: a window must start inside the input or its left padding."""
    if kernel < 1 or step < 1 or dilation < 1 or pad < 0:
        raise ValueError(
            f"[{op}] kernel_size {kernel}, stride {step} and dilation {dilation} must be positive, "
            f"padding {pad} not negative"
        )
    span = dilation * (kernel - 1) + 1
    if 2 * pad > span:
        raise ValueError(f"[{op}] padding {pad} is more than half of a window of {span}")
    room = size + 2 * pad - span
    count = (-(-room // step) if ceil_mode else room // step) + 1
    if ceil_mode and (count - 1) * step >= size + pad:
        count -= 1
    if count < 1:
        raise ValueError(f"[{op}] a window of {span} does not fit into {size} elements")
    return count


def cover(
    ctx: LoweringContext, x: GraphValue, axes: Sequence[Axis], outside: Number
) -> tuple[GraphValue, list[int]]:
    """`x` with a dimension of windows for each of `axes`, and one of their elements at the end.

    What windows hold beyond the input is `outside`. The second result names the new dimensions.
    """
    low, high = [0] * x.ndim, [0] * x.ndim
    kept = []
    for axis in axes:
        if axis.count == 1 and axis.inside:
            # One window: only what it holds of the input.
            held = axis.inside
            x = slice_along(ctx, x, axis.dim, held[0], held[-1] + 1, axis.dilation)
            kept.append(Axis(axis.dim, len(held), len(held), 1, 0, 1, 1))
        else:
            low[axis.dim], high[axis.dim] = axis.pad, axis.beyond
            kept.append(axis)
    if any(low) or any(high):
        x = ctx.emit("pad", [x, number(ctx, outside, x.dtype)], low=low, high=high)
    rank = x.ndim
    windows = ctx.emit(
        "window",
        [x],
        dims=[axis.dim for axis in kept],
        sizes=[axis.kernel for axis in kept],
        steps=[axis.step for axis in kept],
        dilations=[axis.dilation for axis in kept],
    )
    return windows, list(range(rank, rank + len(kept)))


def plane(ctx: LoweringContext, extents: Sequence[int]) -> GraphValue:
    """Each element its own position."""
    count = math.prod(extents)
    line = ctx.emit("iota", [], shape=[count], dim=0, start=0, step=1, dtype=torch.int64)
    return ctx.reshape(line, extents)


def spread(
    ctx: LoweringContext, x: GraphValue, dim: int, step: int, fill: Number = 0
) -> GraphValue:
    """`fill` between the elements along `dim`, and behind them: each makes way for `step`."""
    if step == 1:
        return x
    apart = ctx.reshape(x, (*x.shape[: dim + 1], 1, *x.shape[dim + 1 :]))
    low, high = [0] * apart.ndim, [0] * apart.ndim
    high[dim + 1] = step - 1
    apart = ctx.emit("pad", [apart, number(ctx, fill, x.dtype)], low=low, high=high)
    return ctx.reshape(apart, (*x.shape[:dim], x.shape[dim] * step, *x.shape[dim + 1 :]))


def meeting(
    ctx: LoweringContext, y: GraphValue, axes: Sequence[Axis], fill: Number
) -> tuple[GraphValue, list[int]]:
    """For every element of the input, what `y` has for the windows that hold it.

    `y` has a dimension of windows for each of `axes`. The result has the input's there, and at
    the end one for each axis, named by the second result: of the windows in which the element is
    the last, the second to last, …; `fill` where there is no such window.
    """
    low, high = [0] * y.ndim, [0] * y.ndim
    for axis in axes:
        y = spread(ctx, y, axis.dim, axis.step, fill)
        # Element p is k·dilation behind the start i·step - pad of window i; read backwards, the
        # windows with k = kernel - 1, … begin at p + pad - (span - 1).
        low[axis.dim] = axis.span - 1 - axis.pad
        high[axis.dim] = axis.size + axis.pad - y.shape[axis.dim]
    if any(low) or any(high):
        y = ctx.emit("pad", [y, number(ctx, fill, y.dtype)], low=low, high=high)
    rank = y.ndim
    windows = ctx.emit(
        "window",
        [y],
        dims=[axis.dim for axis in axes],
        sizes=[axis.kernel for axis in axes],
        steps=[1] * len(axes),
        dilations=[axis.dilation for axis in axes],
    )
    return windows, list(range(rank, rank + len(axes)))
