# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear algebra: Cholesky and LU factors, determinants, inverses, solutions of equations.

The factors come from the runtime's library (`graph.cholesky`, `graph.lu` and what solves by them);
the rest is written over them. Where PyTorch checks that a matrix can be factored, the op does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.creation import eye, filled, positions
from tessera.lowering.aten.movement import diagonal, matrix_transpose, permute
from tessera.lowering.aten.reduction import reduce
from tessera.lowering.aten.rules import (
    Arith,
    broadcast_shape,
    node_rule,
    number,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

Factors = tuple[GraphValue, GraphValue, GraphValue]


def require_matrices(op: str, *values: GraphValue, square: bool = False) -> None:
    """torch's complaints about what are no matrices of f32 or f64."""
    for value in values:
        if value.dtype not in (torch.float32, torch.float64):
            raise Unsupported(
                f"[{op}] is compiled for float32 and float64, not {value.dtype}", code="dtype"
            )
        if value.ndim < 2 or (square and value.shape[-1] != value.shape[-2]):
            kind = "square matrices" if square else "matrices"
            raise ValueError(f"[{op}] needs {kind}, but got shape {value.shape}")


def batched(ctx: LoweringContext, value: GraphValue, batch: Sequence[int], own: int) -> GraphValue:
    """`value`, whose last `own` dimensions are no batch, stretched to `batch`."""
    return ctx.broadcast(value, (*batch, *value.shape[value.ndim - own :]))


def identity(ctx: LoweringContext, like: GraphValue, size: int) -> GraphValue:
    """Unit matrices in like's batch."""
    unit = eye(ctx, size, dtype=like.dtype)
    return ctx.broadcast(unit, (*like.shape[:-2], size, size))


def triangle(ctx: LoweringContext, x: GraphValue, upper: bool, unit: bool = False) -> GraphValue:
    """A triangle with zeros outside; with `unit`, ones on its diagonal."""
    rows, columns = x.shape[-2:]
    row, column = positions(ctx, [rows, 1], 0), positions(ctx, [1, columns], 1)
    a, index = Arith(ctx, x.dtype), Arith(ctx, torch.int64)
    if not unit:
        return a.select(index.compare("ge" if upper else "le", column, row), x, 0.0)
    inside = a.select(index.compare("gt" if upper else "lt", column, row), x, 0.0)
    return a.select(index.compare("eq", column, row), 1.0, inside)


# --- Cholesky --------------------------------------------------------------------------------


def cholesky_factor(
    ctx: LoweringContext, self: GraphValue, upper: bool, checked: bool
) -> tuple[GraphValue, GraphValue]:
    require_matrices("cholesky", self, square=True)
    factor, info = ctx.emit_many("cholesky", [self], upper=bool(upper), checked=bool(checked))
    return factor, info


@rule("linalg_cholesky_ex")
def linalg_cholesky_ex(
    ctx: LoweringContext, self: GraphValue, *, upper: bool = False, check_errors: bool = False
) -> tuple[GraphValue, GraphValue]:
    return cholesky_factor(ctx, self, upper, check_errors)


@rule("linalg_cholesky")
def linalg_cholesky(ctx: LoweringContext, self: GraphValue, *, upper: bool = False) -> GraphValue:
    return cholesky_factor(ctx, self, upper, True)[0]


@rule("cholesky")
def cholesky(ctx: LoweringContext, self: GraphValue, upper: bool = False) -> GraphValue:
    return cholesky_factor(ctx, self, upper, True)[0]


def solve_triangle(
    ctx: LoweringContext,
    a: GraphValue,
    b: GraphValue,
    *,
    upper: bool,
    transpose: bool = False,
    unit: bool = False,
) -> GraphValue:
    """X of T X = B in the batch both stretch to."""
    require_matrices("triangular_solve", a, b)
    batch = broadcast_shape(a.shape[:-2], b.shape[:-2])
    operands = [batched(ctx, a, batch, 2), batched(ctx, b, batch, 2)]
    return ctx.emit(
        "triangular_solve", operands, upper=bool(upper), transpose=bool(transpose), unit=bool(unit)
    )


@rule("cholesky_solve")
def cholesky_solve(
    ctx: LoweringContext, self: GraphValue, input2: GraphValue, upper: bool = False
) -> GraphValue:
    # A is the factor times its transpose, the lower one first.
    inner = solve_triangle(ctx, input2, self, upper=upper, transpose=upper)
    return solve_triangle(ctx, input2, inner, upper=upper, transpose=not upper)


@rule("cholesky_inverse")
def cholesky_inverse(ctx: LoweringContext, self: GraphValue, upper: bool = False) -> GraphValue:
    require_matrices("cholesky_inverse", self, square=True)
    return cholesky_solve(ctx, identity(ctx, self, self.shape[-1]), self, upper)


@rule("linalg_solve_triangular")
def linalg_solve_triangular(
    ctx: LoweringContext,
    self: GraphValue,
    B: GraphValue,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
) -> GraphValue:
    if left:
        return solve_triangle(ctx, self, B, upper=upper, unit=unitriangular)
    right = matrix_transpose(ctx, B)
    solved = solve_triangle(ctx, self, right, upper=upper, transpose=True, unit=unitriangular)
    return matrix_transpose(ctx, solved)


@rule("triangular_solve")
def triangular_solve(
    ctx: LoweringContext,
    self: GraphValue,
    A: GraphValue,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> tuple[GraphValue, GraphValue]:
    solution = solve_triangle(ctx, A, self, upper=upper, transpose=transpose, unit=unitriangular)
    return solution, batched(ctx, A, solution.shape[:-2], 2)


# --- LU --------------------------------------------------------------------------------------


def lu_factors(ctx: LoweringContext, A: GraphValue, checked: bool, pivot: bool = True) -> Factors:
    """Packed factors, pivots and info."""
    require_matrices("lu", A)
    if not pivot:
        raise Unsupported("[lu] without pivots is not compiled", "leave pivot=True")
    packed, pivots, info = ctx.emit_many("lu", [A], checked=bool(checked))
    return packed, pivots, info


@rule("linalg_lu_factor_ex")
def linalg_lu_factor_ex(
    ctx: LoweringContext, A: GraphValue, *, pivot: bool = True, check_errors: bool = False
) -> Factors:
    return lu_factors(ctx, A, check_errors, pivot)


@rule("_lu_with_info")
def lu_with_info(
    ctx: LoweringContext, self: GraphValue, pivot: bool = True, check_errors: bool = True
) -> Factors:
    return lu_factors(ctx, self, check_errors, pivot)


@rule("linalg_lu_factor")
def linalg_lu_factor(
    ctx: LoweringContext, A: GraphValue, *, pivot: bool = True
) -> tuple[GraphValue, GraphValue]:
    packed, pivots, _ = lu_factors(ctx, A, True, pivot)
    return packed, pivots


def solve_by_factors(
    ctx: LoweringContext,
    packed: GraphValue,
    pivots: GraphValue,
    right: GraphValue,
    transpose: bool = False,
) -> GraphValue:
    """X of A X = B in the batch both stretch to."""
    require_matrices("lu_solve", packed, square=True)
    require_matrices("lu_solve", right)
    batch = broadcast_shape(packed.shape[:-2], right.shape[:-2])
    operands = [
        batched(ctx, packed, batch, 2),
        batched(ctx, pivots, batch, 1),
        batched(ctx, right, batch, 2),
    ]
    return ctx.emit("lu_solve", operands, transpose=bool(transpose))


@rule("linalg_lu_solve")
def linalg_lu_solve(
    ctx: LoweringContext,
    LU: GraphValue,
    pivots: GraphValue,
    B: GraphValue,
    *,
    left: bool = True,
    adjoint: bool = False,
) -> GraphValue:
    if left:
        return solve_by_factors(ctx, LU, pivots, B, adjoint)
    solved = solve_by_factors(ctx, LU, pivots, matrix_transpose(ctx, B), not adjoint)
    return matrix_transpose(ctx, solved)


@rule("lu_unpack")
def lu_unpack(
    ctx: LoweringContext,
    LU_data: GraphValue,
    LU_pivots: GraphValue,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
) -> Factors:
    require_matrices("lu_unpack", LU_data)
    nothing = filled(ctx, [0], 0, LU_data.dtype)
    rows, columns = LU_data.shape[-2:]
    count = min(rows, columns)
    lower = upper = permutation = nothing
    if unpack_data:
        starts, steps = [0] * LU_data.ndim, [1] * LU_data.ndim
        tall = [*LU_data.shape[:-1], count]
        wide = [*LU_data.shape[:-2], count, columns]
        left = ctx.emit("slice", [LU_data], starts=starts, limits=tall, steps=steps)
        right = ctx.emit("slice", [LU_data], starts=starts, limits=wide, steps=steps)
        lower, upper = triangle(ctx, left, False, unit=True), triangle(ctx, right, True)
    if unpack_pivots:
        # Rows without a pivot of their own stay where they are.
        own = ctx.cast(positions(ctx, [rows], 0), torch.int32)
        pivots = ctx.broadcast(Arith(ctx, torch.int32).add(own, 1), (*LU_data.shape[:-2], rows))
        if count:
            low, high = [0] * pivots.ndim, [0] * pivots.ndim
            high[-1] = rows - count
            given = ctx.emit("pad", [LU_pivots, number(ctx, 0, torch.int32)], low=low, high=high)
            inside = Arith(ctx, torch.int32).compare("lt", own, count)
            pivots = ctx.emit("select", [inside, given, pivots])
        unit = identity(ctx, LU_data, rows)
        # The equations of a unit matrix are solved by exchanging rows alone.
        permutation = matrix_transpose(ctx, solve_by_factors(ctx, unit, pivots, unit))
    return permutation, lower, upper


@rule("linalg_lu")
def linalg_lu(ctx: LoweringContext, A: GraphValue, *, pivot: bool = True) -> Factors:
    packed, pivots, _ = lu_factors(ctx, A, False, pivot)
    return lu_unpack(ctx, packed, pivots)


# --- determinants ----------------------------------------------------------------------------


def _diagonal_and_sign(
    ctx: LoweringContext, packed: GraphValue, pivots: GraphValue
) -> tuple[GraphValue, GraphValue]:
    """The diagonal of the upper factor, and the sign of the permutation."""
    size = packed.shape[-1]
    index = Arith(ctx, torch.int64)
    own = index.add(positions(ctx, [size], 0), 1)
    moved = ctx.cast(index.compare("ne", ctx.cast(pivots, torch.int64), own), torch.int64)
    odd = index.emit("bitwise_and", reduce(ctx, "sum", moved, [moved.ndim - 1], False), 1)
    sign = Arith(ctx, packed.dtype).select(index.compare("ne", odd, 0), -1.0, 1.0)
    return diagonal(ctx, packed, 0, -2, -1), sign


@node_rule("_linalg_det")
def linalg_det(
    ctx: LoweringContext, used: frozenset[int], A: GraphValue
) -> tuple[GraphValue, GraphValue, GraphValue]:
    require_matrices("det", A, square=True)
    packed, pivots, _ = lu_factors(ctx, A, False)
    factors, sign = _diagonal_and_sign(ctx, packed, pivots)
    value = reduce(ctx, "prod", factors, [factors.ndim - 1], False)
    return Arith(ctx, A.dtype).mul(value, sign), packed, pivots


@node_rule("_linalg_slogdet")
def linalg_slogdet(
    ctx: LoweringContext, used: frozenset[int], A: GraphValue
) -> tuple[GraphValue, GraphValue, GraphValue, GraphValue]:
    require_matrices("slogdet", A, square=True)
    packed, pivots, _ = lu_factors(ctx, A, False)
    factors, sign = _diagonal_and_sign(ctx, packed, pivots)
    a, last = Arith(ctx, A.dtype), [factors.ndim - 1]
    sign = a.mul(sign, reduce(ctx, "prod", a.unary("sign", factors), last, False))
    size = reduce(ctx, "sum", a.unary("log", a.unary("abs", factors)), last, False)
    return sign, size, packed, pivots


# --- equations -------------------------------------------------------------------------------


def _is_vector(A: GraphValue, B: GraphValue) -> bool:
    """torch's rule for right sides without columns."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])


def solve(
    ctx: LoweringContext, A: GraphValue, B: GraphValue, left: bool, checked: bool
) -> tuple[GraphValue, Factors]:
    """X of A X = B (or X A = B), and the factors of A."""
    require_matrices("solve", A, square=True)
    factors = lu_factors(ctx, A, checked)
    packed, pivots, _ = factors
    vector = left and _is_vector(A, B)
    if vector:
        B = ctx.reshape(B, (*B.shape, 1))
    result = linalg_lu_solve(ctx, packed, pivots, B, left=left)
    return ctx.reshape(result, result.shape[:-1]) if vector else result, factors


@rule("linalg_solve")
def linalg_solve(
    ctx: LoweringContext, A: GraphValue, B: GraphValue, *, left: bool = True
) -> GraphValue:
    return solve(ctx, A, B, left, True)[0]


@rule("_linalg_solve_ex")
def linalg_solve_ex(
    ctx: LoweringContext,
    A: GraphValue,
    B: GraphValue,
    *,
    left: bool = True,
    check_errors: bool = False,
) -> tuple[GraphValue, GraphValue, GraphValue, GraphValue]:
    result, factors = solve(ctx, A, B, left, check_errors)
    return result, *factors


@rule("linalg_inv_ex")
def linalg_inv_ex(
    ctx: LoweringContext, A: GraphValue, *, check_errors: bool = False
) -> tuple[GraphValue, GraphValue]:
    require_matrices("inv", A, square=True)
    packed, pivots, info = lu_factors(ctx, A, check_errors)
    return solve_by_factors(ctx, packed, pivots, identity(ctx, A, A.shape[-1])), info


@rule("linalg_inv", "inverse")
def linalg_inv(ctx: LoweringContext, A: GraphValue) -> GraphValue:
    return linalg_inv_ex(ctx, A, check_errors=True)[0]


@rule("linalg_tensorinv")
def tensorinv(ctx: LoweringContext, self: GraphValue, ind: int = 2) -> GraphValue:
    front, back = self.shape[:ind], self.shape[ind:]
    matrix = ctx.reshape(self, (math.prod(front), math.prod(back)))
    return ctx.reshape(linalg_inv(ctx, matrix), (*back, *front))


@rule("linalg_tensorsolve")
def tensorsolve(
    ctx: LoweringContext, self: GraphValue, other: GraphValue, dims: Sequence[int] | None = None
) -> GraphValue:
    if dims is not None:
        moved = [dim % self.ndim for dim in dims]
        self = permute(ctx, self, [d for d in range(self.ndim) if d not in moved] + moved)
    shape = self.shape[other.ndim :]
    matrix = ctx.reshape(self, (other.numel(), math.prod(shape)))
    column = ctx.reshape(other, (other.numel(), 1))
    return ctx.reshape(solve(ctx, matrix, column, True, True)[0], shape)
