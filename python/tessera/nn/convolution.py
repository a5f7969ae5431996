# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Convolutions, which have no kernel yet and run in PyTorch.

On graph values they decline, so that the node becomes an island with this reason; on tensors they
call PyTorch on the same memory, and say so once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.dlpack import from_dlpack

from tessera.lowering.registry import Unsupported
from tessera.ops._dispatch import Value, find_context

Sizes = int | Sequence[int]
_told: set[str] = set()


def _island(name: str, function: Callable[..., Any], *args: Any) -> Value:
    """`function` of PyTorch on the tensors' own memory."""
    from tessera.tensor import Tensor, from_torch

    if find_context(args) is not None:
        raise Unsupported(
            f"{name} has no kernel yet",
            "leave it in PyTorch: it runs as an island",
            code="no-kernel",
        )
    if name not in _told:
        _told.add(name)
        warnings.warn(
            f"ts.nn.{name} runs in PyTorch: convolutions have no kernel of Tessera's yet",
            stacklevel=3,
        )
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
    """Convolution of [N, C, L] by [O, C / groups, K]; runs in PyTorch."""
    return _island("conv1d", F.conv1d, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """Convolution of [N, C, H, W] by [O, C / groups, KH, KW]; runs in PyTorch."""
    return _island("conv2d", F.conv2d, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Value:
    """Convolution of [N, C, D, H, W] by [O, C / groups, KD, KH, KW]; runs in PyTorch."""
    return _island("conv3d", F.conv3d, input, weight, bias, stride, padding, dilation, groups)
