# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fourier transforms from real numbers to real numbers.

Complex tensors are not compiled, but the inverse transforms of a Hermitian half give real numbers,
and of a real half they need none of the others. Each dimension is a product with the matrix of
cosines and the one of sines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.contraction import product
from tessera.lowering.aten.creation import filled
from tessera.lowering.aten.movement import permute_to, slice_along
from tessera.lowering.aten.rules import (
    Arith,
    is_integral,
    normalize_dim,
    number,
    opmath,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

#: Beyond this length a transform is left to PyTorch, whose cost grows less than squared.
MAX_LENGTH = 4096


def _resized(ctx: LoweringContext, x: GraphValue, dim: int, size: int) -> GraphValue:
    """The first `size` elements along `dim`, zeros behind the last."""
    if size <= x.shape[dim]:
        return slice_along(ctx, x, dim, 0, size)
    low, high = [0] * x.ndim, [0] * x.ndim
    high[dim] = size - x.shape[dim]
    return ctx.emit("pad", [x, number(ctx, 0, x.dtype)], low=low, high=high)


def _wave(
    ctx: LoweringContext, function: str, rows: int, length: int, dtype: torch.dtype
) -> GraphValue:
    """function(2π k j / length) for k < rows, j < length; the angle is reduced exactly."""
    index, a = Arith(ctx, torch.int64), Arith(ctx, torch.float64)
    k = ctx.emit("iota", [], shape=[rows, 1], dim=0, start=0, step=1, dtype=torch.int64)
    j = ctx.emit("iota", [], shape=[1, length], dim=1, start=0, step=1, dtype=torch.int64)
    turn = ctx.cast(index.emit("remainder", index.mul(k, j), length), torch.float64)
    return ctx.cast(a.unary(function, a.mul(turn, 2 * math.pi / length)), dtype)


def _along(ctx: LoweringContext, x: GraphValue, dim: int, matrix: GraphValue) -> GraphValue:
    """`x` times a matrix along `dim`."""
    order = [place for place in range(x.ndim) if place != dim] + [dim]
    moved = permute_to(ctx, x, order)
    flat = ctx.reshape(moved, (moved.numel() // moved.shape[-1], moved.shape[-1]))
    result = product(ctx, "fft", flat, matrix)
    shaped = ctx.reshape(result, (*moved.shape[:-1], matrix.shape[1]))
    return permute_to(ctx, shaped, [order.index(place) for place in range(x.ndim)])


def _hermitian(
    ctx: LoweringContext, x: GraphValue, dims: Sequence[int], lengths: Sequence[int], scale: float
) -> GraphValue:
    """The sum over e^(+i angle) of the Hermitian extension of a real half along the last of `dims`
    and of everything along the others."""
    a = Arith(ctx, x.dtype)
    real: GraphValue = x
    imaginary: GraphValue | None = None
    for dim, length in zip(dims[:-1], lengths[:-1], strict=True):
        real = _resized(ctx, real, dim, length)
        cosine, sine = (_wave(ctx, name, length, length, x.dtype) for name in ("cos", "sin"))
        turned = _along(ctx, real, dim, sine)
        upright = _along(ctx, real, dim, cosine)
        if imaginary is not None:
            imaginary = _resized(ctx, imaginary, dim, length)
            upright = a.sub(upright, _along(ctx, imaginary, dim, sine))
            turned = a.add(turned, _along(ctx, imaginary, dim, cosine))
        real, imaginary = upright, turned
    last, length = dims[-1], lengths[-1]
    half = length // 2 + 1
    # All but the first and, of an even length, the middle one stand for a pair.
    weights = torch.full((half, 1), 2.0 * scale, dtype=torch.float64)
    weights[0] = scale
    if length % 2 == 0:
        weights[-1] = scale
    weight = ctx.constant(weights, x.dtype)
    cosine = a.mul(_wave(ctx, "cos", half, length, x.dtype), weight)
    result = _along(ctx, _resized(ctx, real, last, half), last, cosine)
    if imaginary is not None:
        sine = a.mul(_wave(ctx, "sin", half, length, x.dtype), weight)
        result = a.sub(result, _along(ctx, _resized(ctx, imaginary, last, half), last, sine))
    return result


def _to_real(
    ctx: LoweringContext,
    op: str,
    self: GraphValue,
    s: Sequence[int] | None,
    dims: Sequence[int],
    norm: str | None,
    forward: bool,
) -> GraphValue:
    result = torch.get_default_dtype() if is_integral(self.dtype) else self.dtype
    axes = [normalize_dim(dim, self.ndim, op) for dim in dims]
    sizes = [self.shape[axis] for axis in axes]
    lengths = [
        (2 * (size - 1) if place == len(axes) - 1 else size) if given == -1 else given
        for place, (size, given) in enumerate(zip(sizes, s or [-1] * len(axes), strict=True))
    ]
    if min(lengths) < 1 or max(lengths) > MAX_LENGTH:
        raise Unsupported(
            f"[{op}] a transform of lengths {lengths} is not compiled (from 1 to {MAX_LENGTH})"
        )
    if not self.numel():  # a sum of nothing
        shape = list(self.shape)
        for axis, length in zip(axes, lengths, strict=True):
            shape[axis] = length
        return filled(ctx, shape, 0, result)
    count = float(math.prod(lengths))
    scaled = "forward" if forward else "backward"
    scale = 1.0
    if norm == "ortho":
        scale = 1.0 / math.sqrt(count)
    elif (norm or "backward") == scaled:
        scale = 1.0 / count
    value = _hermitian(ctx, ctx.cast(self, opmath(result)), axes, lengths, scale)
    return ctx.cast(value, result)


def _register(name: str, forward: bool) -> None:
    @rule(f"fft_{name}")
    def one(
        ctx: LoweringContext,
        self: GraphValue,
        n: int | None = None,
        dim: int = -1,
        norm: str | None = None,
    ) -> GraphValue:
        return _to_real(ctx, name, self, None if n is None else [n], [dim], norm, forward)

    @rule(f"fft_{name}2")
    def two(
        ctx: LoweringContext,
        self: GraphValue,
        s: Sequence[int] | None = None,
        dim: Sequence[int] = (-2, -1),
        norm: str | None = None,
    ) -> GraphValue:
        return _to_real(ctx, f"{name}2", self, s, dim, norm, forward)

    @rule(f"fft_{name}n")
    def several(
        ctx: LoweringContext,
        self: GraphValue,
        s: Sequence[int] | None = None,
        dim: Sequence[int] | None = None,
        norm: str | None = None,
    ) -> GraphValue:
        if dim is None:
            dim = range(self.ndim) if s is None else range(self.ndim - len(s), self.ndim)
        return _to_real(ctx, f"{name}n", self, s, list(dim), norm, forward)


_register("irfft", False)
_register("hfft", True)
