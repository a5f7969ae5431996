# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions: sums and products, extrema and their positions, any and all, statistics, norms.

Integers are summed in int64 as torch does; half precision is summed in float32. Composites keep
the wide type until the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.rules import (
    Arith,
    Number,
    as_bool,
    broadcast_shape,
    finish,
    is_integral,
    normalize_dim,
    normalize_dims,
    opmath,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext

Dims = int | Sequence[int] | None


def reduce(
    ctx: LoweringContext, kind: str, x: GraphValue, dims: Sequence[int], keepdim: bool
) -> GraphValue:
    """`graph.reduce`; nothing to do for a 0-d tensor."""
    if not dims:
        return x
    return ctx.emit("reduce", [x], kind=kind, dims=list(dims), keepdim=bool(keepdim))


def _all_if_empty(dims: Dims) -> Dims:
    """Where torch reads an empty list of dimensions as all of them."""
    return None if dims is not None and not isinstance(dims, int) and not len(dims) else dims


def _accumulation_dtype(x: GraphValue, dtype: torch.dtype | None) -> torch.dtype:
    if dtype is not None:
        return dtype
    return torch.int64 if is_integral(x.dtype) else x.dtype


# --- sums and products -----------------------------------------------------------------------


@rule("sum", "sum.dim_IntList")
def sum_(
    ctx: LoweringContext,
    self: GraphValue,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> GraphValue:
    x = ctx.cast(self, _accumulation_dtype(self, dtype))
    dims = normalize_dims(_all_if_empty(dim), self.ndim, "sum")
    if x.dtype == torch.bool:
        # Asked for with dtype=torch.bool: whether any element counts.
        return reduce(ctx, "any", x, dims, keepdim)
    return reduce(ctx, "sum", x, dims, keepdim)


@rule("nansum")
def nansum(
    ctx: LoweringContext,
    self: GraphValue,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> GraphValue:
    if not is_integral(self.dtype):
        a = Arith(ctx, self.dtype)
        self = a.select(a.unary("isnan", self), 0.0, self)
    return sum_(ctx, self, dim, keepdim, dtype=dtype)


@rule("prod", "prod.dim_int")
def prod(
    ctx: LoweringContext,
    self: GraphValue,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> GraphValue:
    x = ctx.cast(self, _accumulation_dtype(self, dtype))
    dims = normalize_dims(dim, self.ndim, "prod")
    return reduce(ctx, "all" if x.dtype == torch.bool else "prod", x, dims, keepdim)


@rule("mean", "mean.dim")
def mean(
    ctx: LoweringContext,
    self: GraphValue,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> GraphValue:
    result = self.dtype if dtype is None else dtype
    if is_integral(result):
        raise TypeError(f"[mean] is not defined for {result}; give dtype=torch.float32")
    dims = normalize_dims(_all_if_empty(dim), self.ndim, "mean")
    return finish(ctx, wide_mean(ctx, ctx.cast(self, opmath(result)), dims, keepdim), result)


def wide_mean(
    ctx: LoweringContext, x: GraphValue, dims: Sequence[int], keepdim: bool
) -> GraphValue:
    """The mean in x's own dtype; of nothing it is NaN."""
    total = reduce(ctx, "sum", x, dims, keepdim)
    return Arith(ctx, x.dtype).div(total, float(math.prod(x.shape[dim] for dim in dims)))


@rule("nanmean")
def nanmean(
    ctx: LoweringContext,
    self: GraphValue,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> GraphValue:
    result = self.dtype if dtype is None else dtype
    a = Arith(ctx, opmath(result))
    x = ctx.cast(self, a.dtype)
    dims = normalize_dims(_all_if_empty(dim), self.ndim, "nanmean")
    missing = a.unary("isnan", x)
    total = reduce(ctx, "sum", a.select(missing, 0.0, x), dims, keepdim)
    count = reduce(ctx, "sum", a.select(missing, 0.0, 1.0), dims, keepdim)
    return finish(ctx, a.div(total, count), result)


@rule("count_nonzero", "count_nonzero.dim_IntList")
def count_nonzero(ctx: LoweringContext, self: GraphValue, dim: Dims = None) -> GraphValue:
    return sum_(ctx, as_bool(ctx, self), dim)


# --- extrema ---------------------------------------------------------------------------------


def _extremum(
    ctx: LoweringContext, op: str, kind: str, self: GraphValue, dim: Dims, keepdim: bool
) -> GraphValue:
    dims = normalize_dims(_all_if_empty(dim), self.ndim, op)
    for axis in dims:
        if self.shape[axis] == 0:
            raise ValueError(
                f"[{op}] dimension {axis} of {self.shape} has no elements to choose from"
            )
    if self.dtype == torch.bool:
        return reduce(ctx, "any" if kind == "max" else "all", self, dims, keepdim)
    return reduce(ctx, kind, self, dims, keepdim)


@rule("amax")
def amax(
    ctx: LoweringContext, self: GraphValue, dim: Dims = None, keepdim: bool = False
) -> GraphValue:
    return _extremum(ctx, "amax", "max", self, dim, keepdim)


@rule("amin")
def amin(
    ctx: LoweringContext, self: GraphValue, dim: Dims = None, keepdim: bool = False
) -> GraphValue:
    return _extremum(ctx, "amin", "min", self, dim, keepdim)


@rule("max")
def max_all(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return _extremum(ctx, "max", "max", self, None, False)


@rule("min")
def min_all(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return _extremum(ctx, "min", "min", self, None, False)


@rule("aminmax")
def aminmax(
    ctx: LoweringContext, self: GraphValue, *, dim: int | None = None, keepdim: bool = False
) -> tuple[GraphValue, GraphValue]:
    return amin(ctx, self, dim, keepdim), amax(ctx, self, dim, keepdim)


@rule("max.dim")
def max_dim(
    ctx: LoweringContext, self: GraphValue, dim: int, keepdim: bool = False
) -> tuple[GraphValue, GraphValue]:
    return amax(ctx, self, dim, keepdim), argmax(ctx, self, dim, keepdim)


@rule("min.dim")
def min_dim(
    ctx: LoweringContext, self: GraphValue, dim: int, keepdim: bool = False
) -> tuple[GraphValue, GraphValue]:
    return amin(ctx, self, dim, keepdim), argmin(ctx, self, dim, keepdim)


def _position(
    ctx: LoweringContext, kind: str, self: GraphValue, dim: int | None, keepdim: bool
) -> GraphValue:
    if self.dtype == torch.bool:
        self = ctx.cast(self, torch.uint8)
    if dim is None:
        flat = ctx.reshape(self, (math.prod(self.shape),))
        shape = (1,) * self.ndim if keepdim else ()
        return ctx.reshape(_position(ctx, kind, flat, 0, False), shape)
    axis = normalize_dim(dim, self.ndim, f"arg{kind}")
    if not self.ndim:
        return ctx.constant(0, torch.int64)
    if self.shape[axis] == 0:
        raise ValueError(f"[arg{kind}] dimension {axis} of {self.shape} has no elements")
    return ctx.emit("arg_reduce", [self], kind=kind, dim=axis, keepdim=bool(keepdim))


@rule("argmax")
def argmax(
    ctx: LoweringContext, self: GraphValue, dim: int | None = None, keepdim: bool = False
) -> GraphValue:
    return _position(ctx, "max", self, dim, keepdim)


@rule("argmin")
def argmin(
    ctx: LoweringContext, self: GraphValue, dim: int | None = None, keepdim: bool = False
) -> GraphValue:
    return _position(ctx, "min", self, dim, keepdim)


# --- any and all -----------------------------------------------------------------------------


def _logical(
    ctx: LoweringContext, kind: str, self: GraphValue, dim: Dims, keepdim: bool
) -> GraphValue:
    dims = normalize_dims(dim, self.ndim, kind)
    value = reduce(ctx, kind, as_bool(ctx, self), dims, keepdim)
    # torch answers uint8 with uint8.
    return ctx.cast(value, torch.uint8) if self.dtype == torch.uint8 else value


@rule("any", "any.dim", "any.dims")
def any_(
    ctx: LoweringContext, self: GraphValue, dim: Dims = None, keepdim: bool = False
) -> GraphValue:
    return _logical(ctx, "any", self, dim, keepdim)


@rule("all", "all.dim", "all.dims")
def all_(
    ctx: LoweringContext, self: GraphValue, dim: Dims = None, keepdim: bool = False
) -> GraphValue:
    return _logical(ctx, "all", self, dim, keepdim)


# --- logarithms of sums ----------------------------------------------------------------------


@rule("logsumexp", "special_logsumexp")
def logsumexp(
    ctx: LoweringContext, self: GraphValue, dim: Dims, keepdim: bool = False
) -> GraphValue:
    result = torch.get_default_dtype() if is_integral(self.dtype) else self.dtype
    a = Arith(ctx, opmath(result))
    x = ctx.cast(self, a.dtype)
    dims = normalize_dims(_all_if_empty(dim), x.ndim, "logsumexp")
    if math.prod(x.shape[axis] for axis in dims) == 0:
        # log of an empty sum
        return finish(ctx, a.unary("log", reduce(ctx, "sum", x, dims, keepdim)), result)
    largest = reduce(ctx, "max", x, dims, True)
    # An infinite maximum would turn the differences into NaN.
    largest = a.select(a.unary("isinf", largest), 0.0, largest)
    total = reduce(ctx, "sum", a.unary("exp", a.sub(x, largest)), dims, keepdim)
    offset = largest if keepdim else ctx.reshape(largest, total.shape)
    return finish(ctx, a.add(a.unary("log", total), offset), result)


# --- variance --------------------------------------------------------------------------------


def _moments(
    ctx: LoweringContext, op: str, self: GraphValue, dim: Dims, correction: Number, keepdim: bool
) -> tuple[GraphValue, GraphValue]:
    """Variance and mean, in the precision of sums."""
    if is_integral(self.dtype):
        raise TypeError(f"[{op}] is not defined for {self.dtype}; cast to a floating-point dtype")
    a = Arith(ctx, opmath(self.dtype))
    x = ctx.cast(self, a.dtype)
    dims = normalize_dims(_all_if_empty(dim), x.ndim, op)
    center = wide_mean(ctx, x, dims, True)
    deviation = a.sub(x, center)
    total = reduce(ctx, "sum", a.mul(deviation, deviation), dims, keepdim)
    # Too few elements divide by zero, which gives torch's NaN or infinity.
    freedom = max(math.prod(x.shape[axis] for axis in dims) - correction, 0)
    variance = a.div(total, float(freedom))
    return variance, center if keepdim else ctx.reshape(center, variance.shape)


def _register_spread(op: str, root: str | None, with_mean: bool) -> None:
    """Variance or, with a `root`, standard deviation; ATen gives all four of them one signature."""

    @rule(op, f"{op}.dim", f"{op}.correction")
    def spread(
        ctx: LoweringContext,
        self: GraphValue,
        dim: Dims | bool = None,
        unbiased: bool | None = None,
        keepdim: bool = False,
        *,
        correction: Number | None = None,
    ) -> GraphValue | tuple[GraphValue, GraphValue]:
        if isinstance(dim, bool):
            # `var(x, unbiased)` and `var(x, dim, …)` share the position of the second argument.
            dim, unbiased = None, dim
        if unbiased is not None:
            correction = int(unbiased)
        elif correction is None:
            correction = 1
        variance, center = _moments(ctx, op, self, dim, correction, keepdim)
        value = variance if root is None else ctx.emit(root, [variance])
        value = finish(ctx, value, self.dtype)
        return (value, finish(ctx, center, self.dtype)) if with_mean else value


_register_spread("var", None, with_mean=False)
_register_spread("std", "sqrt", with_mean=False)
_register_spread("var_mean", None, with_mean=True)
_register_spread("std_mean", "sqrt", with_mean=True)


# --- norms -----------------------------------------------------------------------------------


@rule("linalg_vector_norm")
def vector_norm(
    ctx: LoweringContext,
    self: GraphValue,
    ord: Number = 2,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> GraphValue:
    result = self.dtype if dtype is None else dtype
    if is_integral(result):
        raise TypeError(f"[vector_norm] is not defined for {result}; give dtype=torch.float32")
    a = Arith(ctx, opmath(result))
    x = ctx.cast(self, a.dtype)
    dims = normalize_dims(_all_if_empty(dim), x.ndim, "vector_norm")
    magnitude = a.unary("abs", x)
    if math.isinf(ord):
        kind = "max" if ord > 0 else "min"
        if math.prod(x.shape[axis] for axis in dims) == 0:
            raise ValueError(f"[vector_norm] of order {ord} has no elements to choose from")
        return finish(ctx, reduce(ctx, kind, magnitude, dims, keepdim), result)
    if ord == 0:
        terms = ctx.cast(a.compare("ne", x, 0.0), a.dtype)
    elif ord == 1:
        terms = magnitude
    elif ord == 2:
        terms = a.mul(x, x)
    else:
        terms = a.emit("pow", magnitude, float(ord))
    total = reduce(ctx, "sum", terms, dims, keepdim)
    if ord == 2:
        total = a.unary("sqrt", total)
    elif ord not in (0, 1):
        total = a.emit("pow", total, 1.0 / float(ord))
    return finish(ctx, total, result)


@rule("norm.Scalar", "norm.ScalarOpt_dim", "norm.ScalarOpt_dtype", "norm.ScalarOpt_dim_dtype")
def norm(
    ctx: LoweringContext,
    self: GraphValue,
    p: Number | None = 2,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> GraphValue:
    return vector_norm(ctx, self, 2 if p is None else p, dim, keepdim, dtype=dtype)


@rule("dist")
def dist(ctx: LoweringContext, self: GraphValue, other: GraphValue, p: Number = 2) -> GraphValue:
    x, y = ctx.promote(self, other)
    return vector_norm(ctx, ctx.emit("sub", [x, y]), p)


@rule("cosine_similarity")
def cosine_similarity(
    ctx: LoweringContext, x1: GraphValue, x2: GraphValue, dim: int = 1, eps: float = 1e-8
) -> GraphValue:
    result = ctx.result_type(x1, x2)
    if is_integral(result):
        raise TypeError(f"[cosine_similarity] is not defined for {result}")
    a = Arith(ctx, opmath(result))
    x, y = ctx.cast(x1, a.dtype), ctx.cast(x2, a.dtype)
    shape = broadcast_shape(x.shape, y.shape)
    x, y = ctx.broadcast(x, shape), ctx.broadcast(y, shape)
    dims = normalize_dims(dim, len(shape), "cosine_similarity")

    def length(value: GraphValue) -> GraphValue:
        # Each norm is kept from zero by itself, as torch does.
        squares = reduce(ctx, "sum", a.mul(value, value), dims, False)
        return a.maximum(a.unary("sqrt", squares), float(eps))

    product = reduce(ctx, "sum", a.mul(x, y), dims, False)
    return finish(ctx, a.div(product, a.mul(length(x), length(y))), result)
