# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Softmax and its logarithm."""

from __future__ import annotations

import math

import torch

from tessera.lowering.aten.rules import Arith, finish, is_integral, normalize_dim, opmath, rule
from tessera.lowering.context import GraphValue, LoweringContext


def _softmax(
    ctx: LoweringContext, op: str, x: GraphValue, dim: int, dtype: torch.dtype | None
) -> GraphValue:
    if dtype is not None:
        x = ctx.cast(x, dtype)
    if is_integral(x.dtype):
        raise TypeError(f"[{op}] is not defined for {x.dtype}; give dtype=torch.float32")
    axis = normalize_dim(dim, x.ndim, op)
    if not x.numel():
        return x
    if not x.ndim:
        row = ctx.emit(op, [ctx.reshape(x, (1,))], dim=0)
        return ctx.reshape(row, ())
    return ctx.emit(op, [x], dim=axis)


@rule("softmax.int", "special_softmax")
def softmax(
    ctx: LoweringContext, self: GraphValue, dim: int, dtype: torch.dtype | None = None
) -> GraphValue:
    return _softmax(ctx, "softmax", self, dim, dtype)


@rule("log_softmax.int", "special_log_softmax")
def log_softmax(
    ctx: LoweringContext, self: GraphValue, dim: int, dtype: torch.dtype | None = None
) -> GraphValue:
    return _softmax(ctx, "log_softmax", self, dim, dtype)


@rule("_softmax")
def softmax_half(
    ctx: LoweringContext, self: GraphValue, dim: int, half_to_float: bool
) -> GraphValue:
    return softmax(ctx, self, dim, torch.float32 if half_to_float else None)


@rule("_log_softmax")
def log_softmax_half(
    ctx: LoweringContext, self: GraphValue, dim: int, half_to_float: bool
) -> GraphValue:
    return log_softmax(ctx, self, dim, torch.float32 if half_to_float else None)


@rule("_safe_softmax")
def safe_softmax(
    ctx: LoweringContext, self: GraphValue, dim: int, dtype: torch.dtype | None = None
) -> GraphValue:
    """Softmax whose rows of nothing but -inf are zero."""
    x = self if dtype is None else ctx.cast(self, dtype)
    a = Arith(ctx, opmath(x.dtype))
    wide = ctx.cast(x, a.dtype)
    value = softmax(ctx, wide, dim)
    if not x.ndim:
        return finish(ctx, a.select(a.compare("eq", wide, -math.inf), 0.0, value), x.dtype)
    axis = normalize_dim(dim, x.ndim, "_safe_softmax")
    if not x.shape[axis]:
        return finish(ctx, value, x.dtype)
    largest = a.unary("reduce", wide, kind="max", dims=[axis], keepdim=True)
    empty = a.compare("eq", largest, -math.inf)
    return finish(ctx, a.select(empty, 0.0, value), x.dtype)
