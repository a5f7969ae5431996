# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise: rounding to a grid of integers and back, for quantized models.

Numbers are fake-quantized (they stay floats) by ATen's operators, quantized by those of
`quantized_decomposed`, whose scales and zero points are numbers or tensors.
"""

from __future__ import annotations

import torch
from torch import fx

from tessera.lowering.aten.rules import (
    Arith,
    Operand,
    both,
    finish,
    number,
    opmath,
    promoted,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import register

Masked = tuple[GraphValue, GraphValue]


def _fake_quantize(
    ctx: LoweringContext,
    self: GraphValue,
    scale: GraphValue,
    zero_point: Operand,
    quant_min: int,
    quant_max: int,
) -> Masked:
    """The nearest point of the grid, and where it is not beyond the ends."""
    a = Arith(ctx, opmath(self.dtype))
    # PyTorch's kernels invert the scale in float32, whatever the tensor's type.
    inverse = ctx.cast(ctx.emit("reciprocal", [ctx.cast(scale, torch.float32)]), a.dtype)
    if isinstance(zero_point, GraphValue):
        zero_point = ctx.cast(zero_point, a.dtype)
    place = a.add(a.unary("round", a.mul(ctx.cast(self, a.dtype), inverse)), zero_point)
    inside = both(ctx, a.compare("ge", place, quant_min), a.compare("le", place, quant_max))
    # NaN goes to the lower end, as C's fmax has it.
    ends = a.select(a.compare("gt", place, quant_max), quant_max, quant_min)
    kept = a.select(inside, place, ends)
    value = a.mul(a.sub(kept, zero_point), ctx.cast(scale, a.dtype))
    return finish(ctx, value, self.dtype), inside


@rule("fake_quantize_per_tensor_affine_cachemask")
def fake_quantize_per_tensor(
    ctx: LoweringContext,
    self: GraphValue,
    scale: float,
    zero_point: int,
    quant_min: int,
    quant_max: int,
) -> Masked:
    step = number(ctx, scale, torch.float32)
    return _fake_quantize(ctx, self, step, zero_point, quant_min, quant_max)


@rule("_fake_quantize_per_tensor_affine_cachemask_tensor_qparams")
def fake_quantize_by_tensors(
    ctx: LoweringContext,
    self: GraphValue,
    scale: GraphValue,
    zero_point: GraphValue,
    fake_quant_enabled: GraphValue,
    quant_min: int,
    quant_max: int,
) -> Masked:
    scale, zero_point, enabled = (
        ctx.reshape(item, ()) for item in (scale, zero_point, fake_quant_enabled)
    )
    value, inside = _fake_quantize(ctx, self, scale, zero_point, quant_min, quant_max)
    on = Arith(ctx, enabled.dtype).compare("ne", enabled, 0)
    off = ctx.emit("bitwise_not", [on])
    return ctx.emit("select", [on, value, self]), ctx.emit("bitwise_or", [inside, off])


def _along(ctx: LoweringContext, of: GraphValue, axis: int, like: GraphValue) -> GraphValue:
    """One number a place of like's dimension `axis`, ready to broadcast."""
    shape = [1] * like.ndim
    shape[axis] = like.shape[axis]
    return ctx.reshape(of, shape)


@rule("fake_quantize_per_channel_affine_cachemask")
def fake_quantize_per_channel(
    ctx: LoweringContext,
    self: GraphValue,
    scale: GraphValue,
    zero_point: GraphValue,
    axis: int,
    quant_min: int,
    quant_max: int,
) -> Masked:
    steps, zeros = _along(ctx, scale, axis, self), _along(ctx, zero_point, axis, self)
    return _fake_quantize(ctx, self, steps, zeros, quant_min, quant_max)


# --- torch.export's quantized models -----------------------------------------------------------

_LIBRARY = "quantized_decomposed"


def _quantize(
    ctx: LoweringContext,
    self: GraphValue,
    inverse: Operand,
    zero_point: Operand,
    ends: tuple[int, int],
    dtype: torch.dtype,
) -> GraphValue:
    a = Arith(ctx, torch.float32)
    place = a.add(a.unary("round", a.mul(self, inverse)), zero_point)
    return ctx.cast(a.minimum(a.maximum(place, ends[0]), ends[1]), dtype)


def _scalar(ctx: LoweringContext, value: Operand) -> Operand:
    """A number, or a tensor of one, which need not be without dimensions."""
    return ctx.reshape(value, ()) if isinstance(value, GraphValue) else value


@register(f"{_LIBRARY}.quantize_per_tensor.default", f"{_LIBRARY}.quantize_per_tensor.tensor")
def quantize_per_tensor(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    self, scale, zero_point, low, high, dtype = ctx.get_inputs(node)
    if isinstance(scale, GraphValue):
        inverse: Operand = ctx.emit("reciprocal", [ctx.cast(_scalar(ctx, scale), torch.float32)])
    else:
        inverse = 1.0 / scale
    return _quantize(ctx, self, inverse, _scalar(ctx, zero_point), (low, high), dtype)


@register(f"{_LIBRARY}.quantize_per_channel.default")
def quantize_per_channel(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    self, scales, zero_points, axis, low, high, dtype = ctx.get_inputs(node)
    inverse = ctx.emit("reciprocal", [ctx.cast(scales, torch.float32)])
    steps, zeros = _along(ctx, inverse, axis, self), _along(ctx, zero_points, axis, self)
    return _quantize(ctx, self, steps, zeros, (low, high), dtype)


@register(f"{_LIBRARY}.dequantize_per_tensor.default", f"{_LIBRARY}.dequantize_per_tensor.tensor")
def dequantize_per_tensor(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    self, scale, zero_point = ctx.get_inputs(node)[:3]
    result: torch.dtype = ctx.meta(node).dtype
    a = Arith(ctx, opmath(result))
    # Each step is rounded to the type of the result.
    exact = finish(ctx, ctx.cast(self, a.dtype), result)
    centered = finish(ctx, a.sub(exact, _scalar(ctx, zero_point)), result)
    return finish(ctx, a.mul(centered, _scalar(ctx, scale)), result)


@register(f"{_LIBRARY}.dequantize_per_channel.default")
def dequantize_per_channel(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    self, scales, zero_points, axis = ctx.get_inputs(node)[:4]
    steps = _along(ctx, scales, axis, self)
    if zero_points is not None:
        (self, zeros), dtype = promoted(ctx, self, _along(ctx, zero_points, axis, self))
        self = Arith(ctx, dtype).sub(self, zeros)
    (x, steps), _ = promoted(ctx, self, steps)
    return ctx.cast(ctx.emit("mul", [x, steps]), ctx.meta(node).dtype)
