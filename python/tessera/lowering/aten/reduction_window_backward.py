# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gradients of pooling, read instead of written: an element asks the windows that hold it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tessera.lowering.aten.reduction_window import (
    LARGE_WINDOW,
    adaptive_bounds,
    divisors,
    window_axes,
)
from tessera.lowering.aten.resample import Taps, combine
from tessera.lowering.aten.rules import Arith, finish, opmath, rule
from tessera.lowering.aten.windows import Axis, Sizes, meeting, plane
from tessera.lowering.context import GraphValue, LoweringContext

# --- averages --------------------------------------------------------------------------------


def _register_average(dims: int) -> None:
    op = f"avg_pool{dims}d_backward"

    @rule(op)
    def backward(
        ctx: LoweringContext,
        grad_output: GraphValue,
        self: GraphValue,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> GraphValue:
        axes = window_axes(self.shape, dims, op, kernel_size, stride, padding, 1, ceil_mode)
        a = Arith(ctx, opmath(self.dtype))
        by = divisors(axes, count_include_pad, divisor_override)
        grad = ctx.cast(grad_output, a.dtype)
        grad = a.div(grad, by if isinstance(by, float) else ctx.constant(by, a.dtype))
        return finish(ctx, _summed_back(ctx, grad, axes), self.dtype)


def _summed_back(ctx: LoweringContext, grad: GraphValue, axes: Sequence[Axis]) -> GraphValue:
    """Each element the sum over the windows that hold it."""
    groups = [list(axes)]
    if math.prod(axis.kernel for axis in axes) > LARGE_WINDOW:
        groups = [[axis] for axis in axes]
    for group in groups:
        held, over = meeting(ctx, grad, group, 0)
        grad = ctx.emit("reduce", [held], kind="sum", dims=over, keepdim=False)
    return grad


def _register_adaptive_average(dims: int) -> None:
    op = f"_adaptive_avg_pool{dims}d_backward"

    @rule(op)
    def backward(ctx: LoweringContext, grad_output: GraphValue, self: GraphValue) -> GraphValue:
        a = Arith(ctx, opmath(self.dtype))
        grad = ctx.cast(grad_output, a.dtype)
        for dim in range(self.ndim - dims, self.ndim):
            size, count = self.shape[dim], grad.shape[dim]
            rows: list[list[tuple[int, float]]] = [[] for _ in range(size)]
            for window, (start, end) in enumerate(adaptive_bounds(size, count)):
                for element in range(start, end):
                    rows[element].append((window, 1 / (end - start)))
            grad = combine(ctx, grad, dim, Taps.of(rows))
        return finish(ctx, grad, self.dtype)


# --- maxima ----------------------------------------------------------------------------------


def _register_max(dims: int) -> None:
    op = f"max_pool{dims}d_with_indices_backward"

    @rule(op)
    def backward(
        ctx: LoweringContext,
        grad_output: GraphValue,
        self: GraphValue,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
        ceil_mode: bool,
        indices: GraphValue,
    ) -> GraphValue:
        axes = window_axes(self.shape, dims, op, kernel_size, stride, padding, dilation, ceil_mode)
        # A single window along a dimension meets all elements: the positions say which it is.
        several = [axis for axis in axes if axis.count > 1]
        a = Arith(ctx, opmath(self.dtype))
        grad, places = ctx.cast(grad_output, a.dtype), indices
        over: list[int] = []
        if several:
            grad, over = meeting(ctx, grad, several, 0)
            places, _ = meeting(ctx, indices, several, -1)
        own = plane(ctx, self.shape[-dims:])
        own = ctx.reshape(own, (*own.shape, *[1] * len(over)))
        meant = ctx.emit("compare", [places, own], predicate="eq")
        grad = a.select(meant, grad, 0)
        if over:
            grad = ctx.emit("reduce", [grad], kind="sum", dims=over, keepdim=False)
        return finish(ctx, grad, self.dtype)


for _dims in (2, 3):
    _register_average(_dims)
    _register_adaptive_average(_dims)
    _register_max(_dims)
