# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rows in order: sort, the first k, medians and modes, quantiles, places in sorted sequences.

`graph.sort` and its relatives want a dimension, so a 0-d tensor goes in as a vector of one. NaN is
greater than every number throughout.
"""

from __future__ import annotations

import math

import torch

from tessera.lowering.aten.indexing import gather
from tessera.lowering.aten.movement import permute_to
from tessera.lowering.aten.reduction import reduce
from tessera.lowering.aten.rules import Arith, is_integral, normalize_dim, number, rule
from tessera.lowering.context import GraphValue, LoweringContext

Pair = tuple[GraphValue, GraphValue]
INDEX = torch.int64


def _vector(ctx: LoweringContext, value: GraphValue) -> GraphValue:
    """`value`, a 0-d one as a vector."""
    return value if value.ndim else ctx.reshape(value, (1,))


def _shaped(ctx: LoweringContext, pair: Pair, like: GraphValue) -> Pair:
    """Results of an op on `_vector(like)` without the dimension that was added."""
    return pair if like.ndim else (ctx.reshape(pair[0], ()), ctx.reshape(pair[1], ()))


# --- sort ------------------------------------------------------------------------------------


#: Vectors of integers from this length on PyTorch sorts by digits, which keeps ties in order.
DIGITS_FROM = 32768


def sorted_rows(
    ctx: LoweringContext, self: GraphValue, dim: int, descending: bool, stable: bool, op: str
) -> Pair:
    axis = normalize_dim(dim, self.ndim, op)
    x = _vector(ctx, self)
    by_digits = (
        x.ndim == 1
        and not descending
        and is_integral(x.dtype)
        and x.dtype != torch.bool
        and x.numel() >= DIGITS_FROM
    )
    values, indices = ctx.emit_many(
        "sort", [x], dim=axis, descending=bool(descending), stable=bool(stable) or by_digits
    )
    return _shaped(ctx, (values, indices), self)


@rule("sort")
def sort(ctx: LoweringContext, self: GraphValue, dim: int = -1, descending: bool = False) -> Pair:
    return sorted_rows(ctx, self, dim, descending, False, "sort")


@rule("sort.stable")
def sort_stable(
    ctx: LoweringContext,
    self: GraphValue,
    *,
    stable: bool | None = None,
    dim: int = -1,
    descending: bool = False,
) -> Pair:
    return sorted_rows(ctx, self, dim, descending, bool(stable), "sort")


@rule("argsort")
def argsort(
    ctx: LoweringContext, self: GraphValue, dim: int = -1, descending: bool = False
) -> GraphValue:
    return sorted_rows(ctx, self, dim, descending, False, "argsort")[1]


@rule("argsort.stable")
def argsort_stable(
    ctx: LoweringContext,
    self: GraphValue,
    *,
    stable: bool,
    dim: int = -1,
    descending: bool = False,
) -> GraphValue:
    return sorted_rows(ctx, self, dim, descending, stable, "argsort")[1]


@rule("msort")
def msort(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return sorted_rows(ctx, self, 0, False, True, "msort")[0]


@rule("topk")
def topk(
    ctx: LoweringContext,
    self: GraphValue,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
) -> Pair:
    axis = normalize_dim(dim, self.ndim, "topk")
    x = _vector(ctx, self)
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"[topk] k {k} is not between 0 and the {x.shape[axis]} elements of a row")
    values, indices = ctx.emit_many(
        "topk", [x], dim=axis, k=int(k), smallest=not largest, sorted=bool(sorted)
    )
    return _shaped(ctx, (values, indices), self)


# --- one element of a row --------------------------------------------------------------------


def _statistic(
    ctx: LoweringContext, kind: str, self: GraphValue, dim: int, keepdim: bool, k: int = 1
) -> Pair:
    axis = normalize_dim(dim, self.ndim, kind)
    x = _vector(ctx, self)
    if not x.shape[axis]:
        raise ValueError(
            f"[{kind}] dimension {axis} of {self.shape} has no elements to choose from"
        )
    values, indices = ctx.emit_many("order_statistic", [x], kind=kind, dim=axis, k=k)
    kept = [1 if place == axis else size for place, size in enumerate(self.shape)]
    shape = kept if keepdim else [*self.shape[:axis], *self.shape[axis + 1 :]]
    return ctx.reshape(values, shape), ctx.reshape(indices, shape)


@rule("kthvalue")
def kthvalue(
    ctx: LoweringContext, self: GraphValue, k: int, dim: int = -1, keepdim: bool = False
) -> Pair:
    size = self.shape[normalize_dim(dim, self.ndim, "kthvalue")] if self.ndim else 1
    if not 1 <= k <= size:
        raise ValueError(f"[kthvalue] k {k} is not between 1 and the {size} elements of a row")
    return _statistic(ctx, "kth", self, dim, keepdim, int(k))


@rule("median.dim")
def median_dim(ctx: LoweringContext, self: GraphValue, dim: int, keepdim: bool = False) -> Pair:
    return _statistic(ctx, "median", self, dim, keepdim)


@rule("nanmedian.dim")
def nanmedian_dim(ctx: LoweringContext, self: GraphValue, dim: int, keepdim: bool = False) -> Pair:
    return _statistic(ctx, "nanmedian", self, dim, keepdim)


def _median_of_all(ctx: LoweringContext, kind: str, self: GraphValue) -> GraphValue:
    flat = ctx.reshape(self, (self.numel(),))
    if flat.numel():
        return _statistic(ctx, kind, flat, 0, False)[0]
    if self.dtype.is_floating_point:
        return number(ctx, math.nan, self.dtype)
    # torch's answer for integers
    return number(ctx, torch.iinfo(self.dtype).min, self.dtype)


@rule("median")
def median(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return _median_of_all(ctx, "median", self)


@rule("nanmedian")
def nanmedian(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return _median_of_all(ctx, "nanmedian", self)


@rule("mode")
def mode(ctx: LoweringContext, self: GraphValue, dim: int = -1, keepdim: bool = False) -> Pair:
    return _statistic(ctx, "mode", self, dim, keepdim)


# --- quantiles -------------------------------------------------------------------------------


def _ranks(ctx: LoweringContext, rows: GraphValue, q: GraphValue, skip_nan: bool) -> GraphValue:
    """Positions, not yet whole, of the quantiles `q` (a vector) in sorted rows […, n]."""
    a = Arith(ctx, rows.dtype)
    missing = a.unary("isnan", rows)
    last = float(rows.shape[-1] - 1)
    if not skip_nan:
        # A NaN stands last: that is what a row with one gives.
        found = reduce(ctx, "any", missing, [rows.ndim - 1], True)
        return a.select(found, last, a.mul(q, last))
    present = ctx.cast(ctx.emit("bitwise_not", [missing]), INDEX)
    count = reduce(ctx, "sum", present, [rows.ndim - 1], True)
    greatest = ctx.cast(Arith(ctx, INDEX).sub(count, 1), rows.dtype)
    return a.maximum(a.mul(q, greatest), 0.0)


def _at_ranks(ctx: LoweringContext, rows: GraphValue, ranks: GraphValue, how: str) -> GraphValue:
    a = Arith(ctx, rows.dtype)
    if how in ("lower", "higher", "nearest"):
        op = {"lower": "floor", "higher": "ceil", "nearest": "round"}[how]
        return gather(ctx, rows, -1, ctx.cast(a.unary(op, ranks), INDEX))
    whole = a.unary("floor", ranks)
    below = gather(ctx, rows, -1, ctx.cast(whole, INDEX))
    above = gather(ctx, rows, -1, ctx.cast(a.unary("ceil", ranks), INDEX))
    if how == "midpoint":
        return _lerp(a, below, above, ctx.broadcast(number(ctx, 0.5, rows.dtype), ranks.shape))
    return _lerp(a, below, above, a.sub(ranks, whole))


def _lerp(a: Arith, low: GraphValue, high: GraphValue, weight: GraphValue) -> GraphValue:
    """torch.lerp: from the nearer end, so that either weight 0 or 1 is exact."""
    gap = a.sub(high, low)
    near = a.add(low, a.mul(weight, gap))
    far = a.sub(high, a.mul(gap, a.sub(1.0, weight)))
    return a.select(a.compare("lt", weight, 0.5), near, far)


def _quantile(
    ctx: LoweringContext,
    self: GraphValue,
    q: GraphValue | float,
    dim: int | None,
    keepdim: bool,
    interpolation: str,
    *,
    skip_nan: bool,
) -> GraphValue:
    op = "nanquantile" if skip_nan else "quantile"
    if self.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"[{op}] takes float32 or float64, but got {self.dtype}")
    if not self.numel():
        raise ValueError(f"[{op}] of {self.shape} has no elements to choose from")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ValueError(
            f"[{op}] interpolation {interpolation!r} is none of linear, lower, higher, midpoint "
            "and nearest"
        )
    wanted = ctx.value(q, self.dtype) if isinstance(q, GraphValue) else number(ctx, q, self.dtype)
    if dim is None:
        axis, rows = 0, ctx.reshape(self, (self.numel(),))
    else:
        axis, rows = normalize_dim(dim, self.ndim, op), _vector(ctx, self)
    others = [place for place in range(rows.ndim) if place != axis]
    rows = permute_to(ctx, rows, [*others, axis])
    rows = sorted_rows(ctx, rows, -1, False, True, op)[0]
    ranks = _ranks(ctx, rows, ctx.reshape(wanted, (wanted.numel(),)), skip_nan)
    ranks = ctx.broadcast(ranks, (*rows.shape[:-1], wanted.numel()))
    found = _at_ranks(ctx, rows, ranks, interpolation)
    # The quantiles come first, the reduced dimension stays where asked.
    found = permute_to(ctx, found, [found.ndim - 1, *range(found.ndim - 1)])
    if not keepdim:
        rest = list(rows.shape[:-1])
    elif dim is None:
        rest = [1] * self.ndim
    else:
        rest = [1 if place == axis else size for place, size in enumerate(self.shape)]
    return ctx.reshape(found, [*wanted.shape, *rest])


@rule("quantile", "quantile.scalar")
def quantile(
    ctx: LoweringContext,
    self: GraphValue,
    q: GraphValue | float,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> GraphValue:
    return _quantile(ctx, self, q, dim, keepdim, interpolation, skip_nan=False)


@rule("nanquantile", "nanquantile.scalar")
def nanquantile(
    ctx: LoweringContext,
    self: GraphValue,
    q: GraphValue | float,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> GraphValue:
    return _quantile(ctx, self, q, dim, keepdim, interpolation, skip_nan=True)


# --- places in sorted sequences --------------------------------------------------------------


def _search(
    ctx: LoweringContext,
    op: str,
    sequence: GraphValue,
    values: GraphValue | float,
    right: bool,
    out_int32: bool,
) -> GraphValue:
    rows, wanted = ctx.promote(sequence, values)
    if rows.ndim > 1 and wanted.ndim and wanted.shape[:-1] != rows.shape[:-1]:
        raise ValueError(
            f"[{op}] sequences {rows.shape} and values {wanted.shape} must agree in all "
            "dimensions but the last"
        )
    shape = wanted.shape
    if rows.ndim == 1 or not wanted.ndim:
        wanted = ctx.reshape(wanted, (wanted.numel(),))
    found = ctx.emit("search_sorted", [rows, wanted], right=bool(right))
    return ctx.cast(ctx.reshape(found, shape), torch.int32 if out_int32 else INDEX)


@rule("searchsorted.Tensor", "searchsorted.Scalar")
def searchsorted(
    ctx: LoweringContext,
    sorted_sequence: GraphValue,
    self: GraphValue | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: GraphValue | None = None,
) -> GraphValue:
    if side not in (None, "left", "right"):
        raise ValueError(f"[searchsorted] side {side!r} is neither 'left' nor 'right'")
    if side == "left" and right:
        raise ValueError("[searchsorted] side is 'left' but right is True")
    if sorter is not None:
        sorted_sequence = gather(ctx, sorted_sequence, -1, sorter)
    return _search(ctx, "searchsorted", sorted_sequence, self, right or side == "right", out_int32)


@rule("bucketize.Tensor", "bucketize.Scalar")
def bucketize(
    ctx: LoweringContext,
    self: GraphValue | float,
    boundaries: GraphValue,
    *,
    out_int32: bool = False,
    right: bool = False,
) -> GraphValue:
    if boundaries.ndim != 1:
        raise ValueError(f"[bucketize] boundaries must be a vector, but are {boundaries.shape}")
    return _search(ctx, "bucketize", boundaries, self, right, out_int32)


# --- running extrema -------------------------------------------------------------------------


def _running(ctx: LoweringContext, kind: str, self: GraphValue, dim: int) -> Pair:
    axis = normalize_dim(dim, self.ndim, f"cum{kind}")
    x = _vector(ctx, self)
    values, indices = ctx.emit_many("running_extremum", [x], kind=kind, dim=axis)
    return _shaped(ctx, (values, indices), self)


@rule("cummax")
def cummax(ctx: LoweringContext, self: GraphValue, dim: int) -> Pair:
    return _running(ctx, "max", self, dim)


@rule("cummin")
def cummin(ctx: LoweringContext, self: GraphValue, dim: int) -> Pair:
    return _running(ctx, "min", self, dim)
