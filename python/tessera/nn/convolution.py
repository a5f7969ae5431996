# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions: compiled where windows do not overlap, else run by PyTorch.

What has no kernel yet declines on graph values, so that the node becomes an island with this
reason; on tensors it calls PyTorch on the same memory, and says so once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.dlpack import from_dlpack

from tessera.errors import NotYetSupportedError
from tessera.ops._dispatch import Value, call, find_context

Sizes = int | Sequence[int]
_told: set[str] = set()


def _convolve(name: str, function: Callable[..., Any], *args: Any) -> Value:
    """The lowering, or where it declines `function` of PyTorch on the tensors' own memory."""
    from tessera.tensor import Tensor, from_torch

    key = f"{name}.padding" if isinstance(args[4], str) else f"{name}.default"
    if find_context(args) is not None:
        return call(key, *args)
    try:
        return call(key, *args)
    except NotYetSupportedError as error:
        if name not in _told:
            _told.add(name)
            # The caller of conv1d, conv2d or conv3d.
            warnings.warn(f"ts.nn.{name} runs in PyTorch: {error}", stacklevel=3)
    native = any(isinstance(arg, Tensor) for arg in args)
    given = [from_dlpack(arg) if isinstance(arg, Tensor) else arg for arg in args]
    with torch.no_grad():
        result = function(*given)
    return from_torch(result) if native else result


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
