# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions over windows: average and maximum pooling.

Windows are folded one dimension after the other, each as an elementwise combination of strided
slices; a window that covers its whole dimension is a plain reduction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.movement import slice_along
from tessera.lowering.aten.rules import (
    Arith,
    Number,
    finish,
    is_integral,
    node_rule,
    number,
    opmath,
    rule,
    sizes,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

Sizes = int | Sequence[int]


def _each(value: Sizes, dims: int, op: str) -> list[int]:
    given = sizes([value] if isinstance(value, int) else list(value), op)
    return given * dims if len(given) == 1 else given


def _output_size(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """torch's rule: a window must start inside the input or its left padding."""
    span = dilation * (kernel - 1) + 1
    room = size + 2 * padding - span
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    if count < 1:
        raise ValueError(f"[pool] a window of {span} does not fit into {size} elements")
    return count


def _fold(
    ctx: LoweringContext,
    x: GraphValue,
    dim: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    count: int,
    kind: str,
) -> GraphValue:
    """Windows along one dimension combined into one element each."""
    if count == 1 and not padding and dilation == 1 and kernel == x.shape[dim]:
        return ctx.emit("reduce", [x], kind=kind, dims=[dim], keepdim=True)
    neutral: Number = 0
    if kind == "max":
        neutral = -math.inf if x.dtype.is_floating_point else torch.iinfo(x.dtype).min
    needed = (count - 1) * stride + dilation * (kernel - 1) + 1
    low, high = [0] * x.ndim, [0] * x.ndim
    low[dim], high[dim] = padding, needed - padding - x.shape[dim]
    if low[dim] or high[dim]:
        x = ctx.emit("pad", [x, number(ctx, neutral, x.dtype)], low=low, high=high)
    a = Arith(ctx, x.dtype)
    combine = a.maximum if kind == "max" else a.add
    result: GraphValue | None = None
    for offset in range(0, kernel * dilation, dilation):
        part = slice_along(ctx, x, dim, offset, offset + (count - 1) * stride + 1, stride)
        result = part if result is None else combine(result, part)
    assert result is not None
    return result


def _max_pool(
    ctx: LoweringContext,
    x: GraphValue,
    dims: int,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
) -> GraphValue:
    kernel = _each(kernel_size, dims, "max_pool")
    steps = _each(stride, dims, "max_pool") if _given(stride) else kernel
    pads = _each(padding, dims, "max_pool")
    gaps = _each(dilation, dims, "max_pool")
    for index in range(dims):
        dim = x.ndim - dims + index
        arguments = (kernel[index], steps[index], pads[index], gaps[index])
        count = _output_size(x.shape[dim], *arguments, ceil_mode)
        x = _fold(ctx, x, dim, *arguments, count, "max")
    return x


def _given(stride: Sizes) -> bool:
    return isinstance(stride, int) or len(stride) > 0


def _register_max(dims: int) -> None:
    @rule(f"max_pool{dims}d")
    def plain(
        ctx: LoweringContext,
        self: GraphValue,
        kernel_size: Sizes,
        stride: Sizes = (),
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> GraphValue:
        return _max_pool(ctx, self, dims, kernel_size, stride, padding, dilation, ceil_mode)

    @node_rule(f"max_pool{dims}d_with_indices")
    def with_indices(
        ctx: LoweringContext,
        used: frozenset[int],
        self: GraphValue,
        kernel_size: Sizes,
        stride: Sizes = (),
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> tuple[GraphValue, None]:
        if 1 in used:
            raise Unsupported(
                "the positions of a maximum pooling are read, which it does not keep",
                "use only the values, or leave it in PyTorch",
                code="unsupported-result",
            )
        return plain(ctx, self, kernel_size, stride, padding, dilation, ceil_mode), None


def _counts(
    size: int, kernel: int, stride: int, padding: int, count: int, include_pad: bool
) -> list[int]:
    """How many elements each window's mean is taken over, along one dimension."""
    found = []
    for index in range(count):
        start = index * stride - padding
        end = min(start + kernel, size + padding)
        if not include_pad:
            start, end = max(start, 0), min(end, size)
        found.append(end - start)
    return found


def _register_average(dims: int) -> None:
    @rule(f"avg_pool{dims}d")
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
        if is_integral(self.dtype):
            raise TypeError(f"[avg_pool{dims}d] is not defined for {self.dtype}")
        kernel = _each(kernel_size, dims, "avg_pool")
        steps = _each(stride, dims, "avg_pool") if _given(stride) else kernel
        pads = _each(padding, dims, "avg_pool")
        a = Arith(ctx, opmath(self.dtype))
        x = ctx.cast(self, a.dtype)
        divisor: torch.Tensor | None = None
        for index in range(dims):
            dim = x.ndim - dims + index
            size, extent, step, pad = x.shape[dim], kernel[index], steps[index], pads[index]
            count = _output_size(size, extent, step, pad, 1, ceil_mode)
            x = _fold(ctx, x, dim, extent, step, pad, 1, count, "sum")
            line = torch.tensor(_counts(size, extent, step, pad, count, count_include_pad))
            divisor = line if divisor is None else divisor.unsqueeze(-1) * line
        assert divisor is not None
        if divisor_override is not None:
            return finish(ctx, a.div(x, float(divisor_override)), self.dtype)
        if bool((divisor == divisor.flatten()[0]).all()):
            return finish(ctx, a.div(x, float(divisor.flatten()[0])), self.dtype)
        return finish(ctx, a.div(x, ctx.constant(divisor, a.dtype)), self.dtype)


for _dims in (1, 2, 3):
    _register_max(_dims)
    _register_average(_dims)


# --- adaptive windows ------------------------------------------------------------------------


def _register_adaptive(dims: int, *names: str) -> None:
    @rule(*names)
    def adaptive(ctx: LoweringContext, self: GraphValue, output_size: Sizes) -> GraphValue:
        wanted = _each(output_size, dims, "adaptive_avg_pool")
        if is_integral(self.dtype):
            raise TypeError(f"[adaptive_avg_pool{dims}d] is not defined for {self.dtype}")
        a = Arith(ctx, opmath(self.dtype))
        x = ctx.cast(self, a.dtype)
        spatial = list(range(x.ndim - dims, x.ndim))
        if all(count == 1 for count in wanted):
            total = ctx.emit("reduce", [x], kind="sum", dims=spatial, keepdim=True)
            return finish(ctx, a.div(total, float(math.prod(self.shape[-dims:]))), self.dtype)
        for index, count in enumerate(wanted):
            x = _adaptive_mean(ctx, a, x, x.ndim - dims + index, count)
        return finish(ctx, x, self.dtype)


def _adaptive_mean(
    ctx: LoweringContext, a: Arith, x: GraphValue, dim: int, count: int
) -> GraphValue:
    """`count` means over windows from floor(i * size / count) to ceil((i + 1) * size / count)."""
    size = x.shape[dim]
    if count and size % count == 0:
        window = size // count
        if window == 1:
            return x
        split = ctx.reshape(x, (*x.shape[:dim], count, window, *x.shape[dim + 1 :]))
        total = ctx.emit("reduce", [split], kind="sum", dims=[dim + 1], keepdim=False)
        return a.div(total, float(window))
    parts = []
    for index in range(count):
        start, end = index * size // count, -(-(index + 1) * size // count)
        part = slice_along(ctx, x, dim, start, end)
        total = ctx.emit("reduce", [part], kind="sum", dims=[dim], keepdim=True)
        parts.append(a.div(total, float(end - start)))
    if not parts:
        return ctx.broadcast(number(ctx, 0, x.dtype), (*x.shape[:dim], 0, *x.shape[dim + 1 :]))
    return parts[0] if len(parts) == 1 else ctx.emit("concat", parts, dim=dim)


_register_adaptive(1, "adaptive_avg_pool1d")
_register_adaptive(2, "adaptive_avg_pool2d", "_adaptive_avg_pool2d")
_register_adaptive(3, "adaptive_avg_pool3d", "_adaptive_avg_pool3d")
