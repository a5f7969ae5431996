# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions over pieces whose lengths are data: segment_reduce, embedding_bag.

Which piece an element is in follows from a search in where the pieces begin or end; the elements
are then combined into it.
"""

from __future__ import annotations

import math

import torch

from tessera.lowering.aten.creation import positions
from tessera.lowering.aten.indexing import INDEX, as_index
from tessera.lowering.aten.movement import insert_dim, slice_along
from tessera.lowering.aten.reduction import vector_norm
from tessera.lowering.aten.reduction_scan import cumsum
from tessera.lowering.aten.rules import (
    Arith,
    Number,
    both,
    finish,
    node_rule,
    normalize_dim,
    number,
    opmath,
    rule,
)
from tessera.lowering.aten.scatter import write, write_rows
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

#: What a piece without elements gives, and how its elements combine.
SEGMENTS: dict[str, tuple[float, str]] = {
    "sum": (0.0, "sum"),
    "mean": (0.0, "sum"),
    "prod": (1.0, "prod"),
    "max": (-math.inf, "max"),
    "min": (math.inf, "min"),
}


@rule("segment_reduce")
def segment_reduce(
    ctx: LoweringContext,
    data: GraphValue,
    reduce: str,
    *,
    lengths: GraphValue | None = None,
    indices: GraphValue | None = None,
    offsets: GraphValue | None = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: Number | None = None,
) -> GraphValue:
    if reduce not in SEGMENTS:
        raise ValueError(f"[segment_reduce] reduce {reduce!r} is none of {', '.join(SEGMENTS)}")
    if indices is not None:
        raise Unsupported("segment_reduce by indices is not compiled", "give lengths or offsets")
    dim = normalize_dim(axis, data.ndim, "segment_reduce")
    length, end = _segments(ctx, lengths, offsets)
    if length.ndim != dim + 1 or length.shape[:dim] != data.shape[:dim]:
        raise ValueError(
            f"[segment_reduce] lengths {length.shape} do not fit axis {axis} of {data.shape}"
        )
    size, count = data.shape[dim], length.shape[dim]
    index = Arith(ctx, INDEX)
    place = ctx.broadcast(positions(ctx, (size,), 0), (*data.shape[:dim], size))
    if count and size:
        place = ctx.emit("search_sorted", [end, place], right=True)
        if not unsafe:
            # Out of range, hence an error, where the lengths are not those of the data.
            total = slice_along(ctx, end, dim, count - 1, count)
            fits = ctx.broadcast(index.compare("eq", total, size), place.shape)
            place = index.select(fits, place, -1)
    for _ in data.shape[dim + 1 :]:
        place = insert_dim(ctx, place, place.ndim)
    a = Arith(ctx, opmath(data.dtype))
    start, kind = SEGMENTS[reduce]
    shape = [*data.shape[:dim], count, *data.shape[dim + 1 :]]
    # Elements behind the last piece, which only `unsafe` allows, go into one that nobody reads.
    room = [*data.shape[:dim], count + int(unsafe), *data.shape[dim + 1 :]]
    dest = ctx.broadcast(number(ctx, start if initial is None else initial, a.dtype), room)
    result = write(ctx, kind, dest, dim, ctx.broadcast(place, data.shape), ctx.cast(data, a.dtype))
    result = slice_along(ctx, result, dim, 0, count)
    if reduce == "mean":
        held = ctx.cast(ctx.reshape(length, (*length.shape, *[1] * (data.ndim - dim - 1))), a.dtype)
        empty = ctx.broadcast(a.compare("eq", held, 0.0), shape)
        mean = a.div(result, a.maximum(held, 1.0))
        result = a.select(empty, math.nan if initial is None else mean, mean)
    return finish(ctx, result, data.dtype)


def _segments(
    ctx: LoweringContext, lengths: GraphValue | None, offsets: GraphValue | None
) -> tuple[GraphValue, GraphValue]:
    """The pieces' lengths, and where each ends."""
    if lengths is not None:
        length = as_index(ctx, "segment_reduce", lengths)
        return length, cumsum(ctx, length, length.ndim - 1)
    if offsets is None:
        raise ValueError("[segment_reduce] needs lengths or offsets")
    bounds = as_index(ctx, "segment_reduce", offsets)
    last = bounds.ndim - 1
    end = slice_along(ctx, bounds, last, 1, bounds.shape[last])
    begin = slice_along(ctx, bounds, last, 0, bounds.shape[last] - 1)
    return Arith(ctx, INDEX).sub(end, begin), end


# --- bags ------------------------------------------------------------------------------------

SUM, MEAN, MAX = 0, 1, 2


@node_rule("embedding_bag.padding_idx")
def embedding_bag_padded(
    ctx: LoweringContext,
    used: frozenset[int],
    weight: GraphValue,
    indices: GraphValue,
    offsets: GraphValue,
    scale_grad_by_freq: bool,
    mode: int,
    sparse: bool,
    per_sample_weights: GraphValue | None,
    include_last_offset: bool,
    padding_idx: int | None,
) -> tuple[GraphValue | None, ...]:
    rows = weight.shape[0]
    padding = -1 if padding_idx is None else padding_idx % max(rows, 1)
    return embedding_bag(
        ctx,
        used,
        weight,
        indices,
        offsets,
        scale_grad_by_freq,
        mode,
        sparse,
        per_sample_weights,
        include_last_offset,
        padding,
    )


@node_rule("_embedding_bag", "_embedding_bag_forward_only", "embedding_bag")
def embedding_bag(
    ctx: LoweringContext,
    used: frozenset[int],
    weight: GraphValue,
    indices: GraphValue,
    offsets: GraphValue,
    scale_grad_by_freq: bool = False,
    mode: int = SUM,
    sparse: bool = False,
    per_sample_weights: GraphValue | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[GraphValue | None, ...]:
    if used - {0}:
        raise Unsupported("embedding_bag for its backward is not compiled")
    index = as_index(ctx, "embedding_bag", indices)
    bags = offsets.numel() - int(include_last_offset)
    if bags and index.numel() and ctx.ranges.get(offsets.handle.id) == (0, index.numel() / bags):
        result = _equal_bags(ctx, weight, index, bags, mode, per_sample_weights, padding_idx)
        return result, None, None, None
    begin = as_index(ctx, "embedding_bag", offsets)
    begin = slice_along(ctx, begin, 0, 0, bags)
    order = positions(ctx, index.shape, 0)
    i = Arith(ctx, INDEX)
    bag = i.sub(ctx.emit("search_sorted", [begin, order], right=True), 1)
    if padding_idx >= 0:
        # Into a bag behind the others.
        bag = i.select(i.compare("eq", index, padding_idx), bags, bag)
    a = Arith(ctx, opmath(weight.dtype))
    rows = ctx.cast(ctx.emit("gather", [weight, index], dim=0), a.dtype)
    if per_sample_weights is not None:
        rows = a.mul(rows, insert_dim(ctx, ctx.cast(per_sample_weights, a.dtype), 1))
    start = -math.inf if mode == MAX else 0.0
    room = ctx.broadcast(number(ctx, start, a.dtype), (bags + 1, weight.shape[1]))
    filled = write_rows(ctx, "max" if mode == MAX else "sum", room, 0, bag, rows)
    filled = slice_along(ctx, filled, 0, 0, bags)
    if mode != SUM:
        none = ctx.broadcast(number(ctx, 0, a.dtype), (bags + 1,))
        count = slice_along(ctx, write(ctx, "sum", none, 0, bag, 1), 0, 0, bags)
        count = insert_dim(ctx, count, 1)
        if mode == MEAN:
            filled = a.div(filled, a.maximum(count, 1.0))
        else:
            empty = ctx.broadcast(a.compare("eq", count, 0.0), filled.shape)
            filled = a.select(empty, 0.0, filled)
    return finish(ctx, filled, weight.dtype), None, None, None


def _equal_bags(
    ctx: LoweringContext,
    weight: GraphValue,
    indices: GraphValue,
    bags: int,
    mode: int,
    per_sample_weights: GraphValue | None,
    padding_idx: int,
) -> GraphValue:
    """Bags of equally many, as those of a matrix of indices are: a reduction of rows."""
    held = indices.numel() // bags
    index = ctx.reshape(indices, (bags, held))
    i, a = Arith(ctx, INDEX), Arith(ctx, opmath(weight.dtype))
    rows = ctx.cast(ctx.emit("gather", [weight, index], dim=0), a.dtype)
    if per_sample_weights is not None:
        factors = ctx.reshape(ctx.cast(per_sample_weights, a.dtype), (bags, held))
        rows = a.mul(rows, insert_dim(ctx, factors, 2))
    count: GraphValue | float = float(held)
    if padding_idx >= 0:
        real = i.compare("ne", index, padding_idx)
        rows = a.select(insert_dim(ctx, real, 2), rows, -math.inf if mode == MAX else 0.0)
        count = ctx.emit("reduce", [ctx.cast(real, a.dtype)], kind="sum", dims=[1], keepdim=True)
    kind = "max" if mode == MAX else "sum"
    filled = ctx.emit("reduce", [rows], kind=kind, dims=[1], keepdim=False)
    if mode == MEAN:
        filled = a.div(filled, count if isinstance(count, float) else a.maximum(count, 1.0))
    elif mode == MAX and not isinstance(count, float):
        filled = a.select(a.compare("eq", count, 0.0), 0.0, filled)
    return finish(ctx, filled, weight.dtype)


@rule("embedding_renorm")
def embedding_renorm(
    ctx: LoweringContext,
    self: GraphValue,
    indices: GraphValue,
    max_norm: float,
    norm_type: float,
) -> GraphValue:
    index = as_index(ctx, "embedding_renorm", indices)
    index = ctx.reshape(index, (index.numel(),))
    a = Arith(ctx, opmath(self.dtype))
    x = ctx.cast(self, a.dtype)
    none = ctx.broadcast(number(ctx, False, torch.bool), (self.shape[0],))
    named = insert_dim(ctx, write(ctx, "none", none, 0, index, True), 1)
    norm = vector_norm(ctx, x, float(norm_type), [1], True)
    # torch's way not to divide by zero
    scale = a.div(float(max_norm), a.add(norm, 1e-7))
    shrink = both(ctx, named, a.compare("gt", norm, float(max_norm)))
    return finish(ctx, a.mul(x, a.select(shrink, scale, 1.0)), self.dtype)
