# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Contractions: products of matrices in every rank torch accepts, and what is written over them.

All of them become `graph.matmul` on operands of rank two or more; transposes of weights are
attributes rather than movement, so that the compiler packs from the layout in memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.movement import matrix_transpose
from tessera.lowering.aten.rules import (
    Arith,
    Number,
    broadcast_shape,
    finish,
    is_integral,
    normalize_dim,
    opmath,
    promoted,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported


def product(
    ctx: LoweringContext, op: str, a: GraphValue, b: GraphValue, *, transpose_b: bool = False
) -> GraphValue:
    """`graph.matmul` with torch's complaints about operands that do not fit."""
    if a.dtype != b.dtype:
        raise TypeError(f"[{op}] operands are {a.dtype} and {b.dtype}; both must be the same")
    if a.dtype == torch.bool:
        raise TypeError(f"[{op}] is not defined for bool tensors; cast them to another dtype")
    inner = b.shape[-1] if transpose_b else b.shape[-2]
    if a.shape[-1] != inner:
        raise ValueError(
            f"[{op}] shapes {a.shape} and {b.shape} do not fit: the contracted sizes are "
            f"{a.shape[-1]} and {inner}"
        )
    return ctx.emit("matmul", [a, b], transpose_a=False, transpose_b=transpose_b)


def _require_rank(op: str, **operands: tuple[GraphValue, int]) -> None:
    for name, (value, rank) in operands.items():
        if value.ndim != rank:
            raise ValueError(f"[{op}] {name} must have {rank} dimensions, but has {value.ndim}")


# --- plain products --------------------------------------------------------------------------


@rule("mm")
def mm(ctx: LoweringContext, self: GraphValue, mat2: GraphValue) -> GraphValue:
    _require_rank("mm", self=(self, 2), mat2=(mat2, 2))
    return product(ctx, "mm", self, mat2)


@rule("bmm")
def bmm(ctx: LoweringContext, self: GraphValue, mat2: GraphValue) -> GraphValue:
    _require_rank("bmm", self=(self, 3), mat2=(mat2, 3))
    if self.shape[0] != mat2.shape[0]:
        raise ValueError(f"[bmm] batches are {self.shape[0]} and {mat2.shape[0]}")
    return product(ctx, "bmm", self, mat2)


@rule("mm.dtype", "bmm.dtype")
def mm_dtype(
    ctx: LoweringContext, self: GraphValue, mat2: GraphValue, out_dtype: torch.dtype
) -> GraphValue:
    return product(ctx, "mm", ctx.cast(self, out_dtype), ctx.cast(mat2, out_dtype))


@rule("_int_mm")
def int_mm(ctx: LoweringContext, self: GraphValue, mat2: GraphValue) -> GraphValue:
    return mm(ctx, ctx.cast(self, torch.int32), ctx.cast(mat2, torch.int32))


@rule("matmul", "linalg_matmul")
def matmul(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    if not self.ndim or not other.ndim:
        raise ValueError(
            f"[matmul] both operands need a dimension; shapes are {self.shape} and {other.shape}"
        )
    # A vector is a row on the left and a column on the right; its dimension then goes away.
    a = ctx.reshape(self, (1, *self.shape)) if self.ndim == 1 else self
    b = ctx.reshape(other, (*other.shape, 1)) if other.ndim == 1 else other
    result = product(ctx, "matmul", a, b)
    shape = list(result.shape)
    if other.ndim == 1:
        shape.pop()
    if self.ndim == 1:
        shape.pop(-1 if other.ndim == 1 else -2)
    return ctx.reshape(result, shape)


@rule("_grouped_mm")
def grouped_mm(
    ctx: LoweringContext,
    self: GraphValue,
    mat2: GraphValue,
    offs: GraphValue | None = None,
    bias: GraphValue | None = None,
    out_dtype: torch.dtype | None = None,
) -> GraphValue:
    """torch.nn.functional.grouped_mm: groups of rows, of columns or of the summed dimension."""
    if bias is not None or out_dtype not in (None, self.dtype):
        raise Unsupported("[grouped_mm] a bias and another result dtype are not compiled")
    if offs is None:
        return bmm(ctx, self, mat2)
    if self.ndim == 3:  # groups of mat2's columns: of rows, transposed
        columns = grouped_mm(ctx, matrix_transpose(ctx, mat2), matrix_transpose(ctx, self), offs)
        return matrix_transpose(ctx, columns)
    return ctx.emit("grouped_matmul", [self, mat2, offs])


@rule("mv")
def mv(ctx: LoweringContext, self: GraphValue, vec: GraphValue) -> GraphValue:
    _require_rank("mv", self=(self, 2), vec=(vec, 1))
    return matmul(ctx, self, vec)


@rule("dot", "vdot", "linalg_vecdot")
def dot(ctx: LoweringContext, self: GraphValue, tensor: GraphValue, *, dim: int = -1) -> GraphValue:
    if self.dtype != tensor.dtype:
        raise TypeError(f"[dot] operands are {self.dtype} and {tensor.dtype}")
    # A reduction rather than a product of matrices: rows kernels read both once.
    (x, y), result = promoted(ctx, self, tensor, wide=True)
    terms = ctx.emit("mul", [x, y])
    axis = normalize_dim(dim, terms.ndim, "dot")
    return finish(ctx, ctx.emit("reduce", [terms], kind="sum", dims=[axis], keepdim=False), result)


@rule("outer", "ger")
def outer(ctx: LoweringContext, self: GraphValue, vec2: GraphValue) -> GraphValue:
    _require_rank("outer", self=(self, 1), vec2=(vec2, 1))
    (x, y), result = promoted(ctx, self, vec2)
    x = ctx.reshape(x, (x.shape[0], 1))
    return finish(ctx, Arith(ctx, x.dtype).mul(x, y), result)


@rule("linear")
def linear(
    ctx: LoweringContext, input: GraphValue, weight: GraphValue, bias: GraphValue | None = None
) -> GraphValue:
    if weight.ndim not in (1, 2) or not input.ndim:
        raise ValueError(f"[linear] shapes {input.shape} and {weight.shape} do not fit")
    if weight.ndim == 1:
        result = matmul(ctx, input, weight)
    else:
        x = ctx.reshape(input, (1, *input.shape)) if input.ndim == 1 else input
        result = product(ctx, "linear", x, weight, transpose_b=True)
        if input.ndim == 1:
            result = ctx.reshape(result, result.shape[1:])
    return result if bias is None else ctx.emit("add", [result, ctx.cast(bias, result.dtype)])


# --- products with a sum ---------------------------------------------------------------------


def _accumulate(
    ctx: LoweringContext,
    op: str,
    self: GraphValue,
    result: GraphValue,
    beta: Number,
    alpha: Number,
) -> GraphValue:
    """beta * self + alpha * result; `self` is not looked at when beta is zero."""
    if broadcast_shape(self.shape, result.shape) != result.shape:
        raise ValueError(f"[{op}] {self.shape} does not broadcast to {result.shape}")
    if self.dtype != result.dtype:
        raise TypeError(f"[{op}] input is {self.dtype}, the product {result.dtype}")
    if is_integral(result.dtype):
        # As torch converts the numbers: 0.6 counts for nothing.
        beta, alpha = int(beta), int(alpha)
    plain = alpha == 1 and beta in (0, 1)
    a = Arith(ctx, result.dtype if plain else opmath(result.dtype))
    value = a.scale(ctx.cast(result, a.dtype), alpha)
    if beta != 0:
        value = a.add(value, a.scale(ctx.cast(self, a.dtype), beta))
    return finish(ctx, value, result.dtype)


@rule("addmm")
def addmm(
    ctx: LoweringContext,
    self: GraphValue,
    mat1: GraphValue,
    mat2: GraphValue,
    *,
    beta: Number = 1,
    alpha: Number = 1,
) -> GraphValue:
    return _accumulate(ctx, "addmm", self, mm(ctx, mat1, mat2), beta, alpha)


@rule("_addmm_activation")
def addmm_activation(
    ctx: LoweringContext,
    self: GraphValue,
    mat1: GraphValue,
    mat2: GraphValue,
    *,
    beta: Number = 1,
    alpha: Number = 1,
    use_gelu: bool = False,
) -> GraphValue:
    value = addmm(ctx, self, mat1, mat2, beta=beta, alpha=alpha)
    if use_gelu:
        # The approximation is what CUDA computes.
        return ctx.emit("gelu", [value], approximate="none")
    return Arith(ctx, value.dtype).maximum(value, 0)


@rule("baddbmm")
def baddbmm(
    ctx: LoweringContext,
    self: GraphValue,
    batch1: GraphValue,
    batch2: GraphValue,
    *,
    beta: Number = 1,
    alpha: Number = 1,
) -> GraphValue:
    return _accumulate(ctx, "baddbmm", self, bmm(ctx, batch1, batch2), beta, alpha)


@rule("addbmm")
def addbmm(
    ctx: LoweringContext,
    self: GraphValue,
    batch1: GraphValue,
    batch2: GraphValue,
    *,
    beta: Number = 1,
    alpha: Number = 1,
) -> GraphValue:
    # The sum over batches is one longer contraction.
    _require_rank("addbmm", batch1=(batch1, 3), batch2=(batch2, 3))
    batches, rows, inner = batch1.shape
    a = ctx.emit("permute", [batch1], dims=[1, 0, 2])
    a = ctx.reshape(a, (rows, batches * inner))
    b = ctx.reshape(batch2, (batches * batch2.shape[1], batch2.shape[2]))
    return _accumulate(ctx, "addbmm", self, mm(ctx, a, b), beta, alpha)


@rule("addmv")
def addmv(
    ctx: LoweringContext,
    self: GraphValue,
    mat: GraphValue,
    vec: GraphValue,
    *,
    beta: Number = 1,
    alpha: Number = 1,
) -> GraphValue:
    return _accumulate(ctx, "addmv", self, mv(ctx, mat, vec), beta, alpha)


@rule("addr")
def addr(
    ctx: LoweringContext,
    self: GraphValue,
    vec1: GraphValue,
    vec2: GraphValue,
    *,
    beta: Number = 1,
    alpha: Number = 1,
) -> GraphValue:
    return _accumulate(ctx, "addr", self, outer(ctx, vec1, vec2), beta, alpha)


# --- products of whole tensors ---------------------------------------------------------------


@rule("inner")
def inner(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    if not self.ndim or not other.ndim:
        return ctx.emit("mul", [self, other])
    return tensordot(ctx, self, other, [self.ndim - 1], [other.ndim - 1])


@rule("tensordot")
def tensordot(
    ctx: LoweringContext,
    self: GraphValue,
    other: GraphValue,
    dims_self: Sequence[int],
    dims_other: Sequence[int],
) -> GraphValue:
    left = [normalize_dim(dim, self.ndim, "tensordot") for dim in dims_self]
    right = [normalize_dim(dim, other.ndim, "tensordot") for dim in dims_other]
    # A size of one stretches over the other's: the longer operand is summed beforehand.
    for a, b in zip(left, right, strict=True):
        if self.shape[a] == 1 != other.shape[b]:
            other = ctx.emit("reduce", [other], kind="sum", dims=[b], keepdim=True)
        elif other.shape[b] == 1 != self.shape[a]:
            self = ctx.emit("reduce", [self], kind="sum", dims=[a], keepdim=True)
    if [self.shape[dim] for dim in left] != [other.shape[dim] for dim in right]:
        raise ValueError(f"[tensordot] contracted sizes of {self.shape} and {other.shape} differ")
    free_left = [dim for dim in range(self.ndim) if dim not in left]
    free_right = [dim for dim in range(other.ndim) if dim not in right]
    rows = math.prod(self.shape[dim] for dim in free_left)
    columns = math.prod(other.shape[dim] for dim in free_right)
    depth = math.prod(self.shape[dim] for dim in left)
    lhs = ctx.reshape(_permute(ctx, self, free_left + left), (rows, depth))
    rhs = ctx.reshape(_permute(ctx, other, right + free_right), (depth, columns))
    shape = [self.shape[dim] for dim in free_left] + [other.shape[dim] for dim in free_right]
    return ctx.reshape(mm(ctx, lhs, rhs), shape)


def _permute(ctx: LoweringContext, value: GraphValue, dims: list[int]) -> GraphValue:
    return value if dims == list(range(value.ndim)) else ctx.emit("permute", [value], dims=dims)


@rule("kron")
def kron(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    rank = max(self.ndim, other.ndim)
    left = (1,) * (rank - self.ndim) + self.shape
    right = (1,) * (rank - other.ndim) + other.shape
    (x, y), result = promoted(ctx, self, other)
    x = ctx.reshape(x, [size for pair in zip(left, (1,) * rank, strict=True) for size in pair])
    y = ctx.reshape(y, [size for pair in zip((1,) * rank, right, strict=True) for size in pair])
    value = finish(ctx, Arith(ctx, x.dtype).mul(x, y), result)
    return ctx.reshape(value, [a * b for a, b in zip(left, right, strict=True)])


@rule("chain_matmul", "linalg_multi_dot")
def multi_dot(ctx: LoweringContext, tensors: Sequence[GraphValue]) -> GraphValue:
    result = tensors[0]
    for tensor in tensors[1:]:
        result = matmul(ctx, result, tensor)
    return result
