# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gradients of convolutions: convolutions again.

That of the input is the transpose, and that of a transpose plain; that of the weight is one in
which images and channels change places.
"""

from __future__ import annotations

from collections.abc import Sequence

from tessera.lowering.aten.convolution_slide import Geometry, cut, forward, geometry_of, slide
from tessera.lowering.aten.convolution_transposed import transposed_of
from tessera.lowering.aten.movement import permute_to
from tessera.lowering.aten.rules import node_rule
from tessera.lowering.aten.windows import Sizes
from tessera.lowering.context import GraphValue, LoweringContext


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
    g = geometry_of(weight.ndim - 2, "convolution", stride, padding, dilation, groups)
    wanted = [index in used and output_mask[index] for index in range(3)]
    # A convolution is the transpose of its transpose.
    to_input = to_weight = to_bias = None
    if wanted[0] and transposed:
        # Outputs beyond the last kernel were nothing but padding.
        to_input = cut(ctx, forward(ctx, grad_output, weight, g), input.shape[2:])
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
        to_input = transposed_of(ctx, grad_output, weight, g, extra)
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
    result = cut(ctx, result, taps)
    result = permute_to(ctx, result, [1, 0, *range(2, result.ndim)])
    return ctx.reshape(result, (outputs, inputs // g.groups, *taps))
