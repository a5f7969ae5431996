# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Indexing: embedding, index_select, gather and advanced indexing by integers.

`graph.gather` reads along one dimension and reports an index out of range when the program runs.
Indexing along several dimensions becomes one index into the flattened ones; an index that leaves
its own dimension is turned into one that leaves the flattened range, so that it is still caught.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tessera.lowering.aten.creation import positions
from tessera.lowering.aten.movement import permute_to, remove_dim, select, slice_along
from tessera.lowering.aten.reduction_scan import cumsum
from tessera.lowering.aten.rules import (
    Arith,
    Number,
    both,
    broadcast_shape,
    is_integral,
    normalize_dim,
    number,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

INDEX = torch.int64


def as_index(ctx: LoweringContext, op: str, index: GraphValue) -> GraphValue:
    """An index as int64; anything but integers is refused."""
    if not is_integral(index.dtype) or index.dtype == torch.bool:
        raise TypeError(f"[{op}] an index must be of an integer dtype, but is {index.dtype}")
    return ctx.cast(index, INDEX)


def wrapped(ctx: LoweringContext, index: GraphValue, size: int) -> GraphValue:
    """Negative positions counted from the end."""
    a = Arith(ctx, INDEX)
    return a.select(a.compare("lt", index, 0), a.add(index, size), index)


def _inside(ctx: LoweringContext, index: GraphValue, size: int) -> GraphValue:
    a = Arith(ctx, INDEX)
    return both(ctx, a.compare("ge", index, 0), a.compare("lt", index, size))


def clamped(
    ctx: LoweringContext, op: str, indices: Sequence[GraphValue | None], shape: Sequence[int]
) -> list[GraphValue | None]:
    """Indices of dimensions of `shape`, those outside moved to the nearest end."""
    a = Arith(ctx, INDEX)
    return [
        None if index is None else a.minimum(a.maximum(as_index(ctx, op, index), -size), size - 1)
        for index, size in zip(indices, shape, strict=False)
    ]


def _gather(ctx: LoweringContext, source: GraphValue, index: GraphValue, dim: int) -> GraphValue:
    return ctx.emit("gather", [source, index], dim=dim)


@rule("embedding")
def embedding(
    ctx: LoweringContext,
    weight: GraphValue,
    indices: GraphValue,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> GraphValue:
    if weight.ndim != 2:
        raise ValueError(f"[embedding] weight must be a matrix, but has shape {weight.shape}")
    return _gather(ctx, weight, as_index(ctx, "embedding", indices), 0)


@rule("index_select")
def index_select(ctx: LoweringContext, self: GraphValue, dim: int, index: GraphValue) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "index_select")
    if index.ndim > 1:
        raise ValueError(f"[index_select] index must be a vector, but has shape {index.shape}")
    index = ctx.reshape(as_index(ctx, "index_select", index), (index.numel(),))
    if not self.ndim:
        chosen = _gather(ctx, ctx.reshape(self, (1,)), index, 0)
        return ctx.reshape(chosen, ())
    return _gather(ctx, self, index, axis)


@rule("select.int", "select_copy.int")
def select_int(
    ctx: LoweringContext, self: GraphValue, dim: int, index: int | GraphValue
) -> GraphValue:
    if not isinstance(index, GraphValue):
        return select(ctx, self, dim, index)
    # A number the program has read from a tensor.
    axis = normalize_dim(dim, self.ndim, "select")
    at = wrapped(ctx, ctx.reshape(as_index(ctx, "select", index), (1,)), self.shape[axis])
    return remove_dim(ctx, _gather(ctx, self, at, axis), axis)


@rule("take")
def take(ctx: LoweringContext, self: GraphValue, index: GraphValue) -> GraphValue:
    flat = ctx.reshape(self, (self.numel(),))
    index = wrapped(ctx, as_index(ctx, "take", index), self.numel())
    return _gather(ctx, flat, index, 0)


@rule("repeat_interleave.self_Tensor")
def repeat_interleave(
    ctx: LoweringContext,
    self: GraphValue,
    repeats: GraphValue,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> GraphValue:
    if dim is None:
        self, dim = ctx.reshape(self, (self.numel(),)), 0
    axis = normalize_dim(dim, self.ndim, "repeat_interleave")
    self = ctx.reshape(self, self.shape or (1,))
    repeats = ctx.broadcast(ctx.reshape(repeats, (repeats.numel(),)), (self.shape[axis],))
    return _gather(ctx, self, _repeated(ctx, repeats, output_size), axis)


@rule("repeat_interleave.Tensor")
def repeat_positions(
    ctx: LoweringContext, repeats: GraphValue, *, output_size: int | None = None
) -> GraphValue:
    # Reading places by their number finds those out of range.
    found = as_index(ctx, "repeat_interleave", _repeated(ctx, repeats, output_size))
    if not repeats.numel() or not output_size:
        return ctx.cast(found, repeats.dtype)
    return ctx.cast(_gather(ctx, positions(ctx, repeats.shape, 0), found, 0), repeats.dtype)


def _repeated(ctx: LoweringContext, repeats: GraphValue, output_size: int | None) -> GraphValue:
    """Every position as often as `repeats` says, -1 where they do not come to the size."""
    if output_size is None:
        raise Unsupported(
            "[repeat_interleave] the size of the result depends on data",
            "give output_size=",
            code="dynamic-shape",
        )
    dtype, count = repeats.dtype, repeats.shape[0]
    ends = cumsum(ctx, as_index(ctx, "repeat_interleave", repeats), 0)
    place = positions(ctx, (output_size,), 0)
    if not count or not output_size:
        return ctx.cast(place, dtype)
    index = Arith(ctx, INDEX)
    total = slice_along(ctx, ends, 0, count - 1, count)
    fits = ctx.broadcast(index.compare("eq", total, output_size), place.shape)
    found = ctx.emit("search_sorted", [ends, place], right=True)
    return ctx.cast(index.select(fits, found, -1), dtype)


# --- one index for every element -------------------------------------------------------------


@rule("gather")
def gather(
    ctx: LoweringContext,
    self: GraphValue,
    dim: int,
    index: GraphValue,
    *,
    sparse_grad: bool = False,
) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "gather")
    index = as_index(ctx, "gather", index)
    if not self.ndim or not index.ndim:
        shape = index.shape
        source = ctx.reshape(self, (self.numel(),))
        return ctx.reshape(_gather(ctx, source, ctx.reshape(index, (index.numel(),)), 0), shape)
    if not index.numel():
        return ctx.broadcast(number(ctx, 0, self.dtype), index.shape)
    if index.ndim != self.ndim:
        raise ValueError(f"[gather] index {index.shape} and input {self.shape} differ in rank")
    parts = [
        index if place == axis else positions(ctx, unit_shape(index.shape, place), place)
        for place in range(self.ndim)
    ]
    return _gather(ctx, *flattened(ctx, self, 0, parts), 0)


def unit_shape(shape: Sequence[int], dim: int) -> list[int]:
    """`shape` along `dim`, one elsewhere."""
    return [size if place == dim else 1 for place, size in enumerate(shape)]


@rule("take_along_dim")
def take_along_dim(
    ctx: LoweringContext, self: GraphValue, indices: GraphValue, dim: int | None = None
) -> GraphValue:
    if dim is None:
        flat = ctx.reshape(self, (self.numel(),))
        chosen = ctx.reshape(as_index(ctx, "take_along_dim", indices), (indices.numel(),))
        return gather(ctx, flat, 0, wrapped(ctx, chosen, self.numel()))
    axis = normalize_dim(dim, self.ndim, "take_along_dim")
    left, right = list(self.shape), list(indices.shape)
    left[axis] = right[axis] = 1
    common = list(broadcast_shape(left, right))
    source = [*common[:axis], self.shape[axis], *common[axis + 1 :]]
    wanted = [*common[:axis], indices.shape[axis], *common[axis + 1 :]]
    index = wrapped(ctx, as_index(ctx, "take_along_dim", indices), self.shape[axis])
    return gather(ctx, ctx.broadcast(self, source), axis, ctx.broadcast(index, wanted))


def flattened(
    ctx: LoweringContext, source: GraphValue, first: int, indices: Sequence[GraphValue]
) -> tuple[GraphValue, GraphValue]:
    """The source with the dimensions from `first` on that `indices` address joined into one, and
    the joined index; the latter is -1, hence an error, where an index leaves its dimension."""
    a = Arith(ctx, INDEX)
    sizes = source.shape[first : first + len(indices)]
    linear: GraphValue | None = None
    valid: GraphValue | None = None
    stride = 1
    for index, size in zip(reversed(indices), reversed(sizes), strict=True):
        inside = _inside(ctx, index, size)
        valid = inside if valid is None else both(ctx, valid, inside)
        scaled = a.scale(index, stride)
        linear = scaled if linear is None else a.add(linear, scaled)
        stride *= size
    assert linear is not None
    assert valid is not None
    joined = (*source.shape[:first], stride, *source.shape[first + len(indices) :])
    return ctx.reshape(source, joined), a.select(valid, linear, -1)


# --- advanced indexing -----------------------------------------------------------------------


@rule("index.Tensor", "_unsafe_index.Tensor")
def index_tensor(
    ctx: LoweringContext, self: GraphValue, indices: Sequence[GraphValue | None]
) -> GraphValue:
    given: dict[int, GraphValue] = {}
    for place, index in enumerate(indices):
        if index is None:
            continue
        if index.dtype in (torch.bool, torch.uint8):
            raise Unsupported(
                "indexing by a bool mask has a result whose size depends on the data",
                "use torch.where or multiply by the mask",
                code="data-dependent-shape",
            )
        given[place] = wrapped(ctx, as_index(ctx, "index", index), self.shape[place])
    if not given:
        return self
    dims = sorted(given)
    if len(dims) == 1:
        return _gather(ctx, self, given[dims[0]], dims[0])
    # torch's rule: the indexed dimensions stay in place when they are neighbours, else move first.
    adjacent = dims == list(range(dims[0], dims[0] + len(dims)))
    first = dims[0] if adjacent else 0
    if not adjacent:
        rest = [dim for dim in range(self.ndim) if dim not in given]
        self = permute_to(ctx, self, dims + rest)
    source, joined = flattened(ctx, self, first, [given[dim] for dim in dims])
    return _gather(ctx, source, joined, first)


@rule("unfold")
def unfold(
    ctx: LoweringContext, self: GraphValue, dimension: int, size: int, step: int
) -> GraphValue:
    axis = normalize_dim(dimension, self.ndim, "unfold")
    if not self.ndim:
        return ctx.reshape(self, (size,))
    if size > self.shape[axis] or size < 0 or step < 1:
        raise ValueError(f"[unfold] size {size} and step {step} do not fit {self.shape}")
    count = (self.shape[axis] - size) // step + 1
    a = Arith(ctx, INDEX)
    starts = a.scale(positions(ctx, [count, 1], 0), step)
    windows = _gather(ctx, self, a.add(starts, positions(ctx, [1, size], 1)), axis)
    order = [dim for dim in range(windows.ndim) if dim != axis + 1]
    return permute_to(ctx, windows, [*order, axis + 1])


@rule("one_hot")
def one_hot(ctx: LoweringContext, self: GraphValue, num_classes: int = -1) -> GraphValue:
    if num_classes < 0:
        raise Unsupported(
            "one_hot without num_classes has a result whose size depends on the data",
            "give num_classes",
            code="data-dependent-shape",
        )
    column = ctx.reshape(as_index(ctx, "one_hot", self), (*self.shape, 1))
    return ctx.cast(
        ctx.emit("compare", [column, positions(ctx, [num_classes], 0)], predicate="eq"), INDEX
    )


@rule("_unsafe_masked_index")
def unsafe_masked_index(
    ctx: LoweringContext,
    self: GraphValue,
    mask: GraphValue,
    indices: Sequence[GraphValue | None],
    fill: Number,
) -> GraphValue:
    if 0 in self.shape:
        raise Unsupported("masked indexing of a tensor without elements is not compiled")
    # Where the mask forbids it, an index may be anything.
    chosen = index_tensor(ctx, self, clamped(ctx, "index", indices, self.shape))
    return Arith(ctx, self.dtype).select(mask, chosen, fill)


@rule("isin.Tensor_Tensor")
def isin(
    ctx: LoweringContext,
    elements: GraphValue,
    test_elements: GraphValue,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> GraphValue:
    x, y = ctx.promote(elements, test_elements)
    column = ctx.reshape(x, (x.numel(), 1))
    row = ctx.reshape(y, (1, y.numel()))
    same = ctx.emit("compare", [column, row], predicate="eq")
    found = ctx.emit("reduce", [same], kind="any", dims=[1], keepdim=False)
    found = ctx.reshape(found, elements.shape)
    return ctx.emit("bitwise_not", [found]) if invert else found
