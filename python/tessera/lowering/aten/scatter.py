# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writing at indices: scatter and its reductions, index_put, index_add and theirs, masked_scatter.

`graph.scatter` writes along one dimension, an index for each element; an index that is the same
for whole rows is broadcast, which costs nothing. As with gather, several indices become one into
the dimensions they address, flattened, and an index out of its dimension one out of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.indexing import INDEX, as_index, clamped, flattened, unit_shape, wrapped
from tessera.lowering.aten.movement import permute_to, slice_along
from tessera.lowering.aten.movement_copy import slice_scatter
from tessera.lowering.aten.reduction import reduce as reduce_over
from tessera.lowering.aten.reduction_scan import cumsum
from tessera.lowering.aten.rules import (
    HALF,
    Arith,
    Number,
    Operand,
    as_bool,
    broadcast_shape,
    is_integral,
    normalize_dim,
    number,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

# --- building blocks -------------------------------------------------------------------------


def write(
    ctx: LoweringContext,
    kind: str,
    dest: GraphValue,
    dim: int,
    index: GraphValue,
    source: Operand,
) -> GraphValue:
    """`graph.scatter` of a source that broadcasts to the index's shape; the index has dest's
    sizes but along `dim`."""
    dtype = compute = dest.dtype
    if kind in ("sum", "prod"):
        if dtype == torch.bool:
            kind = {"sum": "max", "prod": "min"}[kind]
        elif dtype in HALF:
            compute = torch.float32
    given = source if isinstance(source, GraphValue) else number(ctx, source, dtype)
    given = ctx.broadcast(ctx.cast(given, compute), index.shape)
    result = ctx.emit("scatter", [ctx.cast(dest, compute), index, given], kind=kind, dim=dim)
    return ctx.cast(result, dtype)


def write_rows(
    ctx: LoweringContext,
    kind: str,
    dest: GraphValue,
    dim: int,
    index: GraphValue,
    source: Operand,
) -> GraphValue:
    """The same for an index vector that is meant for whole slices along `dim`."""
    shape = [*dest.shape[:dim], index.numel(), *dest.shape[dim + 1 :]]
    row = ctx.reshape(index, unit_shape(shape, dim))
    return write(ctx, kind, dest, dim, ctx.broadcast(row, shape), source)


def _vectors(ctx: LoweringContext, *values: GraphValue) -> tuple[GraphValue, ...]:
    """0-d tensors as vectors."""
    return tuple(value if value.ndim else ctx.reshape(value, (1,)) for value in values)


def _corner(ctx: LoweringContext, x: GraphValue, shape: Sequence[int]) -> GraphValue:
    """The first `shape` elements along each dimension."""
    for dim, size in enumerate(shape):
        x = slice_along(ctx, x, dim, 0, size)
    return x


def _with_corner(ctx: LoweringContext, x: GraphValue, corner: GraphValue) -> GraphValue:
    """`x` with its first elements along each dimension replaced."""
    for dim in range(x.ndim):
        if corner.shape[dim] != x.shape[dim]:
            part = _corner(ctx, x, [*corner.shape[:dim], *x.shape[dim:]])
            corner = _with_corner_along(ctx, part, corner, dim)
    return corner


def _with_corner_along(
    ctx: LoweringContext, x: GraphValue, corner: GraphValue, dim: int
) -> GraphValue:
    """`x`, whose sizes behind `dim` may be greater, cut to the corner's and joined with it."""
    shape = [*x.shape[: dim + 1], *corner.shape[dim + 1 :]]
    return slice_scatter(ctx, _corner(ctx, x, shape), corner, dim, 0, corner.shape[dim])


# --- one index for every element -------------------------------------------------------------


def scatter_elements(
    ctx: LoweringContext,
    kind: str,
    op: str,
    self: GraphValue,
    dim: int,
    index: GraphValue,
    source: Operand,
) -> GraphValue:
    """torch.scatter: the index may be smaller than `self`, the source larger than the index."""
    axis = normalize_dim(dim, self.ndim, op)
    dest, place = _vectors(ctx, self, as_index(ctx, op, index))
    if not place.numel():
        return self
    if place.ndim != dest.ndim:
        raise ValueError(f"[{op}] index {index.shape} and input {self.shape} differ in rank")
    if isinstance(source, GraphValue):
        (given,) = _vectors(ctx, source)
        source = _corner(ctx, given, place.shape)
    sizes = [*place.shape[:axis], dest.shape[axis], *place.shape[axis + 1 :]]
    if any(size > limit for size, limit in zip(sizes, dest.shape, strict=True)):
        raise ValueError(f"[{op}] index {index.shape} is larger than the input {self.shape}")
    written = write(ctx, kind, _corner(ctx, dest, sizes), axis, place, source)
    return ctx.reshape(_with_corner(ctx, dest, written), self.shape)


REDUCTIONS = {"add": "sum", "multiply": "prod"}


@rule("scatter.src", "scatter.value", "scatter.reduce", "scatter.value_reduce")
def scatter(
    ctx: LoweringContext,
    self: GraphValue,
    dim: int,
    index: GraphValue,
    src: Operand,
    *,
    reduce: str | None = None,
) -> GraphValue:
    if reduce is not None and reduce not in REDUCTIONS:
        raise ValueError(f"[scatter] reduce {reduce!r} is neither 'add' nor 'multiply'")
    kind = "none" if reduce is None else REDUCTIONS[reduce]
    return scatter_elements(ctx, kind, "scatter", self, dim, index, src)


@rule("scatter_add")
def scatter_add(
    ctx: LoweringContext, self: GraphValue, dim: int, index: GraphValue, src: GraphValue
) -> GraphValue:
    return scatter_elements(ctx, "sum", "scatter_add", self, dim, index, src)


def _identity(kind: str, dtype: torch.dtype) -> Number:
    """What leaves every element as it is."""
    if kind in ("sum", "mean"):
        return 0
    if kind == "prod":
        return 1
    if dtype == torch.bool:
        return kind == "amin"
    if dtype.is_floating_point:
        return -math.inf if kind == "amax" else math.inf
    info = torch.iinfo(dtype)
    return info.min if kind == "amax" else info.max


KINDS = {"sum": "sum", "mean": "sum", "prod": "prod", "amax": "max", "amin": "min"}


def _reduced(
    ctx: LoweringContext,
    op: str,
    reduce: str,
    include_self: bool,
    dest: GraphValue,
    dim: int,
    index: GraphValue,
    source: Operand,
) -> GraphValue:
    """Combines `source` into `dest` with one of torch's names for how."""
    if reduce not in KINDS:
        raise ValueError(f"[{op}] reduce {reduce!r} is none of {', '.join(KINDS)}")
    dtype = dest.dtype
    if dtype in HALF:
        dest = ctx.cast(dest, torch.float32)
        source = ctx.cast(source, torch.float32) if isinstance(source, GraphValue) else source
    start = dest
    if not include_self:
        start = write(ctx, "none", dest, dim, index, _identity(reduce, dest.dtype))
    total = write(ctx, KINDS[reduce], start, dim, index, source)
    if reduce == "mean":
        a = Arith(ctx, dest.dtype)
        held = ctx.broadcast(number(ctx, int(include_self), dest.dtype), dest.shape)
        count = a.maximum(write(ctx, "sum", held, dim, index, 1), 1)
        total = a.emit("floor_div" if is_integral(dtype) else "div", total, count)
    return ctx.cast(total, dtype)


@rule("scatter_reduce.two")
def scatter_reduce(
    ctx: LoweringContext,
    self: GraphValue,
    dim: int,
    index: GraphValue,
    src: GraphValue,
    reduce: str,
    *,
    include_self: bool = True,
) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "scatter_reduce")
    dest, place, source = _vectors(ctx, self, as_index(ctx, "scatter_reduce", index), src)
    if not place.numel():
        return self
    sizes = [*place.shape[:axis], dest.shape[axis], *place.shape[axis + 1 :]]
    source = _corner(ctx, source, place.shape)
    part = _corner(ctx, dest, sizes)
    written = _reduced(ctx, "scatter_reduce", reduce, include_self, part, axis, place, source)
    return ctx.reshape(_with_corner(ctx, dest, written), self.shape)


# --- one index for whole slices --------------------------------------------------------------


def _slices(
    ctx: LoweringContext,
    op: str,
    self: GraphValue,
    dim: int,
    index: GraphValue,
    source: GraphValue,
) -> tuple[GraphValue, int, GraphValue, GraphValue]:
    """Destination, dimension, index for each element and source of the index_* operators."""
    axis = normalize_dim(dim, self.ndim, op)
    if index.ndim > 1:
        raise ValueError(f"[{op}] index must be a vector, but has shape {index.shape}")
    dest, place, given = _vectors(ctx, self, as_index(ctx, op, index), source)
    shape = [*dest.shape[:axis], place.numel(), *dest.shape[axis + 1 :]]
    if given.numel() != math.prod(shape):
        raise ValueError(
            f"[{op}] source has shape {source.shape}, the slices of {self.shape} at "
            f"{place.numel()} places {tuple(shape)}"
        )
    row = ctx.reshape(place, unit_shape(shape, axis))
    return dest, axis, ctx.broadcast(row, shape), ctx.reshape(given, shape)


@rule("index_add")
def index_add(
    ctx: LoweringContext,
    self: GraphValue,
    dim: int,
    index: GraphValue,
    source: GraphValue,
    *,
    alpha: Number = 1,
) -> GraphValue:
    dest, axis, places, given = _slices(ctx, "index_add", self, dim, index, source)
    given = Arith(ctx, given.dtype).scale(given, alpha)
    return ctx.reshape(write(ctx, "sum", dest, axis, places, given), self.shape)


@rule("index_copy")
def index_copy(
    ctx: LoweringContext, self: GraphValue, dim: int, index: GraphValue, source: GraphValue
) -> GraphValue:
    dest, axis, places, given = _slices(ctx, "index_copy", self, dim, index, source)
    return ctx.reshape(write(ctx, "none", dest, axis, places, given), self.shape)


@rule("index_reduce")
def index_reduce(
    ctx: LoweringContext,
    self: GraphValue,
    dim: int,
    index: GraphValue,
    source: GraphValue,
    reduce: str,
    *,
    include_self: bool = True,
) -> GraphValue:
    dest, axis, places, given = _slices(ctx, "index_reduce", self, dim, index, source)
    result = _reduced(ctx, "index_reduce", reduce, include_self, dest, axis, places, given)
    return ctx.reshape(result, self.shape)


@rule("index_fill.int_Scalar", "index_fill.int_Tensor")
def index_fill(
    ctx: LoweringContext, self: GraphValue, dim: int, index: GraphValue, value: Operand
) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "index_fill")
    dest, place = _vectors(ctx, self, as_index(ctx, "index_fill", index))
    place = wrapped(ctx, place, dest.shape[axis])
    return ctx.reshape(write_rows(ctx, "none", dest, axis, place, value), self.shape)


@rule("put")
def put(
    ctx: LoweringContext,
    self: GraphValue,
    index: GraphValue,
    source: GraphValue,
    accumulate: bool = False,
) -> GraphValue:
    flat = ctx.reshape(self, (self.numel(),))
    place = wrapped(ctx, as_index(ctx, "put", index), self.numel())
    kind = "sum" if accumulate else "none"
    place, given = (ctx.reshape(value, (value.numel(),)) for value in (place, source))
    return ctx.reshape(write(ctx, kind, flat, 0, place, given), self.shape)


# --- advanced indexing -----------------------------------------------------------------------


@rule("index_put", "_unsafe_index_put")
def index_put(
    ctx: LoweringContext,
    self: GraphValue,
    indices: Sequence[GraphValue | None],
    values: GraphValue,
    accumulate: bool = False,
) -> GraphValue:
    given = [index for index in indices if index is not None]
    values = ctx.cast(values, self.dtype)
    if any(index.dtype in (torch.bool, torch.uint8) for index in given):
        return _put_at_mask(ctx, self, indices, values, accumulate)
    if not given:
        a = Arith(ctx, self.dtype)
        values = ctx.broadcast(values, self.shape)
        return a.add(self, values) if accumulate else values
    dims = [dim for dim, index in enumerate(indices) if index is not None]
    places = [
        wrapped(ctx, as_index(ctx, "index_put", index), self.shape[dim])
        for dim, index in zip(dims, given, strict=True)
    ]
    common = broadcast_shape(*(place.shape for place in places))
    # torch's rule: the indexed dimensions stay in place when they are neighbours, else move first.
    rest = [dim for dim in range(self.ndim) if dim not in dims]
    adjacent = dims == list(range(dims[0], dims[0] + len(dims)))
    order = list(range(self.ndim)) if adjacent else dims + rest
    first = dims[0] if adjacent else 0
    moved = permute_to(ctx, self, order)
    dest, place = flattened(ctx, moved, first, places)
    shape = [*moved.shape[:first], *common, *moved.shape[first + len(dims) :]]
    rows = [*moved.shape[:first], math.prod(common), *moved.shape[first + len(dims) :]]
    source = ctx.reshape(ctx.broadcast(values, shape), rows)
    place = ctx.reshape(ctx.broadcast(place, common), (math.prod(common),))
    written = write_rows(ctx, "sum" if accumulate else "none", dest, first, place, source)
    back = [order.index(dim) for dim in range(self.ndim)]
    return permute_to(ctx, ctx.reshape(written, moved.shape), back)


def _put_at_mask(
    ctx: LoweringContext,
    self: GraphValue,
    indices: Sequence[GraphValue | None],
    values: GraphValue,
    accumulate: bool,
) -> GraphValue:
    """x[mask] = values: a choice, element by element, where the values are the same for all
    chosen places; else they are taken in order."""
    given = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    if len(given) != 1:
        raise Unsupported(
            "indexing by a mask together with other indices is not compiled",
            "use torch.where, or write in two steps",
        )
    first, mask = given[0]
    mask = as_bool(ctx, mask)
    sizes = self.shape[first : first + mask.ndim]
    if mask.shape != sizes:
        raise IndexError(
            f"[index_put] mask {mask.shape} does not fit the dimensions {sizes} of {self.shape}"
        )
    after = self.shape[first + mask.ndim :]
    chosen = ctx.reshape(mask, (*mask.shape, *[1] * len(after)))
    # The mask's dimensions are one in the values.
    rank = first + 1 + len(after)
    shape = (*[1] * (rank - values.ndim), *values.shape)
    if shape[first] == 1:
        spread = [*shape[:first], *[1] * mask.ndim, *shape[first + 1 :]]
        source = ctx.reshape(values, spread)
    else:
        rows = ctx.reshape(values, shape)
        places = _order_of(ctx, mask, shape[first])
        if not shape[first]:
            # There is a row to look at where nothing is chosen.
            shape = (*shape[:first], 1, *shape[first + 1 :])
            rows = ctx.broadcast(number(ctx, 0, self.dtype), shape)
        source = ctx.emit("gather", [rows, places], dim=first)
    source = ctx.broadcast(source, self.shape)
    a = Arith(ctx, self.dtype)
    return a.select(chosen, a.add(self, source) if accumulate else source, self)


def _order_of(ctx: LoweringContext, mask: GraphValue, count: int) -> GraphValue:
    """At each true element how many came before it, 0 elsewhere; out of range, hence an error,
    when they are not `count`."""
    a = Arith(ctx, INDEX)
    flat = ctx.cast(ctx.reshape(mask, (mask.numel(),)), INDEX)
    before = ctx.reshape(a.sub(cumsum(ctx, flat, 0), 1), mask.shape)
    total = reduce_over(ctx, "sum", flat, [0], False)
    place = a.select(mask, before, 0)
    return a.select(ctx.broadcast(a.compare("eq", total, count), mask.shape), place, -1)


@rule("_unsafe_masked_index_put_accumulate")
def unsafe_masked_index_put_accumulate(
    ctx: LoweringContext,
    self: GraphValue,
    mask: GraphValue,
    indices: Sequence[GraphValue | None],
    values: GraphValue,
) -> GraphValue:
    if not self.numel():
        return self
    # Where the mask, which goes with the values, forbids it, an index may be anything.
    safe = clamped(ctx, "index_put", indices, self.shape)
    kept = Arith(ctx, values.dtype).select(mask, values, 0)
    return index_put(ctx, self, safe, kept, accumulate=True)


@rule("masked_scatter")
def masked_scatter(
    ctx: LoweringContext, self: GraphValue, mask: GraphValue, source: GraphValue
) -> GraphValue:
    shape = broadcast_shape(self.shape, mask.shape)
    dest, chosen = ctx.broadcast(self, shape), ctx.broadcast(mask, shape)
    a = Arith(ctx, INDEX)
    flat = ctx.cast(ctx.reshape(chosen, (chosen.numel(),)), INDEX)
    # Element 0 is for the places nobody chose: there may be no element otherwise.
    order = ctx.reshape(cumsum(ctx, flat, 0), shape)
    given = ctx.reshape(ctx.cast(source, dest.dtype), (source.numel(),))
    low = ctx.emit("pad", [given, number(ctx, 0, dest.dtype)], low=[1], high=[0])
    taken = ctx.emit("gather", [low, a.select(chosen, order, 0)], dim=0)
    return Arith(ctx, dest.dtype).select(chosen, taken, dest)


# --- into views ------------------------------------------------------------------------------


@rule("diagonal_scatter")
def diagonal_scatter(
    ctx: LoweringContext,
    self: GraphValue,
    src: GraphValue,
    offset: int = 0,
    dim1: int = 0,
    dim2: int = 1,
) -> GraphValue:
    first = normalize_dim(dim1, self.ndim, "diagonal_scatter")
    second = normalize_dim(dim2, self.ndim, "diagonal_scatter")
    if first == second:
        raise ValueError(f"[diagonal_scatter] dim1 {dim1} and dim2 {dim2} are the same dimension")
    order = [dim for dim in range(self.ndim) if dim not in (first, second)] + [first, second]
    x = permute_to(ctx, self, order)
    rows, columns = x.shape[-2:]
    top, left = max(-offset, 0), max(offset, 0)
    length = max(min(rows - top, columns - left), 0)
    if src.shape != (*x.shape[:-2], length):
        raise ValueError(
            f"[diagonal_scatter] src has shape {src.shape}, the diagonal {(*x.shape[:-2], length)}"
        )
    if not length:
        return self
    # In row-major order the diagonal is every (columns + 1)-th element.
    flat = ctx.reshape(x, (*x.shape[:-2], rows * columns))
    start = top * columns + left
    limit = start + (length - 1) * (columns + 1) + 1
    written = slice_scatter(ctx, flat, src, flat.ndim - 1, start, limit, columns + 1)
    back = [order.index(dim) for dim in range(self.ndim)]
    return permute_to(ctx, ctx.reshape(written, x.shape), back)
