# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fourier transforms: one `graph.fft` for each dimension, the scale with the last of them.

Everything in ``torch.fft`` and the short-time transforms are made of these three operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera.lowering.complexes.value import ComplexValue
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

#: by the operator's name
TRANSFORMS: dict[str, Callable[..., Any]] = {}


def _transform(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        TRANSFORMS[f"aten::{name}"] = function
        return function

    return decorate


def _checked(op: str, value: GraphValue, dims: Sequence[int]) -> list[int]:
    """The dimensions, counted from the first."""
    if value.dtype not in (torch.float32, torch.float64):
        raise Unsupported(f"[{op}] is compiled for float32 and float64, not {value.dtype}")
    axes = [dim % value.ndim for dim in dims]
    if any(value.shape[axis] < 1 for axis in axes):
        raise Unsupported(f"[{op}] has nothing to transform in shape {value.shape}")
    return axes


def _scale(normalization: int, lengths: Sequence[int]) -> float:
    """PyTorch's fft_norm_mode: none, by the root of the number of elements, by the number."""
    count = float(math.prod(lengths))
    return (1.0, 1.0 / math.sqrt(count), 1.0 / count)[normalization]


def _along(
    ctx: LoweringContext, value: ComplexValue, axes: Sequence[int], inverse: bool, scale: float
) -> ComplexValue:
    """The transform along several dimensions."""
    for place, axis in enumerate(axes):
        parts = ctx.emit_many(
            "fft",
            [value.re, value.im],
            dim=axis,
            inverse=inverse or None,
            scale=scale if place == len(axes) - 1 else 1.0,
        )
        value = ComplexValue(*parts)
    return value


@_transform("_fft_c2c")
def fft_c2c(
    ctx: LoweringContext, self: ComplexValue, dim: Sequence[int], normalization: int, forward: bool
) -> ComplexValue:
    axes = _checked("_fft_c2c", self.re, dim)
    scale = _scale(normalization, [self.shape[axis] for axis in axes])
    return _along(ctx, self, axes, not forward, scale)


@_transform("_fft_r2c")
def fft_r2c(
    ctx: LoweringContext, self: GraphValue, dim: Sequence[int], normalization: int, onesided: bool
) -> ComplexValue:
    axes = _checked("_fft_r2c", self, dim)
    scale = _scale(normalization, [self.shape[axis] for axis in axes])
    if not onesided:
        zero = ctx.broadcast(ctx.constant(0.0, self.dtype), self.shape)
        return _along(ctx, ComplexValue(self, zero), axes, False, scale)
    *others, last = axes
    parts = ctx.emit_many("real_fft", [self], dim=last, scale=1.0 if others else scale)
    return _along(ctx, ComplexValue(*parts), others, False, scale)


@_transform("_fft_c2r")
def fft_c2r(
    ctx: LoweringContext,
    self: ComplexValue,
    dim: Sequence[int],
    normalization: int,
    last_dim_size: int,
) -> GraphValue:
    *others, last = _checked("_fft_c2r", self.re, dim)
    lengths = [*(self.shape[axis] for axis in others), last_dim_size]
    if self.shape[last] != last_dim_size // 2 + 1:
        raise Unsupported(f"[_fft_c2r] {self.shape[last]} elements are no half of {last_dim_size}")
    value = _along(ctx, self, others, True, 1.0)
    return ctx.emit(
        "inverse_real_fft",
        [value.re, value.im],
        dim=last,
        length=last_dim_size,
        scale=_scale(normalization, lengths),
    )
