# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions over windows: average and maximum pooling, with positions.

Windows are views, so a pool is one reduction over their elements; large ones are folded one
dimension after the other. Adaptive pools whose windows differ choose elements by tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.movement import permute_to
from tessera.lowering.aten.rules import (
    Arith,
    Number,
    both,
    finish,
    is_integral,
    node_rule,
    opmath,
    rule,
)
from tessera.lowering.aten.windows import Axis, Sizes, count_windows, cover, each, plane
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

#: Windows with more elements are folded by dimension.
LARGE_WINDOW = 25
#: Behind every position there is.
NOWHERE = 2**62


def window_axes(
    shape: Sequence[int],
    dims: int,
    op: str,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
) -> list[Axis]:
    """The windows of a pool over the last `dims` dimensions; without a stride they are apart."""
    if len(shape) not in (dims + 1, dims + 2):
        raise ValueError(f"[{op}] expected {dims + 1} or {dims + 2} dimensions, got {list(shape)}")
    kernel = each(kernel_size, dims, op, "kernel_size")
    given = stride is not None and (isinstance(stride, int) or len(stride) > 0)
    steps = each(stride, dims, op, "stride") if given and stride is not None else kernel
    pads = each(padding, dims, op, "padding")
    gaps = each(dilation, dims, op, "dilation")
    axes = []
    for index in range(dims):
        dim = len(shape) - dims + index
        arguments = (kernel[index], steps[index], pads[index], gaps[index])
        count = count_windows(shape[dim], *arguments, ceil_mode, op)
        axes.append(Axis(dim, shape[dim], *arguments, count))
    return axes


def _lowest(dtype: torch.dtype) -> Number:
    return -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def fold(
    ctx: LoweringContext, x: GraphValue, axes: Sequence[Axis], kind: str, outside: Number
) -> GraphValue:
    """Each window combined into one element."""
    whole = [axis for axis in axes if axis.is_whole]
    if whole:  # no windows to make: one reduction, whatever the size
        x = ctx.emit("reduce", [x], kind=kind, dims=[axis.dim for axis in whole], keepdim=True)
    axes = [axis for axis in axes if not axis.is_whole]
    at_once = [list(axes)] if axes else []
    if math.prod(axis.kernel for axis in axes) > LARGE_WINDOW:
        at_once = [[axis] for axis in axes]
    for group in at_once:
        windows, over = cover(ctx, x, group, outside)
        x = ctx.emit("reduce", [windows], kind=kind, dims=over, keepdim=False)
    return x


# --- maxima ----------------------------------------------------------------------------------


def first_maximum(
    ctx: LoweringContext, values: GraphValue, places: GraphValue, over: Sequence[int]
) -> tuple[GraphValue, GraphValue]:
    """The greatest of `values` over the dimensions `over`, and where it is among `places`.

    As in PyTorch the first of equals counts, but of NaNs the last.
    """
    a, at = Arith(ctx, values.dtype), Arith(ctx, torch.int64)
    best = ctx.emit("reduce", [values], kind="max", dims=list(over), keepdim=True)

    def chosen(condition: GraphValue, kind: str, otherwise: int) -> GraphValue:
        marked = at.select(condition, places, otherwise)
        return ctx.emit("reduce", [marked], kind=kind, dims=list(over), keepdim=True)

    place = chosen(a.compare("eq", values, best), "min", NOWHERE)
    if values.dtype.is_floating_point:
        inside = at.compare("lt", places, NOWHERE)
        unordered = both(ctx, a.compare("ne", values, values), inside)
        last = chosen(unordered, "max", -1)
        place = at.select(a.compare("ne", best, best), last, place)
    shape = [size for dim, size in enumerate(values.shape) if dim not in over]
    return ctx.reshape(best, shape), ctx.reshape(place, shape)


def max_with_places(
    ctx: LoweringContext, x: GraphValue, axes: Sequence[Axis]
) -> tuple[GraphValue, GraphValue]:
    """Maxima and their positions within the dimensions of `axes`, counted as one."""
    if any(axis.has_empty_windows for axis in axes):
        raise Unsupported(
            "a window of the pool holds no element of the input, so its maximum has no position",
            "use less padding, or a dilation that does not step over the input",
        )
    values, over = cover(ctx, x, axes, _lowest(x.dtype))
    lead = x.ndim - len(axes)
    own = plane(ctx, x.shape[lead:])
    flat = [
        Axis(
            axis.dim - lead, axis.size, axis.kernel, axis.step, axis.pad, axis.dilation, axis.count
        )
        for axis in axes
    ]
    places, _ = cover(ctx, own, flat, NOWHERE)
    return first_maximum(ctx, values, places, over)


def _register_max(dims: int) -> None:
    name = f"max_pool{dims}d"

    @rule(name)
    def plain(
        ctx: LoweringContext,
        self: GraphValue,
        kernel_size: Sizes,
        stride: Sizes = (),
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> GraphValue:
        axes = window_axes(
            self.shape, dims, name, kernel_size, stride, padding, dilation, ceil_mode
        )
        return fold(ctx, self, axes, "max", _lowest(self.dtype))

    @node_rule(f"{name}_with_indices")
    def with_indices(
        ctx: LoweringContext,
        used: frozenset[int],
        self: GraphValue,
        kernel_size: Sizes,
        stride: Sizes = (),
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> tuple[GraphValue, GraphValue | None]:
        arguments = (kernel_size, stride, padding, dilation, ceil_mode)
        if 1 not in used:
            return plain(ctx, self, *arguments), None
        return max_with_places(ctx, self, window_axes(self.shape, dims, name, *arguments))


# --- averages --------------------------------------------------------------------------------


def counts_of(axis: Axis, include_pad: bool) -> list[int]:
    """How many elements each window's mean is taken over, along one dimension."""
    found = []
    for index in range(axis.count):
        start = index * axis.step - axis.pad
        end = min(start + axis.kernel, axis.size + axis.pad)
        if not include_pad:
            start, end = max(start, 0), min(end, axis.size)
        found.append(end - start)
    return found


def divisors(axes: Sequence[Axis], include_pad: bool, override: int | None) -> torch.Tensor | float:
    """What the sums of windows are divided by: one number where it is the same for all."""
    if override is not None:
        if override == 0:
            raise ValueError("[avg_pool] divisor_override must not be zero")
        return float(override)
    table = torch.ones(())
    for axis in axes:
        table = table.unsqueeze(-1) * torch.tensor(counts_of(axis, include_pad))
    same = bool((table == table.flatten()[0]).all())
    return float(table.flatten()[0]) if same else table


def _register_average(dims: int) -> None:
    name = f"avg_pool{dims}d"

    @rule(name)
    def average(
        ctx: LoweringContext,
        self: GraphValue,
        kernel_size: Sizes,
        stride: Sizes = (),
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> GraphValue:
        axes = window_axes(self.shape, dims, name, kernel_size, stride, padding, 1, ceil_mode)
        divisor = divisors(axes, count_include_pad, divisor_override)
        return finish(ctx, _mean(ctx, self, axes, divisor), self.dtype)


def _mean(
    ctx: LoweringContext, x: GraphValue, axes: Sequence[Axis], divisor: torch.Tensor | float
) -> GraphValue:
    """In the type it is computed in. Integers are divided as integers, as in PyTorch."""
    a = Arith(ctx, opmath(x.dtype))
    total = fold(ctx, ctx.cast(x, a.dtype), axes, "sum", 0)
    by = divisor if isinstance(divisor, float) else ctx.constant(divisor, a.dtype)
    if is_integral(a.dtype):
        by = int(divisor) if isinstance(divisor, float) else by
        return a.emit("trunc_div", total, by)
    return a.div(total, by)


for _dims in (1, 2, 3):
    _register_max(_dims)
    _register_average(_dims)


# --- adaptive windows ------------------------------------------------------------------------


def adaptive_bounds(size: int, count: int) -> list[tuple[int, int]]:
    """Windows from floor(i·size / count) to ceil((i + 1)·size / count)."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _adaptive_axes(x: GraphValue, wanted: Sequence[int], op: str) -> tuple[list[Axis], list[Axis]]:
    """The dimensions whose windows are all alike, and those whose windows differ."""
    alike, apart = [], []
    for index, count in enumerate(wanted):
        dim = x.ndim - len(wanted) + index
        size = x.shape[dim]
        if not size and count:
            raise Unsupported(f"[{op}] dimension {dim} of {x.shape} has no elements to pool")
        if count and size % count == 0:
            alike.append(Axis(dim, size, size // count, size // count, 0, 1, count))
        else:
            apart.append(Axis(dim, size, 0, 1, 0, 1, count))
    return alike, apart


def _table(axis: Axis) -> tuple[torch.Tensor, torch.Tensor]:
    """The elements of each window, and which of them are not there twice: windows are filled up
    with their last element."""
    bounds = adaptive_bounds(axis.size, axis.count)
    width = max((end - start for start, end in bounds), default=1)
    rows = [[min(start + k, end - 1) for k in range(width)] for start, end in bounds]
    real = [[start + k < end for k in range(width)] for start, end in bounds]
    shape = (axis.count, width)
    return torch.tensor(rows).reshape(shape), torch.tensor(real).reshape(shape)


def _check_adaptive(x: GraphValue, output_size: Sizes, dims: int, op: str) -> list[int]:
    if x.ndim not in (dims + 1, dims + 2):
        raise ValueError(f"[{op}] expected {dims + 1} or {dims + 2} dimensions, got {x.shape}")
    return each(output_size, dims, op, "output_size")


def _register_adaptive_average(dims: int, *names: str) -> None:
    op = names[0]

    @rule(*names)
    def adaptive(ctx: LoweringContext, self: GraphValue, output_size: Sizes) -> GraphValue:
        wanted = _check_adaptive(self, output_size, dims, op)
        if is_integral(self.dtype):
            raise TypeError(f"[{op}] is not defined for {self.dtype}")
        a = Arith(ctx, opmath(self.dtype))
        x = ctx.cast(self, a.dtype)
        if not all(wanted):
            return ctx.broadcast(ctx.constant(0, self.dtype), (*self.shape[:-dims], *wanted))
        alike, apart = _adaptive_axes(x, wanted, op)
        if alike:
            x = _mean(ctx, x, alike, float(math.prod(axis.kernel for axis in alike)))
        for axis in apart:
            x = _mean_by_table(ctx, a, x, axis)
        return finish(ctx, x, self.dtype)


def _mean_by_table(ctx: LoweringContext, a: Arith, x: GraphValue, axis: Axis) -> GraphValue:
    table, real = _table(axis)
    rest = [1] * (x.ndim - axis.dim - 1)
    chosen = ctx.emit("gather", [x, ctx.constant(table)], dim=axis.dim)
    if not bool(real.all()):
        mask = ctx.constant(real.reshape(*real.shape, *rest))
        chosen = a.select(mask, chosen, 0)
    total = ctx.emit("reduce", [chosen], kind="sum", dims=[axis.dim + 1], keepdim=False)
    return a.div(total, ctx.constant(real.sum(1).reshape(-1, *rest), a.dtype))


_register_adaptive_average(1, "adaptive_avg_pool1d")
_register_adaptive_average(2, "adaptive_avg_pool2d", "_adaptive_avg_pool2d")
_register_adaptive_average(3, "adaptive_avg_pool3d", "_adaptive_avg_pool3d")


def _register_adaptive_max(dims: int) -> None:
    op = f"adaptive_max_pool{dims}d"

    @node_rule(op)
    def adaptive(
        ctx: LoweringContext, used: frozenset[int], self: GraphValue, output_size: Sizes
    ) -> tuple[GraphValue, GraphValue | None]:
        wanted = _check_adaptive(self, output_size, dims, op)
        if not all(wanted):
            shape = (*self.shape[:-dims], *wanted)
            return (
                ctx.broadcast(ctx.constant(0, self.dtype), shape),
                ctx.broadcast(ctx.constant(0, torch.int64), shape),
            )
        alike, apart = _adaptive_axes(self, wanted, op)
        if not apart:
            if 1 in used:
                return max_with_places(ctx, self, alike)
            return fold(ctx, self, alike, "max", _lowest(self.dtype)), None
        return _max_by_table(ctx, self, wanted, 1 in used)


def _max_by_table(
    ctx: LoweringContext, x: GraphValue, wanted: Sequence[int], with_places: bool
) -> tuple[GraphValue, GraphValue | None]:
    dims = len(wanted)
    lead = x.ndim - dims
    own = torch.zeros((), dtype=torch.int64)
    for index, count in enumerate(wanted):
        dim = lead + 2 * index
        size = x.shape[dim]
        table, _ = _table(Axis(dim, size, 0, 1, 0, 1, count))
        x = ctx.emit("gather", [x, ctx.constant(table)], dim=dim)
        own = own.unsqueeze(-1).unsqueeze(-1) * size + table
    order = [*range(lead), *range(lead, x.ndim, 2), *range(lead + 1, x.ndim, 2)]
    x = permute_to(ctx, x, order)
    over = list(range(lead + dims, x.ndim))
    if not with_places:
        return ctx.emit("reduce", [x], kind="max", dims=over, keepdim=False), None
    places = own.permute(*range(0, 2 * dims, 2), *range(1, 2 * dims, 2))
    return first_maximum(ctx, x, ctx.constant(places.contiguous()), over)


for _dims in (1, 2, 3):
    _register_adaptive_max(_dims)
