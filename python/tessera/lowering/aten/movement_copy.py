# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Movement: copies and identities, joining tensors, padding, rolling, writing into parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from tessera.lowering.aten.movement import (
    clamp_bounds,
    insert_dim,
    permute_to,
    reverse_along,
    slice_along,
)
from tessera.lowering.aten.rules import (
    Number,
    both,
    normalize_dim,
    number,
    rule,
    sizes,
)
from tessera.lowering.context import GraphValue, LoweringContext

# --- identities ------------------------------------------------------------------------------


@rule(
    "clone",
    "contiguous",
    "alias",
    "alias_copy",
    "detach",
    "detach_copy",
    "lift",
    "lift_fresh",
    "lift_fresh_copy",
)
def same(ctx: LoweringContext, self: GraphValue, *, memory_format: object = None) -> GraphValue:
    """Values are immutable, so a copy is the value itself; results are laid out row-major."""
    return self


# --- joining ---------------------------------------------------------------------------------


@rule("cat", "concat", "concatenate")
def cat(ctx: LoweringContext, tensors: Sequence[GraphValue], dim: int = 0) -> GraphValue:
    if not tensors:
        raise ValueError("[cat] needs at least one tensor")
    dtype = ctx.result_type(*tensors)
    # torch's old rule: empty one-dimensional tensors fit anywhere.
    parts = [tensor for tensor in tensors if tensor.shape != (0,)] or [tensors[0]]
    axis = normalize_dim(dim, parts[0].ndim, "cat")
    return join(ctx, [ctx.cast(part, dtype) for part in parts], axis)


def join(ctx: LoweringContext, parts: Sequence[GraphValue], dim: int) -> GraphValue:
    """Parts of one dtype one after another along `dim`; those without elements drop out."""
    kept = [part for part in parts if part.shape[dim]] or [parts[0]]
    return kept[0] if len(kept) == 1 else ctx.emit("concat", kept, dim=dim)


@rule("stack")
def stack(ctx: LoweringContext, tensors: Sequence[GraphValue], dim: int = 0) -> GraphValue:
    if not tensors:
        raise ValueError("[stack] needs at least one tensor")
    axis = normalize_dim(dim, tensors[0].ndim + 1, "stack")
    for index, tensor in enumerate(tensors):
        if tensor.shape != tensors[0].shape:
            raise ValueError(
                f"[stack] tensor {index} has shape {tensor.shape}, tensor 0 {tensors[0].shape}"
            )
    return cat(ctx, [insert_dim(ctx, tensor, axis) for tensor in tensors], axis)


@rule("hstack")
def hstack(ctx: LoweringContext, tensors: Sequence[GraphValue]) -> GraphValue:
    rows = [tensor if tensor.ndim else ctx.reshape(tensor, (1,)) for tensor in tensors]
    return cat(ctx, rows, 0 if rows[0].ndim == 1 else 1)


@rule("vstack")
def vstack(ctx: LoweringContext, tensors: Sequence[GraphValue]) -> GraphValue:
    rows = [
        tensor if tensor.ndim > 1 else ctx.reshape(tensor, (1, tensor.numel()))
        for tensor in tensors
    ]
    return cat(ctx, rows, 0)


@rule("meshgrid", "meshgrid.indexing")
def meshgrid(
    ctx: LoweringContext, tensors: Sequence[GraphValue], *, indexing: str = "ij"
) -> list[GraphValue]:
    vectors = [ctx.reshape(tensor, (tensor.numel(),)) for tensor in tensors]
    swap = indexing == "xy" and len(vectors) > 1
    order = [1, 0, *range(2, len(vectors))] if swap else list(range(len(vectors)))
    shape = [vectors[index].shape[0] for index in order]
    grids = []
    for index, vector in enumerate(vectors):
        place = order.index(index)
        unit = [1] * len(shape)
        unit[place] = vector.shape[0]
        grids.append(ctx.broadcast(ctx.reshape(vector, unit), shape))
    return grids


# --- padding ---------------------------------------------------------------------------------

#: The part that goes before (`front`) or after a tensor along one dimension.
Border = Callable[[LoweringContext, GraphValue, int, int, bool], GraphValue]


def _pairs(pad: Sequence[int], rank: int, op: str) -> list[tuple[int, int]]:
    """(before, after) for each dimension; torch lists them from the last dimension on."""
    amounts = sizes(pad, op)
    if len(amounts) % 2 or len(amounts) > 2 * rank:
        raise ValueError(f"[{op}] {amounts} does not fit a tensor of {rank} dimensions")
    pairs = [(0, 0)] * rank
    for index in range(len(amounts) // 2):
        pairs[rank - 1 - index] = (amounts[2 * index], amounts[2 * index + 1])
    return pairs


@rule("constant_pad_nd")
def constant_pad(
    ctx: LoweringContext, self: GraphValue, pad: Sequence[int], value: Number = 0
) -> GraphValue:
    pairs = _pairs(pad, self.ndim, "constant_pad_nd")
    if not any(before or after for before, after in pairs):
        return self
    return ctx.emit(
        "pad",
        [self, number(ctx, value, self.dtype)],
        low=[before for before, _ in pairs],
        high=[after for _, after in pairs],
    )


@rule("pad")
def pad(
    ctx: LoweringContext,
    self: GraphValue,
    pad: Sequence[int],
    mode: str = "constant",
    value: float | None = None,
) -> GraphValue:
    if mode == "constant":
        return constant_pad(ctx, self, pad, 0 if value is None else value)
    borders = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}
    if mode not in borders:
        raise ValueError(f"[pad] mode is {mode!r}; expected constant or one of {sorted(borders)}")
    return _pad_by(ctx, self, pad, borders[mode], mode)


def _pad_by(
    ctx: LoweringContext, x: GraphValue, pad: Sequence[int], border: Border, mode: str
) -> GraphValue:
    for dim, (before, after) in enumerate(_pairs(pad, x.ndim, f"{mode} pad")):
        if not before and not after:
            continue
        # Negative amounts crop; a border is read from what was there before, except that a
        # circular one wraps around what is left.
        start, end = max(-before, 0), x.shape[dim] - max(-after, 0)
        if start > end and border is _replicated:
            # Cropped beyond the other end: only the border is left, of the side that grows.
            x = border(ctx, x, dim, x.shape[dim] + before + after, before > 0)
            continue
        kept = slice_along(ctx, x, dim, start, end)
        source = kept if border is _wrapped else x
        parts = [kept]
        if before > 0:
            parts.insert(0, border(ctx, source, dim, before, True))
        if after > 0:
            parts.append(border(ctx, source, dim, after, False))
        x = join(ctx, parts, dim)
    return x


def _reflected(
    ctx: LoweringContext, x: GraphValue, dim: int, amount: int, front: bool
) -> GraphValue:
    size = x.shape[dim]
    if amount >= size:
        raise ValueError(f"[reflect pad] {amount} does not fit inside dimension {dim} of {x.shape}")
    start = 1 if front else size - 1 - amount
    return reverse_along(ctx, slice_along(ctx, x, dim, start, start + amount), [dim])


def _replicated(
    ctx: LoweringContext, x: GraphValue, dim: int, amount: int, front: bool
) -> GraphValue:
    if not x.shape[dim]:
        raise ValueError(f"[replicate pad] dimension {dim} of {x.shape} has nothing to repeat")
    place = 0 if front else x.shape[dim] - 1
    edge = slice_along(ctx, x, dim, place, place + 1)
    return ctx.broadcast(edge, (*x.shape[:dim], amount, *x.shape[dim + 1 :]))


def _wrapped(ctx: LoweringContext, x: GraphValue, dim: int, amount: int, front: bool) -> GraphValue:
    size = x.shape[dim]
    if amount > size:
        raise ValueError(f"[circular pad] {amount} is more than dimension {dim} of {x.shape} has")
    start = size - amount if front else 0
    return slice_along(ctx, x, dim, start, start + amount)


@rule("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(ctx: LoweringContext, self: GraphValue, padding: Sequence[int]) -> GraphValue:
    return _pad_by(ctx, self, padding, _reflected, "reflect")


@rule("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(ctx: LoweringContext, self: GraphValue, padding: Sequence[int]) -> GraphValue:
    return _pad_by(ctx, self, padding, _replicated, "replicate")


# --- rolling ---------------------------------------------------------------------------------


@rule("roll")
def roll(
    ctx: LoweringContext,
    self: GraphValue,
    shifts: int | Sequence[int],
    dims: int | Sequence[int] = (),
) -> GraphValue:
    amounts = [shifts] if isinstance(shifts, int) else sizes(shifts, "roll")
    axes = [dims] if isinstance(dims, int) else list(dims)
    if not axes:
        flat = ctx.reshape(self, (self.numel(),))
        return ctx.reshape(roll(ctx, flat, amounts, [0]), self.shape)
    if len(amounts) != len(axes):
        raise ValueError(f"[roll] {amounts} and {axes} differ in length")
    x = self
    for amount, dim in zip(amounts, axes, strict=True):
        axis = normalize_dim(dim, x.ndim, "roll")
        size = x.shape[axis]
        cut = -amount % size if size else 0
        if cut:
            tail = slice_along(ctx, x, axis, cut, size)
            x = join(ctx, [tail, slice_along(ctx, x, axis, 0, cut)], axis)
    return x


# --- writing into parts ----------------------------------------------------------------------


@rule("slice_scatter")
def slice_scatter(
    ctx: LoweringContext,
    self: GraphValue,
    src: GraphValue,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "slice_scatter")
    size = self.shape[axis]
    first, last = clamp_bounds(size, start, end)
    count = -(-(last - first) // step)
    wanted = (*self.shape[:axis], count, *self.shape[axis + 1 :])
    if src.shape != wanted:
        raise ValueError(f"[slice_scatter] src has shape {src.shape}, the slice {wanted}")
    if not count:
        return self
    src = ctx.cast(src, self.dtype)
    if step == 1:
        head = slice_along(ctx, self, axis, 0, first)
        tail = slice_along(ctx, self, axis, last, size)
        return join(ctx, [head, src, tail], axis)
    # Each written element repeated `step` times, cut to size, and chosen where it belongs.
    wide = ctx.broadcast(
        insert_dim(ctx, src, axis + 1), (*wanted[: axis + 1], step, *wanted[axis + 1 :])
    )
    wide = ctx.reshape(wide, (*wanted[:axis], count * step, *wanted[axis + 1 :]))
    low, high = [0] * self.ndim, [0] * self.ndim
    low[axis], high[axis] = first, size - first - count * step
    placed = ctx.emit("pad", [wide, number(ctx, 0, self.dtype)], low=low, high=high)
    position = _positions(ctx, self.ndim, axis, size)
    offset = ctx.emit("sub", [position, ctx.constant(first, torch.int64)])
    on_step = ctx.emit("remainder", [offset, ctx.constant(step, torch.int64)])
    written = ctx.emit("compare", [on_step, ctx.constant(0, torch.int64)], predicate="eq")
    for predicate, bound in (("ge", first), ("lt", last)):
        inside = ctx.emit(
            "compare", [position, ctx.constant(bound, torch.int64)], predicate=predicate
        )
        written = both(ctx, written, inside)
    return ctx.emit("select", [written, placed, self])


def _positions(ctx: LoweringContext, rank: int, dim: int, size: int) -> GraphValue:
    """0, 1, … along `dim`, broadcastable over the other dimensions."""
    shape = [1] * rank
    shape[dim] = size
    return ctx.emit("iota", [], shape=shape, dim=dim, start=0, step=1, dtype=torch.int64)


@rule("select_scatter")
def select_scatter(
    ctx: LoweringContext, self: GraphValue, src: GraphValue, dim: int, index: int
) -> GraphValue:
    axis = normalize_dim(dim, self.ndim, "select_scatter")
    if not -self.shape[axis] <= index < self.shape[axis]:
        raise IndexError(f"[select_scatter] index {index} is out of range for {self.shape}")
    start = index % self.shape[axis]
    return slice_scatter(ctx, self, insert_dim(ctx, src, axis), axis, start, start + 1)


# --- rearrangements of images ----------------------------------------------------------------


@rule("pixel_shuffle")
def pixel_shuffle(ctx: LoweringContext, self: GraphValue, upscale_factor: int) -> GraphValue:
    *batch, channels, height, width = self.shape
    factor = upscale_factor
    kept = channels // (factor * factor)
    lead = len(batch)
    x = ctx.reshape(self, (*batch, kept, factor, factor, height, width))
    order = [*range(lead), *(lead + place for place in (0, 3, 1, 4, 2))]
    x = permute_to(ctx, x, order)
    return ctx.reshape(x, (*batch, kept, height * factor, width * factor))


@rule("pixel_unshuffle")
def pixel_unshuffle(ctx: LoweringContext, self: GraphValue, downscale_factor: int) -> GraphValue:
    *batch, channels, height, width = self.shape
    factor = downscale_factor
    lead = len(batch)
    rows, columns = height // factor, width // factor
    x = ctx.reshape(self, (*batch, channels, rows, factor, columns, factor))
    order = [*range(lead), *(lead + place for place in (0, 2, 4, 1, 3))]
    x = permute_to(ctx, x, order)
    return ctx.reshape(x, (*batch, channels * factor * factor, rows, columns))


@rule("channel_shuffle")
def channel_shuffle(ctx: LoweringContext, self: GraphValue, groups: int) -> GraphValue:
    batch, channels, *rest = self.shape
    x = ctx.reshape(self, (batch, groups, channels // groups, *rest))
    x = permute_to(ctx, x, [0, 2, 1, *range(3, x.ndim)])
    return ctx.reshape(x, self.shape)


@rule("diff")
def diff(
    ctx: LoweringContext,
    self: GraphValue,
    n: int = 1,
    dim: int = -1,
    prepend: GraphValue | None = None,
    append: GraphValue | None = None,
) -> GraphValue:
    if not self.ndim:
        raise ValueError("[diff] needs at least one dimension")
    axis = normalize_dim(dim, self.ndim, "diff")
    if not n:
        return self
    parts = [part for part in (prepend, self, append) if part is not None]
    x = cat(ctx, parts, axis) if len(parts) > 1 else self
    for _ in range(n):
        size = x.shape[axis]
        later = slice_along(ctx, x, axis, min(1, size), size)
        earlier = slice_along(ctx, x, axis, 0, max(size - 1, 0))
        # Bools differ or do not.
        op = "bitwise_xor" if x.dtype == torch.bool else "sub"
        x = ctx.emit(op, [later, earlier])
    return x
