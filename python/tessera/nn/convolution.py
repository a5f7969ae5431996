# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions: compiled where windows do not overlap, else run by PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F

from tessera.nn._fallback import call_or_pytorch
from tessera.ops._dispatch import Value

Sizes = int | Sequence[int]


def _convolve(name: str, function: Callable[..., Any], *args: Any) -> Value:
    key = f"{name}.padding" if isinstance(args[4], str) else f"{name}.default"
    return call_or_pytorch(name, key, function, *args)


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
    return _convolve("conv1d", F.conv1d, input, weight, bias, stride, padding, dilation, groups)


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
    return _convolve("conv2d", F.conv2d, input, weight, bias, stride, padding, dilation, groups)


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
    return _convolve("conv3d", F.conv3d, input, weight, bias, stride, padding, dilation, groups)
