# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tessera.ops._dispatch import Value, call

Sizes = int | Sequence[int]


def _convolve(name: str, *args: Any) -> Value:
    return call(f"{name}.padding" if isinstance(args[4], str) else f"{name}.default", *args)


def conv1d(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """Convolution of [N, C, L] by [O, C / groups, K]."""
    return _convolve("conv1d", input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """Convolution of [N, C, H, W] by [O, C / groups, KH, KW]."""
    return _convolve("conv2d", input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """Convolution of [N, C, D, H, W] by [O, C / groups, KD, KH, KW]."""
    return _convolve("conv3d", input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    """Transposed convolution of [N, C, L] by [C, O / groups, K]."""
    return call(
        "conv_transpose1d.default",
        *(input, weight, bias, stride, padding, output_padding, groups, dilation),
    )


def conv_transpose2d(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    """Transposed convolution of [N, C, H, W] by [C, O / groups, KH, KW]."""
    return call(
        "conv_transpose2d.input",
        *(input, weight, bias, stride, padding, output_padding, groups, dilation),
    )


def conv_transpose3d(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Value:
    """Transposed convolution of [N, C, D, H, W] by [C, O / groups, KD, KH, KW]."""
    return call(
        "conv_transpose3d.input",
        *(input, weight, bias, stride, padding, output_padding, groups, dilation),
    )
