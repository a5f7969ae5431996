# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Distances between rows, and the bilinear forms: products of three tensors.

A distance is a reduction over differences that are never stored; many Euclidean ones become a
product of matrices, as PyTorch computes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.contraction import product
from tessera.lowering.aten.creation import filled
from tessera.lowering.aten.movement import insert_dim, permute_to
from tessera.lowering.aten.reduction import reduce
from tessera.lowering.aten.rules import (
    Arith,
    broadcast_shape,
    finish,
    opmath,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext

#: Multiplications from which the distance of rows is left to a product of matrices.
_MANY = 1 << 22
#: torch's compute_mode: never through a product of matrices.
_WITHOUT_PRODUCT = 2


def _norm(ctx: LoweringContext, difference: GraphValue, p: float) -> GraphValue:
    """The p-norm over the last dimension."""
    a = Arith(ctx, difference.dtype)
    last = [difference.ndim - 1]
    magnitude = a.unary("abs", difference)
    if p == 0:
        return reduce(ctx, "sum", ctx.cast(a.compare("ne", difference, 0.0), a.dtype), last, False)
    if math.isinf(p):
        return reduce(ctx, "max", magnitude, last, False)
    if p == 1:
        return reduce(ctx, "sum", magnitude, last, False)
    if p == 2:
        square = a.mul(difference, difference)
        return a.unary("sqrt", reduce(ctx, "sum", square, last, False))
    total = reduce(ctx, "sum", a.emit("pow", magnitude, p), last, False)
    return a.emit("pow", total, 1.0 / p)


def _euclidean_product(ctx: LoweringContext, x: GraphValue, y: GraphValue) -> GraphValue:
    """sqrt(|x|² + |y|² - 2xy) between all rows."""
    a = Arith(ctx, x.dtype)

    def squares(value: GraphValue) -> GraphValue:
        return reduce(ctx, "sum", a.mul(value, value), [value.ndim - 1], False)

    mixed = product(ctx, "cdist", x, y, transpose_b=True)
    total = a.add(insert_dim(ctx, squares(x), x.ndim - 1), insert_dim(ctx, squares(y), y.ndim - 2))
    return a.unary("sqrt", a.maximum(a.sub(total, a.mul(mixed, 2.0)), 0.0))


@rule("_cdist_forward")
def cdist_forward(
    ctx: LoweringContext, x1: GraphValue, x2: GraphValue, p: float, compute_mode: int | None
) -> GraphValue:
    result = ctx.result_type(x1, x2)
    batch = broadcast_shape(x1.shape[:-2], x2.shape[:-2])
    rows, columns, depth = x1.shape[-2], x2.shape[-2], x1.shape[-1]
    shape = (*batch, rows, columns)
    if not depth or not math.prod(shape):
        return filled(ctx, shape, 0, result)
    dtype = opmath(result)
    x = ctx.broadcast(ctx.cast(x1, dtype), (*batch, rows, depth))
    y = ctx.broadcast(ctx.cast(x2, dtype), (*batch, columns, depth))
    many = math.prod(shape) * depth >= _MANY and (rows > 25 or columns > 25)
    if p == 2 and many and compute_mode != _WITHOUT_PRODUCT:
        return finish(ctx, _euclidean_product(ctx, x, y), result)
    difference = ctx.emit("sub", [insert_dim(ctx, x, x.ndim - 1), insert_dim(ctx, y, y.ndim - 2)])
    return finish(ctx, _norm(ctx, difference, float(p)), result)


@rule("_euclidean_dist")
def euclidean_dist(ctx: LoweringContext, x1: GraphValue, x2: GraphValue) -> GraphValue:
    return cdist_forward(ctx, x1, x2, 2.0, None)


@rule("_pdist_forward")
def pdist_forward(ctx: LoweringContext, self: GraphValue, p: float = 2) -> GraphValue:
    rows = self.shape[0]
    count = rows * (rows - 1) // 2
    if not count or not self.shape[1]:
        return filled(ctx, [count], 0, self.dtype)
    first, second = _pairs(ctx, rows, count)
    x = ctx.cast(self, opmath(self.dtype))
    left, right = (ctx.emit("gather", [x, index], dim=0) for index in (first, second))
    return finish(ctx, _norm(ctx, ctx.emit("sub", [left, right]), float(p)), self.dtype)


def _pairs(ctx: LoweringContext, rows: int, count: int) -> tuple[GraphValue, GraphValue]:
    """The k-th pair i < j of rows, for every k in the order of rows."""
    a, wide = Arith(ctx, torch.int64), Arith(ctx, torch.float64)
    place = ctx.emit("iota", [], shape=[count], dim=0, start=0, step=1, dtype=torch.int64)
    # The rows before i hold i (2 rows - i - 1) / 2 pairs: a root tells i up to rounding.
    odd = 2.0 * rows - 1.0
    root = wide.unary("sqrt", wide.sub(odd * odd, wide.mul(ctx.cast(place, torch.float64), 8.0)))
    first = ctx.cast(wide.unary("floor", wide.mul(wide.sub(odd, root), 0.5)), torch.int64)

    def before(row: GraphValue) -> GraphValue:
        return a.emit("floor_div", a.mul(row, a.sub(2 * rows - 1, row)), 2)

    first = a.select(a.compare("gt", before(first), place), a.sub(first, 1), first)
    following = a.add(first, 1)
    first = a.select(a.compare("le", before(following), place), following, first)
    return first, a.add(a.add(a.sub(place, before(first)), first), 1)


# --- bilinear forms --------------------------------------------------------------------------


@rule("bilinear")
def bilinear(
    ctx: LoweringContext,
    input1: GraphValue,
    input2: GraphValue,
    weight: GraphValue,
    bias: GraphValue | None = None,
) -> GraphValue:
    outputs, left, right = weight.shape
    batch = input1.shape[:-1]
    count = math.prod(batch)
    # x1 meets the weight in one product of matrices; x2 weighs what comes out of it.
    x = ctx.reshape(input1, (count, left))
    panels = ctx.reshape(permute_to(ctx, weight, [1, 0, 2]), (left, outputs * right))
    mixed = ctx.reshape(product(ctx, "bilinear", x, panels), (count, outputs, right))
    a = Arith(ctx, opmath(input1.dtype))
    y = ctx.cast(ctx.reshape(input2, (count, 1, right)), a.dtype)
    value = reduce(ctx, "sum", a.mul(ctx.cast(mixed, a.dtype), y), [2], False)
    if bias is not None:
        value = a.add(value, ctx.cast(bias, a.dtype))
    return finish(ctx, ctx.reshape(value, (*batch, outputs)), input1.dtype)


@rule("_trilinear")
def trilinear(
    ctx: LoweringContext,
    i1: GraphValue,
    i2: GraphValue,
    i3: GraphValue,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> GraphValue:
    result = ctx.result_type(i1, i2, i3)
    a = Arith(ctx, opmath(result))
    value: GraphValue | None = None
    for factor, expand in ((i1, expand1), (i2, expand2), (i3, expand3)):
        factor = ctx.cast(factor, a.dtype)
        for dim in sorted(expand):
            factor = insert_dim(ctx, factor, dim)
        value = factor if value is None else a.mul(value, factor)
    assert value is not None
    return finish(ctx, reduce(ctx, "sum", value, sorted(sumdim), False), result)
