# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions whose windows do not overlap: patch embeddings, pixelwise products.

Where the stride is the kernel's size, every input element is read once, and the convolution is a
product of matrices over rearranged dimensions. All other convolutions have no kernel yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from tessera.lowering.aten.contraction import product
from tessera.lowering.aten.movement import permute_to
from tessera.lowering.aten.rules import rule, sizes
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

Sizes = int | Sequence[int]


def _each(value: Sizes, dims: int, op: str) -> list[int]:
    """One number a spatial dimension."""
    given = [value] if isinstance(value, int) else list(value)
    given = sizes(given, op)
    return given * dims if len(given) == 1 else given


def _refuse(what: str) -> Unsupported:
    return Unsupported(
        f"convolution with {what} has no kernel yet",
        "let PyTorch compute it; a converted model does so by itself",
        code="no-kernel",
    )


def _check_covered(
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    transposed: bool,
) -> None:
    if transposed:
        raise _refuse("a transposed kernel")
    if groups != 1:
        raise _refuse(f"{groups} groups")
    if any(padding):
        raise _refuse(f"padding {list(padding)}")
    # A kernel of size one has nothing to dilate.
    if any(gap != 1 and size != 1 for gap, size in zip(dilation, kernel, strict=True)):
        raise _refuse(f"dilation {list(dilation)}")
    for size, step in zip(kernel, stride, strict=True):
        if step < size:
            raise _refuse(f"overlapping windows (kernel {list(kernel)}, stride {list(stride)})")


@rule("convolution")
def convolution(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue,
    bias: GraphValue | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> GraphValue:
    dims = weight.ndim - 2
    kernel = list(weight.shape[2:])
    steps = _each(stride, dims, "convolution")
    _check_covered(
        kernel,
        steps,
        _each(padding, dims, "convolution"),
        _each(dilation, dims, "convolution"),
        groups,
        transposed,
    )
    unbatched = input.ndim == dims + 1
    x = ctx.reshape(input, (1, *input.shape)) if unbatched else input
    if x.ndim != dims + 2 or x.shape[1] != weight.shape[1]:
        raise ValueError(f"[convolution] input {input.shape} and weight {weight.shape} do not fit")
    if all(size == 1 for size in kernel):
        result = _pixelwise(ctx, x, weight, steps)
    else:
        result = _patches(ctx, x, weight, steps)
    if bias is not None:
        column = ctx.reshape(bias, (bias.shape[0], *(1,) * dims))
        result = ctx.emit("add", [result, ctx.cast(column, result.dtype)])
    return ctx.reshape(result, result.shape[1:]) if unbatched else result


def _pixelwise(
    ctx: LoweringContext, x: GraphValue, weight: GraphValue, steps: Sequence[int]
) -> GraphValue:
    """A kernel of size one: the weight times the channels of every position, in place."""
    if any(step != 1 for step in steps):
        x = ctx.emit(
            "slice",
            [x],
            starts=[0] * x.ndim,
            limits=list(x.shape),
            steps=[1, 1, *steps],
        )
    count, channels, *spatial = x.shape
    flat = 1
    for size in spatial:
        flat *= size
    columns = ctx.reshape(x, (count, channels, flat))
    matrix = ctx.reshape(weight, weight.shape[:2])
    result = product(ctx, "convolution", matrix, columns)
    return ctx.reshape(result, (count, weight.shape[0], *spatial))


def _patches(
    ctx: LoweringContext, x: GraphValue, weight: GraphValue, steps: Sequence[int]
) -> GraphValue:
    """Windows side by side: one row a window, times the kernels as columns."""
    count, channels, *spatial = x.shape
    kernel = weight.shape[2:]
    windows = [
        (size - extent) // step + 1
        for size, extent, step in zip(spatial, kernel, steps, strict=True)
    ]
    if any(window < 1 for window in windows):
        raise ValueError(f"[convolution] the kernel {kernel} is larger than the input {x.shape}")
    # What lies behind the last window, and between windows, is never read.
    limits = [count, channels]
    for dim, (window, step) in enumerate(zip(windows, steps, strict=True)):
        limits.append(min(window * step, spatial[dim]))
    x = _crop(ctx, x, limits)
    for dim, (window, step, extent) in enumerate(zip(windows, steps, kernel, strict=True)):
        x = _split(ctx, x, 2 + 2 * dim, window, step, extent)
    places = [2 + 2 * dim for dim in range(len(windows))]
    rows = permute_to(ctx, x, [0, *places, 1, *(place + 1 for place in places)])
    depth = channels
    for extent in kernel:
        depth *= extent
    total = count
    for window in windows:
        total *= window
    matrix = ctx.reshape(weight, (weight.shape[0], depth))
    result = product(
        ctx, "convolution", ctx.reshape(rows, (total, depth)), matrix, transpose_b=True
    )
    result = ctx.reshape(result, (count, *windows, weight.shape[0]))
    return permute_to(ctx, result, [0, result.ndim - 1, *range(1, result.ndim - 1)])


def _crop(ctx: LoweringContext, x: GraphValue, limits: Sequence[int]) -> GraphValue:
    if list(x.shape) == list(limits):
        return x
    return ctx.emit("slice", [x], starts=[0] * x.ndim, limits=list(limits), steps=[1] * x.ndim)


def _split(
    ctx: LoweringContext, x: GraphValue, dim: int, window: int, step: int, extent: int
) -> GraphValue:
    """Dimension `dim` as (window, extent)."""
    missing = window * step - x.shape[dim]
    if missing:
        # The gap behind the last window may lie outside.
        high = [0] * x.ndim
        high[dim] = missing
        x = ctx.emit("pad", [x, ctx.constant(0, x.dtype)], low=[0] * x.ndim, high=high)
    x = ctx.reshape(x, (*x.shape[:dim], window, step, *x.shape[dim + 1 :]))
    return _crop(ctx, x, [*x.shape[: dim + 1], extent, *x.shape[dim + 2 :]])


@rule("conv1d", "conv2d", "conv3d", "conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue,
    bias: GraphValue | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> GraphValue:
    kernel = weight.shape[2:]
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(f"[conv] padding is {padding!r}; expected 'valid' or 'same'")
        if padding == "same" and any(size != 1 for size in kernel):
            raise _refuse("padding 'same'")
        padding = 0
    return convolution(ctx, input, weight, bias, stride, padding, dilation, False, 0, groups)
