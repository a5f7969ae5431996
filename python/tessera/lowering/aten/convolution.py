# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions, their transposes and their gradients, in any number of spatial dimensions.

All become `graph.convolution`. A transposed one is taken apart by output phase: of the outputs
that are a stride apart all read the same part of the kernel, each at one input element after the
other, which is a plain convolution by that part, backwards. No zero is inserted, none multiplied.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tessera.lowering.aten.movement import permute_to, reverse_along
from tessera.lowering.aten.movement_copy import join
from tessera.lowering.aten.rules import node_rule, number, rule
from tessera.lowering.aten.windows import Sizes, each, spread
from tessera.lowering.context import GraphValue, LoweringContext

#: Convolutions a transposed one may become; beyond, zeros are inserted between inputs instead.
MOST_PHASES = 16


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


def _geometry(
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


def _forward(ctx: LoweringContext, x: GraphValue, weight: GraphValue, g: Geometry) -> GraphValue:
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


# --- transposed ------------------------------------------------------------------------------


def _as_forward(ctx: LoweringContext, weight: GraphValue, groups: int) -> GraphValue:
    """[inputs, outputs / groups, kernel…] as [outputs, inputs / groups, kernel…]."""
    inputs, outputs, *kernel = weight.shape
    split = ctx.reshape(weight, (groups, inputs // groups, outputs, *kernel))
    swapped = permute_to(ctx, split, [0, 2, 1, *range(3, split.ndim)])
    return ctx.reshape(swapped, (groups * outputs, inputs // groups, *kernel))


def _transposed(
    ctx: LoweringContext, x: GraphValue, weight: GraphValue, g: Geometry, extra: Sequence[int]
) -> GraphValue:
    kernel = weight.shape[2:]
    wanted = [
        (size - 1) * step - 2 * pad + gap * (taps - 1) + more + 1
        for size, step, pad, gap, taps, more in zip(
            x.shape[2:], g.stride, g.padding, g.dilation, kernel, extra, strict=True
        )
    ]
    if any(size < 1 for size in wanted):
        raise ValueError(f"[convolution] a transposed convolution would give {wanted} elements")
    if not all((*x.shape[1:], *weight.shape)):
        shape = (x.shape[0], weight.shape[1] * g.groups, *wanted)
        return ctx.broadcast(number(ctx, 0, x.dtype), shape)
    if math.prod(g.stride) > 1 and all(
        taps == 1 or (taps <= step and gap == 1)
        for taps, step, gap in zip(kernel, g.stride, g.dilation, strict=True)
    ):
        return _side_by_side(ctx, x, weight, g, wanted)
    forward = _as_forward(ctx, weight, g.groups)
    if math.prod(g.stride) <= MOST_PHASES:
        return _by_phase(ctx, x, forward, g, wanted)
    return _spread(ctx, x, forward, g, wanted)


def _side_by_side(
    ctx: LoweringContext, x: GraphValue, weight: GraphValue, g: Geometry, wanted: Sequence[int]
) -> GraphValue:
    """Copies of the kernel that do not overlap: a product a pixel, its results laid out."""
    dims, (batch, inputs, *places) = g.dims, x.shape
    high = [step - taps for step, taps in zip(g.stride, weight.shape[2:], strict=True)]
    whole = _padded(ctx, weight, [0, 0, *([0] * dims)], [0, 0, *high])
    # The kernel's elements become output channels, inside a group.
    outputs = weight.shape[1]
    flat = ctx.reshape(whole, (inputs, outputs * math.prod(g.stride), *([1] * dims)))
    y = _forward(
        ctx,
        x,
        _as_forward(ctx, flat, g.groups),
        Geometry([1] * dims, [0] * dims, [1] * dims, g.groups),
    )
    y = ctx.reshape(y, (batch, g.groups * outputs, *g.stride, *places))
    order = [0, 1]
    for dim in range(dims):
        order += [2 + dims + dim, 2 + dim]
    y = permute_to(ctx, y, order)
    full = [size * step for size, step in zip(places, g.stride, strict=True)]
    y = ctx.reshape(y, (batch, g.groups * outputs, *full))
    # Behind the last kernel come zeros, or less than it.
    return _padded(
        ctx,
        y,
        [0, 0, *(-pad for pad in g.padding)],
        [
            0,
            0,
            *(want + pad - size for want, pad, size in zip(wanted, g.padding, full, strict=True)),
        ],
    )


def _padded(
    ctx: LoweringContext, x: GraphValue, low: Sequence[int], high: Sequence[int]
) -> GraphValue:
    """Zeros around `x`; negative amounts crop."""
    if not any(low) and not any(high):
        return x
    return ctx.emit("pad", [x, number(ctx, 0, x.dtype)], low=list(low), high=list(high))


def _cut(ctx: LoweringContext, x: GraphValue, spatial: Sequence[int]) -> GraphValue:
    high = [want - have for want, have in zip(spatial, x.shape[2:], strict=True)]
    return _padded(ctx, x, [0] * x.ndim, [0, 0, *high])


@dataclass(frozen=True)
class Phase:
    """Along one dimension: what the outputs `phase`, `phase + stride`, … are computed from."""

    first: int  #: of the kernel's elements
    step: int
    count: int
    dilation: int  #: between the inputs of neighbouring elements
    low: int
    high: int


def _phase(
    phase: int, taps: int, step: int, pad: int, gap: int, size: int, outputs: int
) -> Phase | None:
    """None where no element of the kernel ever meets these outputs.

    Output o = step·q + phase is the sum over k of w[k]·x[(o + pad - gap·k) / step] where that is
    whole: k = first + j·(step/common), and the input is q + shift - j·(gap/common).
    """
    common = math.gcd(step, gap)
    met = [k for k in range(min(taps, step // common)) if (phase + pad - gap * k) % step == 0]
    if not met:
        return None
    first, stride, dilation = met[0], step // common, gap // common
    count = len(range(first, taps, stride))
    shift = (phase + pad - gap * first) // step
    span = (count - 1) * dilation
    low = span - shift
    return Phase(first, stride, count, dilation, low, outputs + span - size - low)


def _by_phase(
    ctx: LoweringContext, x: GraphValue, weight: GraphValue, g: Geometry, wanted: Sequence[int]
) -> GraphValue:
    dims = g.dims
    # As many outputs of every phase as of the first; what is too much is cut at the end.
    counts = [-(-want // step) for want, step in zip(wanted, g.stride, strict=True)]
    phases = [
        [
            _phase(phase, taps, g.stride[dim], g.padding[dim], g.dilation[dim], size, counts[dim])
            for phase in range(g.stride[dim])
        ]
        for dim, (taps, size) in enumerate(zip(weight.shape[2:], x.shape[2:], strict=True))
    ]
    shape = (x.shape[0], weight.shape[0], *counts)
    parts = []
    for chosen in itertools.product(*phases):
        met = [phase for phase in chosen if phase is not None]
        if len(met) < dims:
            parts.append(ctx.broadcast(number(ctx, 0, x.dtype), shape))
        else:
            parts.append(_one_phase(ctx, x, weight, met, g.groups))
    if len(parts) == 1:
        y = parts[0]
    else:
        joined = join(ctx, [ctx.reshape(part, (1, *shape)) for part in parts], 0)
        y = ctx.reshape(joined, (*g.stride, *shape))
        order = [dims, dims + 1]
        for dim in range(dims):
            order += [dims + 2 + dim, dim]
        full = [count * step for count, step in zip(counts, g.stride, strict=True)]
        y = ctx.reshape(permute_to(ctx, y, order), (*shape[:2], *full))
    return _cut(ctx, y, wanted)


def _one_phase(
    ctx: LoweringContext, x: GraphValue, weight: GraphValue, met: Sequence[Phase], groups: int
) -> GraphValue:
    if any(phase.first or phase.step > 1 for phase in met):
        weight = ctx.emit(
            "slice",
            [weight],
            starts=[0, 0, *(phase.first for phase in met)],
            limits=list(weight.shape),
            steps=[1, 1, *(phase.step for phase in met)],
        )
    return slide(
        ctx,
        x,
        _flipped(ctx, weight),
        [phase.low for phase in met],
        [phase.high for phase in met],
        stride=[1] * len(met),
        dilation=[phase.dilation for phase in met],
        groups=groups,
    )


def _flipped(ctx: LoweringContext, weight: GraphValue) -> GraphValue:
    return reverse_along(
        ctx, weight, [dim for dim in range(2, weight.ndim) if weight.shape[dim] > 1]
    )


def _spread(
    ctx: LoweringContext, x: GraphValue, weight: GraphValue, g: Geometry, wanted: Sequence[int]
) -> GraphValue:
    """Zeros between the inputs, then one convolution."""
    for dim, step in enumerate(g.stride, start=2):
        x = spread(ctx, x, dim, step)
    low = [
        gap * (taps - 1) - pad
        for gap, taps, pad in zip(g.dilation, weight.shape[2:], g.padding, strict=True)
    ]
    high = [
        want - 1 + gap * (taps - 1) + 1 - size - before
        for want, gap, taps, size, before in zip(
            wanted, g.dilation, weight.shape[2:], x.shape[2:], low, strict=True
        )
    ]
    return slide(
        ctx,
        x,
        _flipped(ctx, weight),
        low,
        high,
        stride=[1] * g.dims,
        dilation=g.dilation,
        groups=g.groups,
    )


# --- operators -------------------------------------------------------------------------------


def _check(x: GraphValue, weight: GraphValue, transposed: bool, groups: int) -> None:
    if x.dtype != weight.dtype:
        raise TypeError(f"[convolution] input is {x.dtype} and weight {weight.dtype}")
    if groups < 1:
        raise ValueError(f"[convolution] groups is {groups}; there is at least one")
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.ndim != weight.ndim or x.shape[1] != channels or weight.shape[0] % groups:
        raise ValueError(
            f"[convolution] input {x.shape} and weight {weight.shape} do not fit in {groups} groups"
        )


@rule("convolution", "convolution_overrideable")
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
    g = _geometry(dims, "convolution", stride, padding, dilation, groups)
    unbatched = input.ndim == dims + 1
    x = ctx.reshape(input, (1, *input.shape)) if unbatched else input
    _check(x, weight, transposed, groups)
    if transposed:
        extra = each(output_padding, dims, "convolution", "output_padding")
        result = _transposed(ctx, x, weight, g, extra)
    else:
        result = _forward(ctx, x, weight, g)
    if bias is not None:
        column = ctx.reshape(bias, (bias.shape[0], *(1,) * dims))
        result = ctx.emit("add", [result, ctx.cast(column, result.dtype)])
    return ctx.reshape(result, result.shape[1:]) if unbatched else result


@rule("_convolution", "_convolution.deprecated")
def convolution_with_flags(
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
    *flags: bool,
    **named_flags: bool,
) -> GraphValue:
    """The flags choose between PyTorch's own libraries."""
    return convolution(
        ctx, input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )


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
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise ValueError(f"[conv] padding is {padding!r}; expected 'valid' or 'same'")
        if padding == "same":
            return _same(ctx, input, weight, bias, stride, dilation, groups)
        padding = 0
    return convolution(ctx, input, weight, bias, stride, padding, dilation, False, 0, groups)


def _same(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue,
    bias: GraphValue | None,
    stride: Sizes,
    dilation: Sizes,
    groups: int,
) -> GraphValue:
    """As many outputs as inputs; what is left of an odd border goes to the end."""
    dims = weight.ndim - 2
    if any(step != 1 for step in each(stride, dims, "conv", "stride")):
        raise ValueError(f"[conv] padding='same' needs a stride of 1, got {stride}")
    gaps = each(dilation, dims, "conv", "dilation")
    borders = [gap * (taps - 1) for gap, taps in zip(gaps, weight.shape[2:], strict=True)]
    lead = [0] * (input.ndim - dims)
    odd = [border % 2 for border in borders]
    x = _padded(ctx, input, [0] * input.ndim, [*lead, *odd])
    padding = [border // 2 for border in borders]
    return convolution(ctx, x, weight, bias, stride, padding, dilation, False, 0, groups)


@rule("conv_transpose1d", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue,
    bias: GraphValue | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> GraphValue:
    return convolution(
        ctx, input, weight, bias, stride, padding, dilation, True, output_padding, groups
    )


# --- gradients -------------------------------------------------------------------------------


@node_rule("convolution_backward")
def convolution_backward(
    ctx: LoweringContext,
    used: frozenset[int],
    grad_output: GraphValue,
    input: GraphValue,
    weight: GraphValue,
    bias_sizes: Sequence[int] | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[GraphValue | None, GraphValue | None, GraphValue | None]:
    g = _geometry(weight.ndim - 2, "convolution", stride, padding, dilation, groups)
    wanted = [index in used and output_mask[index] for index in range(3)]
    # A convolution is the transpose of its transpose.
    to_input = to_weight = to_bias = None
    if wanted[0] and transposed:
        # Outputs beyond the last kernel were nothing but padding.
        to_input = _cut(ctx, _forward(ctx, grad_output, weight, g), input.shape[2:])
    elif wanted[0]:
        extra = [
            size - ((out - 1) * step - 2 * pad + gap * (taps - 1) + 1)
            for size, out, step, pad, gap, taps in zip(
                input.shape[2:],
                grad_output.shape[2:],
                g.stride,
                g.padding,
                g.dilation,
                weight.shape[2:],
                strict=True,
            )
        ]
        to_input = _transposed(ctx, grad_output, weight, g, extra)
    if wanted[1]:
        slid, kernel = (grad_output, input) if transposed else (input, grad_output)
        to_weight = _weight_gradient(ctx, slid, kernel, g, weight.shape[2:])
    if wanted[2]:
        dims = [0, *range(2, grad_output.ndim)]
        to_bias = ctx.emit("reduce", [grad_output], kind="sum", dims=dims, keepdim=False)
    return to_input, to_weight, to_bias


def _weight_gradient(
    ctx: LoweringContext, x: GraphValue, y: GraphValue, g: Geometry, taps: Sequence[int]
) -> GraphValue:
    """Σ over images and places of y[n, o, i]·x[n, c, i·stride - padding + k·dilation].

    A convolution in which images are channels, channels images, and y the kernel.
    """
    count, inputs, *spatial = x.shape
    outputs = y.shape[1]
    image = ctx.reshape(x, (count, g.groups, inputs // g.groups, *spatial))
    image = permute_to(ctx, image, [2, 1, 0, *range(3, image.ndim)])
    image = ctx.reshape(image, (inputs // g.groups, g.groups * count, *spatial))
    kernel = permute_to(ctx, y, [1, 0, *range(2, y.ndim)])
    result = slide(
        ctx,
        image,
        kernel,
        g.padding,
        g.padding,
        stride=g.dilation,
        dilation=g.stride,
        groups=g.groups,
    )
    # Inputs that no window reached make room for more elements than the kernel has.
    result = _cut(ctx, result, taps)
    result = permute_to(ctx, result, [1, 0, *range(2, result.ndim)])
    return ctx.reshape(result, (outputs, inputs // g.groups, *taps))
