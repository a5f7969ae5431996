# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Transposed convolutions, as plain ones.

Of the outputs that are a stride apart all read the same part of the kernel, each at one input
element after the other: a plain convolution by that part, backwards. So each phase of the stride
is one, and no zero is inserted, none multiplied.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from tessera.lowering.aten.convolution_slide import Geometry, cut, forward, padded, slide
from tessera.lowering.aten.movement import permute_to, reverse_along
from tessera.lowering.aten.movement_copy import join
from tessera.lowering.aten.rules import number
from tessera.lowering.aten.windows import spread
from tessera.lowering.context import GraphValue, LoweringContext

#: Convolutions a transposed one may become; beyond, zeros are inserted between inputs instead.
MOST_PHASES = 16


def _asforward(ctx: LoweringContext, weight: GraphValue, groups: int) -> GraphValue:
    """[inputs, outputs / groups, kernel…] as [outputs, inputs / groups, kernel…]."""
    inputs, outputs, *kernel = weight.shape
    split = ctx.reshape(weight, (groups, inputs // groups, outputs, *kernel))
    swapped = permute_to(ctx, split, [0, 2, 1, *range(3, split.ndim)])
    return ctx.reshape(swapped, (groups * outputs, inputs // groups, *kernel))


def transposed_of(
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
    forward = _asforward(ctx, weight, g.groups)
    if math.prod(g.stride) <= MOST_PHASES:
        return _by_phase(ctx, x, forward, g, wanted)
    return _spread(ctx, x, forward, g, wanted)


def _side_by_side(
    ctx: LoweringContext, x: GraphValue, weight: GraphValue, g: Geometry, wanted: Sequence[int]
) -> GraphValue:
    """Copies of the kernel that do not overlap: a product a pixel, its results laid out."""
    dims, (batch, inputs, *places) = g.dims, x.shape
    high = [step - taps for step, taps in zip(g.stride, weight.shape[2:], strict=True)]
    whole = padded(ctx, weight, [0, 0, *([0] * dims)], [0, 0, *high])
    # The kernel's elements become output channels, inside a group.
    outputs = weight.shape[1]
    flat = ctx.reshape(whole, (inputs, outputs * math.prod(g.stride), *([1] * dims)))
    y = forward(
        ctx,
        x,
        _asforward(ctx, flat, g.groups),
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
    return padded(
        ctx,
        y,
        [0, 0, *(-pad for pad in g.padding)],
        [
            0,
            0,
            *(want + pad - size for want, pad, size in zip(wanted, g.padding, full, strict=True)),
        ],
    )


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
    return cut(ctx, y, wanted)


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
