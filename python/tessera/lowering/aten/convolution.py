# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions and their transposes, in any number of spatial dimensions.

All become `graph.convolution`; how a transposed one does is in convolution_transposed.py.
"""

from __future__ import annotations

from tessera.lowering.aten.convolution_slide import forward, geometry_of, padded
from tessera.lowering.aten.convolution_transposed import transposed_of
from tessera.lowering.aten.movement import permute_to
from tessera.lowering.aten.rules import rule
from tessera.lowering.aten.windows import Sizes, each
from tessera.lowering.context import GraphValue, LoweringContext


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
    g = geometry_of(dims, "convolution", stride, padding, dilation, groups)
    unbatched = input.ndim == dims + 1
    x = ctx.reshape(input, (1, *input.shape)) if unbatched else input
    _check(x, weight, transposed, groups)
    if transposed:
        extra = each(output_padding, dims, "convolution", "output_padding")
        result = transposed_of(ctx, x, weight, g, extra)
    else:
        result = forward(ctx, x, weight, g)
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


@rule("_convolution_mode")
def convolution_mode(
    ctx: LoweringContext,
    input: GraphValue,
    weight: GraphValue,
    bias: GraphValue | None,
    stride: Sizes,
    padding: str,
    dilation: Sizes,
    groups: int,
) -> GraphValue:
    return conv(ctx, input, weight, bias, stride, padding, dilation, groups)


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
    x = padded(ctx, input, [0] * input.ndim, [*lead, *odd])
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


@rule("conv_tbc")
def conv_tbc(
    ctx: LoweringContext, self: GraphValue, weight: GraphValue, bias: GraphValue, pad: int = 0
) -> GraphValue:
    """[time, batch, channels] by [kernel, channels, outputs]."""
    if self.ndim != 3 or weight.ndim != 3:
        raise ValueError(f"[conv_tbc] expected 3 dimensions, got {self.shape} and {weight.shape}")
    x, w = permute_to(ctx, self, [1, 2, 0]), permute_to(ctx, weight, [2, 1, 0])
    return permute_to(ctx, convolution(ctx, x, w, bias, 1, pad, 1, False, 0, 1), [2, 0, 1])
