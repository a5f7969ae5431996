# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Source: tensors made from nothing but sizes and numbers.

A tensor of one number is a broadcast constant, a range is `graph.iota`: neither takes memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.rules import Arith, Number, number, rule, sizes
from tessera.lowering.context import GraphValue, LoweringContext, NumberValue
from tessera.lowering.registry import Unsupported


def check_factory(layout: object = None, device: object = None, **_: object) -> None:
    """Refuses layouts and devices that a compiled program does not produce."""
    if layout not in (None, torch.strided):
        raise Unsupported(f"layout {layout} is not compiled", "use strided tensors", code="layout")
    if device is not None and torch.device(str(device)).type not in ("cpu",):
        raise Unsupported(
            f"a tensor is made on {device}", "convert the model on the CPU", code="device"
        )


def filled(
    ctx: LoweringContext, shape: Sequence[object], value: Number, dtype: torch.dtype | None
) -> GraphValue:
    """A tensor of one number."""
    if dtype is None:
        dtype = ctx.result_type(value)
    ctx.require_supported(dtype)
    return ctx.broadcast(number(ctx, value, dtype), sizes(shape, "full"))


def _default(dtype: torch.dtype | None) -> torch.dtype:
    return torch.get_default_dtype() if dtype is None else dtype


# --- one number ------------------------------------------------------------------------------


@rule("full")
def full(
    ctx: LoweringContext,
    size: Sequence[int],
    fill_value: Number,
    *,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    return filled(ctx, size, fill_value, dtype)


@rule("zeros", "empty.memory_format", "empty_permuted", "empty_strided")
def zeros(
    ctx: LoweringContext,
    size: Sequence[int],
    layout_only: object = None,
    *,
    dtype: torch.dtype | None = None,
    memory_format: object = None,
    **options: object,
) -> GraphValue:
    # What `empty` holds is anybody's choice; strides are the compiler's.
    check_factory(**options)
    return filled(ctx, size, 0, _default(dtype))


@rule("ones")
def ones(
    ctx: LoweringContext,
    size: Sequence[int],
    *,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    return filled(ctx, size, 1, _default(dtype))


@rule("item", "_local_scalar_dense")
def item(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    # As wide as Python's numbers are.
    wide = torch.float64 if self.dtype.is_floating_point else torch.int64
    value = ctx.reshape(self, ())
    value = value if self.dtype == torch.bool else ctx.cast(value, wide)
    return NumberValue(ctx, value.handle)


@rule("scalar_tensor")
def scalar_tensor(
    ctx: LoweringContext, s: Number, *, dtype: torch.dtype | None = None, **options: object
) -> GraphValue:
    check_factory(**options)
    return filled(ctx, (), s, _default(dtype))


def _register_like(name: str, fixed: Number) -> None:
    @rule(f"{name}_like")
    def like(
        ctx: LoweringContext,
        self: GraphValue,
        *,
        dtype: torch.dtype | None = None,
        memory_format: object = None,
        **options: object,
    ) -> GraphValue:
        check_factory(**options)
        return filled(ctx, self.shape, fixed, dtype or self.dtype)

    @rule(f"new_{name}")
    def new(
        ctx: LoweringContext,
        self: GraphValue,
        size: Sequence[int],
        *,
        dtype: torch.dtype | None = None,
        **options: object,
    ) -> GraphValue:
        check_factory(**options)
        return filled(ctx, size, fixed, dtype or self.dtype)


for _name, _fixed in (("zeros", 0), ("ones", 1), ("empty", 0)):
    _register_like(_name, _fixed)


@rule("full_like")
def full_like(
    ctx: LoweringContext,
    self: GraphValue,
    fill_value: Number,
    *,
    dtype: torch.dtype | None = None,
    memory_format: object = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    return filled(ctx, self.shape, fill_value, dtype or self.dtype)


@rule("new_full")
def new_full(
    ctx: LoweringContext,
    self: GraphValue,
    size: Sequence[int],
    fill_value: Number,
    *,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    return filled(ctx, size, fill_value, dtype or self.dtype)


@rule("new_empty_strided")
def new_empty_strided(
    ctx: LoweringContext,
    self: GraphValue,
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    return filled(ctx, size, 0, dtype or self.dtype)


# --- ranges ----------------------------------------------------------------------------------


def positions(ctx: LoweringContext, shape: Sequence[int], dim: int) -> GraphValue:
    """int64 positions along `dim`."""
    return ctx.emit("iota", [], shape=list(shape), dim=dim, start=0, step=1, dtype=torch.int64)


def _range(
    ctx: LoweringContext, start: Number, end: Number, step: Number, dtype: torch.dtype | None
) -> GraphValue:
    bounds = (start, end, step)
    if step == 0 or any(isinstance(bound, float) and not math.isfinite(bound) for bound in bounds):
        raise ValueError(f"[arange] start, end and step are {bounds}")
    if (end - start) * (1 if step > 0 else -1) < 0:
        raise ValueError(f"[arange] a step of {step} does not lead from {start} to {end}")
    exact = all(isinstance(bound, int) for bound in bounds)
    if dtype is None:
        dtype = torch.int64 if exact else torch.get_default_dtype()
    if dtype == torch.bool:
        raise TypeError("[arange] is not defined for torch.bool")
    if not dtype.is_floating_point:
        start, end, step = int(start), int(end), int(step)
        exact = True
    count = -((start - end) // step) if exact else math.ceil((end - start) / step)
    count = max(int(count), 0)
    if dtype.is_floating_point:
        start, step = float(start), float(step)
    values = ctx.emit("iota", [], shape=[count], dim=0, start=start, step=step, dtype=dtype)
    ctx.ranges[values.handle.id] = (start, step)
    return values


@rule("arange")
def arange(
    ctx: LoweringContext, end: Number, *, dtype: torch.dtype | None = None, **options: object
) -> GraphValue:
    check_factory(**options)
    return _range(ctx, 0, end, 1, dtype)


@rule("arange.start", "arange.start_step")
def arange_start(
    ctx: LoweringContext,
    start: Number,
    end: Number,
    step: Number = 1,
    *,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    return _range(ctx, start, end, step, dtype)


@rule("linspace")
def linspace(
    ctx: LoweringContext,
    start: Number,
    end: Number,
    steps: int,
    *,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    result = _default(dtype)
    # Integers are rounded from float64, as torch does.
    compute = torch.float32 if result.is_floating_point else torch.float64
    compute = torch.float64 if result == torch.float64 else compute
    a = Arith(ctx, compute)
    if steps < 2:
        return ctx.cast(filled(ctx, [steps], float(start), compute), result)
    step = (float(end) - float(start)) / (steps - 1)
    # Counted from both ends, so that both are exact.
    index = ctx.emit("iota", [], shape=[steps], dim=0, start=0.0, step=1.0, dtype=compute)
    early = a.add(a.mul(index, step), float(start))
    late = a.sub(float(end), a.mul(a.sub(float(steps - 1), index), step))
    values = a.select(a.compare("lt", index, float(steps // 2)), early, late)
    return ctx.cast(values, result)


@rule("eye", "eye.m")
def eye(
    ctx: LoweringContext,
    n: int,
    m: int | None = None,
    *,
    dtype: torch.dtype | None = None,
    **options: object,
) -> GraphValue:
    check_factory(**options)
    rows, columns = sizes([n, n if m is None else m], "eye")
    row, column = positions(ctx, [rows, 1], 0), positions(ctx, [1, columns], 1)
    return ctx.cast(ctx.emit("compare", [row, column], predicate="eq"), _default(dtype))


# --- triangles -------------------------------------------------------------------------------


def _triangle(ctx: LoweringContext, x: GraphValue, diagonal: int, predicate: str) -> GraphValue:
    if x.ndim < 2:
        raise ValueError(f"[tril/triu] needs a matrix, but got shape {x.shape}")
    rows, columns = x.shape[-2:]
    row = positions(ctx, [rows, 1], 0)
    if diagonal:
        row = ctx.emit("add", [row, ctx.constant(diagonal, torch.int64)])
    kept = ctx.emit("compare", [positions(ctx, [1, columns], 1), row], predicate=predicate)
    return ctx.emit("select", [kept, x, number(ctx, 0, x.dtype)])


@rule("tril")
def tril(ctx: LoweringContext, self: GraphValue, diagonal: int = 0) -> GraphValue:
    return _triangle(ctx, self, diagonal, "le")


@rule("triu")
def triu(ctx: LoweringContext, self: GraphValue, diagonal: int = 0) -> GraphValue:
    return _triangle(ctx, self, diagonal, "ge")


@rule("diag_embed")
def diag_embed(
    ctx: LoweringContext, self: GraphValue, offset: int = 0, dim1: int = -2, dim2: int = -1
) -> GraphValue:
    rank = self.ndim + 1
    first, second = dim1 % rank, dim2 % rank
    size = self.shape[-1] + abs(offset)
    # The vector stands in the column (or row) it is spread over, and counts on the diagonal only.
    before, after = (offset, 0) if offset > 0 else (0, -offset)
    padded = self
    if offset:
        low, high = [0] * self.ndim, [0] * self.ndim
        low[-1], high[-1] = before, after
        padded = ctx.emit("pad", [self, number(ctx, 0, self.dtype)], low=low, high=high)
    spread = ctx.reshape(padded, (*self.shape[:-1], 1, size))
    row, column = positions(ctx, [size, 1], 0), positions(ctx, [1, size], 1)
    if offset:
        row = ctx.emit("add", [row, ctx.constant(offset, torch.int64)])
    on_diagonal = ctx.emit("compare", [row, column], predicate="eq")
    value = ctx.emit("select", [on_diagonal, spread, number(ctx, 0, self.dtype)])
    rest = iter(range(rank - 2))
    order = [
        rank - 2 if dim == first else rank - 1 if dim == second else next(rest)
        for dim in range(rank)
    ]
    return value if order == list(range(rank)) else ctx.emit("permute", [value], dims=order)
