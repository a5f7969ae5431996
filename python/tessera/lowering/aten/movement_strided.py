# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Movement: views that say where in memory each element lies.

Compiled values have no memory of their own, but PyTorch's strides of the source are known, and
with them the order in which its elements lie: positions in memory become positions in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from tessera.lowering.aten.creation import positions
from tessera.lowering.aten.movement import permute_to
from tessera.lowering.aten.rules import Arith, number, sizes
from tessera.lowering.aten.scatter import write
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported, register

INDEX = torch.int64


def _order(fake: torch.Tensor) -> list[int] | None:
    """The dimensions from the outermost in memory to the innermost; None when there are gaps or
    elements share memory."""
    order = sorted(range(fake.dim()), key=lambda dim: (fake.stride(dim), fake.size(dim)))[::-1]
    expected = 1
    for dim in reversed(order):
        if fake.size(dim) != 1 and fake.stride(dim) != expected:
            return None
        expected *= fake.size(dim)
    return order


def _in_memory(
    ctx: LoweringContext, self: GraphValue, fake: torch.Tensor, op: str
) -> tuple[GraphValue, list[int]]:
    """The elements in the order of memory, and the order of dimensions that gave it."""
    sizes([*self.shape], op)
    order = _order(fake)
    if order is None:
        raise Unsupported(
            f"[{op}] of a tensor with strides {tuple(fake.stride())}, between whose elements lie "
            "others",
            "take .contiguous() before, or index instead",
            code="strides",
        )
    return ctx.reshape(permute_to(ctx, self, order), (self.numel(),)), order


def _places(
    ctx: LoweringContext,
    count: int,
    origin: int,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None,
    op: str,
) -> GraphValue:
    """For each element of the view its place among the `count` of the source."""
    first = 0 if storage_offset is None else storage_offset - origin
    last = first + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
    if 0 not in size and (first < 0 or last >= count):
        raise Unsupported(
            f"[{op}] size {list(size)} with strides {list(stride)} reaches memory outside of the "
            f"tensor's {count} elements",
            "take the view of the whole tensor",
            code="strides",
        )
    a = Arith(ctx, INDEX)
    total = ctx.constant(first, INDEX)
    for dim, step in enumerate(stride):
        shape = [extent if dim == other else 1 for other, extent in enumerate(size)]
        if step and shape[dim] != 1:
            total = a.add(total, a.scale(positions(ctx, shape, dim), step))
    return ctx.broadcast(total, size)


def _fake(node: fx.Node) -> torch.Tensor:
    source: Any = node.args[0]
    fake: torch.Tensor = source.meta["val"]
    return fake


def _origin(fake: torch.Tensor, storage_offset: int | None) -> int:
    # Without an offset of its own the view starts where the source does.
    return 0 if storage_offset is None else int(fake.storage_offset())


@register("aten.as_strided.default", "aten.as_strided_copy.default")
def as_strided(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    self = ctx.arg(node, 0, "self")
    size = sizes(ctx.arg(node, 1, "size"), "as_strided")
    stride = sizes(ctx.arg(node, 2, "stride"), "as_strided")
    offset = ctx.arg(node, 3, "storage_offset", None)
    fake = _fake(node)
    if 0 in size:
        return ctx.broadcast(number(ctx, 0, self.dtype), size)
    flat, _ = _in_memory(ctx, self, fake, "as_strided")
    origin = _origin(fake, offset)
    places = _places(ctx, flat.numel(), origin, size, stride, offset, "as_strided")
    return ctx.emit("gather", [flat, places], dim=0)


@register("aten.as_strided_scatter.default")
def as_strided_scatter(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    self: GraphValue = ctx.arg(node, 0, "self")
    src: GraphValue = ctx.arg(node, 1, "src")
    size = sizes(ctx.arg(node, 2, "size"), "as_strided_scatter")
    stride = sizes(ctx.arg(node, 3, "stride"), "as_strided_scatter")
    offset = ctx.arg(node, 4, "storage_offset", None)
    fake = _fake(node)
    if 0 in size:
        return self
    flat, order = _in_memory(ctx, self, fake, "as_strided_scatter")
    origin = _origin(fake, offset)
    places = _places(ctx, flat.numel(), origin, size, stride, offset, "as_strided_scatter")
    count = places.numel()
    source = ctx.reshape(ctx.broadcast(src, size), (count,))
    flat = write(ctx, "none", flat, 0, ctx.reshape(places, (count,)), source)
    shaped = ctx.reshape(flat, [self.shape[dim] for dim in order])
    return permute_to(ctx, shaped, [order.index(dim) for dim in range(self.ndim)])


# --- resizing --------------------------------------------------------------------------------


@register("aten.resize.default")
def resize(node: fx.Node, ctx: LoweringContext) -> GraphValue:
    """The first elements in memory; what comes after them is nobody's promise."""
    self = ctx.arg(node, 0, "self")
    size = sizes(ctx.arg(node, 1, "size"), "resize")
    flat, _ = _in_memory(ctx, self, _fake(node), "resize")
    a = Arith(ctx, INDEX)
    count = 1
    for extent in size:
        count *= extent
    if not count or not flat.numel():
        return ctx.broadcast(number(ctx, 0, self.dtype), size)
    place = positions(ctx, [count], 0)
    inside = a.compare("lt", place, flat.numel())
    chosen = ctx.emit("gather", [flat, a.select(inside, place, 0)], dim=0)
    return ctx.reshape(chosen, size)
