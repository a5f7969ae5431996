# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear algebra: QR, eigenvalues, singular values and what is made of them.

Eigenvectors and singular vectors are determined up to their sign only (those of equal values, up to
a rotation), which is not the one PyTorch's library happens to choose.
"""

from __future__ import annotations

import torch

from tessera.lowering.aten.contraction import product
from tessera.lowering.aten.creation import filled
from tessera.lowering.aten.linear_algebra import (
    batched,
    identity,
    linalg_inv,
    require_matrices,
    triangle,
)
from tessera.lowering.aten.movement import matrix_transpose, slice_along
from tessera.lowering.aten.movement_copy import join
from tessera.lowering.aten.reduction import reduce
from tessera.lowering.aten.rules import Arith, broadcast_shape, node_rule, number, rule
from tessera.lowering.context import GraphValue, LoweringContext

Pair = tuple[GraphValue, GraphValue]
Triple = tuple[GraphValue, GraphValue, GraphValue]


# --- QR --------------------------------------------------------------------------------------


@rule("geqrf")
def geqrf(ctx: LoweringContext, self: GraphValue) -> Pair:
    require_matrices("geqrf", self)
    packed, tau = ctx.emit_many("qr", [self])
    return packed, tau


@rule("linalg_householder_product", "orgqr")
def householder_product(ctx: LoweringContext, input: GraphValue, tau: GraphValue) -> GraphValue:
    require_matrices("householder_product", input)
    return ctx.emit("householder_product", [input, tau])


def _with_columns(ctx: LoweringContext, packed: GraphValue, columns: int) -> GraphValue:
    """`packed` cut or padded to so many columns."""
    last = packed.ndim - 1
    if columns <= packed.shape[last]:
        return slice_along(ctx, packed, last, 0, columns)
    low, high = [0] * packed.ndim, [0] * packed.ndim
    high[last] = columns - packed.shape[last]
    return ctx.emit("pad", [packed, number(ctx, 0, packed.dtype)], low=low, high=high)


@rule("linalg_qr")
def linalg_qr(ctx: LoweringContext, A: GraphValue, mode: str = "reduced") -> Pair:
    packed, tau = geqrf(ctx, A)
    rows, columns = A.shape[-2:]
    count = rows if mode == "complete" else min(rows, columns)
    upper = triangle(ctx, slice_along(ctx, packed, A.ndim - 2, 0, count), True)
    if mode == "r":
        return filled(ctx, [0], 0, A.dtype), upper
    return householder_product(ctx, _with_columns(ctx, packed, count), tau), upper


@rule("ormqr")
def ormqr(
    ctx: LoweringContext,
    self: GraphValue,
    input2: GraphValue,
    input3: GraphValue,
    left: bool = True,
    transpose: bool = False,
) -> GraphValue:
    # The whole square product of the reflections, of which geqrf shows the first columns.
    q = householder_product(ctx, _with_columns(ctx, self, self.shape[-2]), input2)
    if transpose:
        q = matrix_transpose(ctx, q)
    return product(ctx, "ormqr", q, input3) if left else product(ctx, "ormqr", input3, q)


# --- eigenvalues and singular values ---------------------------------------------------------


@rule("_linalg_eigh")
def linalg_eigh(
    ctx: LoweringContext, A: GraphValue, UPLO: str = "L", compute_v: bool = True
) -> Pair:
    values, vectors = _eigh(ctx, A, UPLO.upper() == "U")
    return values, vectors if compute_v else filled(ctx, [0], 0, A.dtype)


@rule("linalg_eigh")
def linalg_eigh_pair(ctx: LoweringContext, self: GraphValue, UPLO: str = "L") -> Pair:
    return _eigh(ctx, self, UPLO.upper() == "U")


def _eigh(ctx: LoweringContext, A: GraphValue, upper: bool) -> Pair:
    require_matrices("eigh", A, square=True)
    values, vectors = ctx.emit_many("eigh", [A], upper=upper)
    return values, vectors


def _svd(ctx: LoweringContext, A: GraphValue, full: bool) -> Triple:
    """A = left diag(values) right; `full` makes left and right square."""
    require_matrices("svd", A)
    left, values, right = ctx.emit_many("svd", [A])
    if full:
        left = _completed(ctx, left)
        right = matrix_transpose(ctx, _completed(ctx, matrix_transpose(ctx, right)))
    return left, values, right


def _completed(ctx: LoweringContext, columns: GraphValue) -> GraphValue:
    """Orthonormal columns and as many more as make them square."""
    rows, count = columns.shape[-2:]
    if not count:
        return identity(ctx, columns, rows)
    if rows == count:
        return columns
    packed, tau = ctx.emit_many("qr", [columns])
    square = ctx.emit("householder_product", [_with_columns(ctx, packed, rows), tau])
    last = columns.ndim - 1
    return join(ctx, [columns, slice_along(ctx, square, last, count, rows)], last)


@node_rule("_linalg_svd")
def linalg_svd(
    ctx: LoweringContext,
    used: frozenset[int],
    A: GraphValue,
    full_matrices: bool = False,
    compute_uv: bool = True,
    *,
    driver: str | None = None,
) -> tuple[GraphValue | None, GraphValue, GraphValue | None]:
    if not compute_uv:
        return None, _svd(ctx, A, False)[1], None
    return _svd(ctx, A, full_matrices)


@rule("linalg_svd")
def linalg_svd_triple(
    ctx: LoweringContext,
    A: GraphValue,
    full_matrices: bool = True,
    *,
    driver: str | None = None,
) -> Triple:
    return _svd(ctx, A, full_matrices)


@node_rule("svd")
def svd(
    ctx: LoweringContext,
    used: frozenset[int],
    self: GraphValue,
    some: bool = True,
    compute_uv: bool = True,
) -> tuple[GraphValue | None, GraphValue, GraphValue | None]:
    left, values, right = _svd(ctx, self, compute_uv and not some)
    if not compute_uv:
        return None, values, None
    return left, values, matrix_transpose(ctx, right)


def _tolerance(
    ctx: LoweringContext,
    values: GraphValue,
    size: int,
    atol: GraphValue | None,
    rtol: GraphValue | None,
) -> GraphValue:
    """The size below which a value counts as zero, with a dimension for the values."""
    a = Arith(ctx, values.dtype)
    if rtol is None:
        default = torch.finfo(values.dtype).eps * size
        relative = ctx.constant(default, values.dtype)
        if atol is not None:
            # Where an absolute one is given, it is the only one.
            given = a.compare("gt", ctx.cast(atol, values.dtype), 0.0)
            relative = a.select(given, 0.0, relative)
    else:
        relative = ctx.cast(rtol, values.dtype)
    absolute = ctx.constant(0.0, values.dtype) if atol is None else ctx.cast(atol, values.dtype)
    largest = reduce(ctx, "max", values, [values.ndim - 1], True)

    def column(value: GraphValue) -> GraphValue:
        return ctx.reshape(value, (*value.shape, 1)) if value.ndim else value

    return a.maximum(column(absolute), a.mul(column(relative), largest))


@rule("linalg_pinv.atol_rtol_tensor")
def linalg_pinv(
    ctx: LoweringContext,
    self: GraphValue,
    *,
    atol: GraphValue | None = None,
    rtol: GraphValue | None = None,
    hermitian: bool = False,
) -> GraphValue:
    require_matrices("pinv", self, square=hermitian)
    rows, columns = self.shape[-2:]
    if not self.numel():
        return filled(ctx, (*self.shape[:-2], columns, rows), 0, self.dtype)
    a = Arith(ctx, self.dtype)
    if hermitian:
        values, vectors = _eigh(ctx, self, False)
        left, right = vectors, matrix_transpose(ctx, vectors)
    else:
        left, values, right = ctx.emit_many("svd", [self])
    sizes = a.unary("abs", values)
    kept = a.compare("gt", sizes, _tolerance(ctx, sizes, max(rows, columns), atol, rtol))
    inverse = a.select(kept, a.div(1.0, values), 0.0)
    scaled = a.mul(matrix_transpose(ctx, right), ctx.reshape(inverse, _row(inverse)))
    batch = broadcast_shape(scaled.shape[:-2], left.shape[:-2])
    transposed = batched(ctx, matrix_transpose(ctx, left), batch, 2)
    return product(ctx, "pinv", batched(ctx, scaled, batch, 2), transposed)


def _row(values: GraphValue) -> tuple[int, ...]:
    return (*values.shape[:-1], 1, values.shape[-1])


# --- exponentials ----------------------------------------------------------------------------


@rule("linalg_matrix_exp", "matrix_exp")
def matrix_exp(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    if self.dtype in (torch.float16, torch.bfloat16):
        return ctx.cast(matrix_exp(ctx, ctx.cast(self, torch.float32)), self.dtype)
    require_matrices("matrix_exp", self, square=True)
    return ctx.emit("matrix_exp", [self])


@rule("linalg_matrix_power", "matrix_power")
def matrix_power(ctx: LoweringContext, self: GraphValue, n: int) -> GraphValue:
    if self.ndim < 2 or self.shape[-1] != self.shape[-2]:
        raise ValueError(f"[matrix_power] needs square matrices, but got shape {self.shape}")
    square = linalg_inv(ctx, self) if n < 0 else self
    result: GraphValue | None = None
    left = abs(n)
    while left:
        if left & 1:
            result = square if result is None else product(ctx, "matrix_power", result, square)
        left >>= 1
        if left:
            square = product(ctx, "matrix_power", square, square)
    return identity(ctx, self, self.shape[-1]) if result is None else result
