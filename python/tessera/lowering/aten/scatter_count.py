# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Counting and collecting: histograms, and the places of what is not zero.

An element is counted by writing a one where it belongs; what belongs nowhere goes to a place
behind the others, which is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.lowering.aten.creation import positions
from tessera.lowering.aten.indexing import INDEX
from tessera.lowering.aten.movement import slice_along
from tessera.lowering.aten.reduction import reduce
from tessera.lowering.aten.reduction_scan import cumsum
from tessera.lowering.aten.rules import Arith, Number, as_bool, both, number, opmath, rule
from tessera.lowering.aten.scatter import write
from tessera.lowering.context import GraphValue, LoweringContext

# --- histograms ------------------------------------------------------------------------------


def _require_float(op: str, self: GraphValue) -> None:
    if not self.dtype.is_floating_point:
        raise TypeError(f"[{op}] takes a floating-point dtype, but got {self.dtype}")


def _range_of(
    ctx: LoweringContext, x: GraphValue, given: tuple[float, float] | None, reach: float
) -> tuple[GraphValue, GraphValue]:
    """The outer edges: as given, or those of the data; an empty range is made to reach to both
    sides."""
    a = Arith(ctx, x.dtype)
    if given is None and x.numel():
        flat = ctx.reshape(x, (x.numel(),))
        low, high = (reduce(ctx, kind, flat, [0], False) for kind in ("min", "max"))
    else:
        first, last = given or (0.0, 0.0)
        low, high = number(ctx, first, x.dtype), number(ctx, last, x.dtype)
    empty = a.compare("eq", low, high)
    return a.select(empty, a.sub(low, reach), low), a.select(empty, a.add(high, reach), high)


def _count(
    ctx: LoweringContext,
    place: GraphValue,
    inside: GraphValue,
    bins: int,
    like: torch.dtype,
    weight: GraphValue | None = None,
) -> GraphValue:
    """How many elements (or how much weight) each bin holds."""
    a = Arith(ctx, INDEX)
    # Unlike the others the last bin has its right edge.
    place = a.select(inside, a.minimum(place, bins - 1), bins)
    place = ctx.reshape(place, (place.numel(),))
    dest = ctx.broadcast(number(ctx, 0, like), (bins + 1,))
    source = 1 if weight is None else ctx.reshape(weight, (weight.numel(),))
    return slice_along(ctx, write(ctx, "sum", dest, 0, place, source), 0, 0, bins)


def _finite_or_error(ctx: LoweringContext, place: GraphValue, *edges: GraphValue) -> GraphValue:
    """`place`, turned into one out of range, hence an error, where the range is not finite."""
    a = Arith(ctx, edges[0].dtype)
    spread = a.sub(edges[0], edges[1])
    good = a.compare("eq", a.sub(spread, spread), 0.0)
    return Arith(ctx, INDEX).select(ctx.broadcast(good, place.shape), place, -1)


@rule("histc")
def histc(
    ctx: LoweringContext, self: GraphValue, bins: int = 100, min: Number = 0, max: Number = 0
) -> GraphValue:
    _require_float("histc", self)
    if bins < 1:
        raise ValueError(f"[histc] bins must be positive, but is {bins}")
    if min > max:
        raise ValueError(f"[histc] max {max} must not be below min {min}")
    low, high = _range_of(ctx, self, None if min == max else (min, max), 1.0)
    a = Arith(ctx, self.dtype)
    inside = both(ctx, a.compare("ge", self, low), a.compare("le", self, high))
    share = _rounded(ctx, "sub", self, low)
    share = _rounded(ctx, "mul", share, number(ctx, bins, self.dtype))
    share = _rounded(ctx, "div", share, _rounded(ctx, "sub", high, low))
    place = ctx.cast(a.select(inside, share, 0.0), INDEX)
    place = _finite_or_error(ctx, place, low, high)
    return _count(ctx, place, inside, bins, self.dtype)


def _rounded(ctx: LoweringContext, op: str, x: GraphValue, y: GraphValue) -> GraphValue:
    """One step in the operands' own precision: PyTorch rounds after each, and bins show it."""
    wide = opmath(x.dtype)
    return ctx.cast(ctx.emit(op, [ctx.cast(x, wide), ctx.cast(y, wide)]), x.dtype)


def _edges(ctx: LoweringContext, low: GraphValue, high: GraphValue, bins: int) -> GraphValue:
    """torch.linspace: counted from the nearer end."""
    a = Arith(ctx, low.dtype)
    index = ctx.cast(positions(ctx, (bins + 1,), 0), low.dtype)
    step = a.div(a.sub(high, low), float(bins))
    front = a.add(low, a.mul(step, index))
    back = a.sub(high, a.mul(step, a.sub(float(bins), index)))
    return a.select(a.compare("lt", index, float((bins + 1) // 2)), front, back)


def _places_in(
    ctx: LoweringContext, values: GraphValue, edges: GraphValue
) -> tuple[GraphValue, GraphValue]:
    """The bin of each element of a vector, and whether it is in one."""
    a = Arith(ctx, values.dtype)
    first = slice_along(ctx, edges, 0, 0, 1)
    last = slice_along(ctx, edges, 0, edges.numel() - 1, edges.numel())
    inside = both(ctx, a.compare("ge", values, first), a.compare("le", values, last))
    found = ctx.emit("search_sorted", [edges, values], right=True)
    bins = edges.numel() - 1
    index = Arith(ctx, INDEX)
    place = index.minimum(index.sub(found, 1), bins - 1)
    place = index.select(inside, place, 0)
    return _finite_or_error(ctx, place, first, last), inside


def _histogram(
    ctx: LoweringContext,
    points: GraphValue,
    edges: Sequence[GraphValue],
    weight: GraphValue | None,
    density: bool,
) -> GraphValue:
    """Counts of points (count, dims) in the grid of the edges."""
    a, index = Arith(ctx, points.dtype), Arith(ctx, INDEX)
    shape = [edge.numel() - 1 for edge in edges]
    place: GraphValue | None = None
    inside: GraphValue | None = None
    for dim, edge in enumerate(edges):
        column = ctx.reshape(slice_along(ctx, points, 1, dim, dim + 1), (points.shape[0],))
        along, held = _places_in(ctx, column, edge)
        place = along if place is None else index.add(index.mul(place, shape[dim]), along)
        inside = held if inside is None else both(ctx, inside, held)
    assert place is not None
    assert inside is not None
    counts = _count(ctx, place, inside, math.prod(shape), points.dtype, weight)
    if density:
        counts = a.div(counts, reduce(ctx, "sum", counts, [0], False))
    counts = ctx.reshape(counts, shape)
    for dim, edge in enumerate(edges if density else ()):
        width = a.sub(
            slice_along(ctx, edge, 0, 1, edge.numel()),
            slice_along(ctx, edge, 0, 0, edge.numel() - 1),
        )
        unit = [size if place == dim else 1 for place, size in enumerate(shape)]
        counts = a.div(counts, ctx.reshape(width, unit))
    return counts


def _bin_edges(
    ctx: LoweringContext, points: GraphValue, bins: Sequence[int], given: Sequence[float] | None
) -> list[GraphValue]:
    edges = []
    for dim, count in enumerate(bins):
        bounds = None if given is None else (given[2 * dim], given[2 * dim + 1])
        column = slice_along(ctx, points, 1, dim, dim + 1)
        if bounds is None and not column.numel():
            bounds = (0.0, 1.0)
        edges.append(_edges(ctx, *_range_of(ctx, column, bounds, 0.5), count))
    return edges


def _points(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    return ctx.reshape(self, (math.prod(self.shape[:-1]), self.shape[-1]))


@rule("histogram.bin_ct")
def histogram(
    ctx: LoweringContext,
    self: GraphValue,
    bins: int = 100,
    *,
    range: Sequence[float] | None = None,
    weight: GraphValue | None = None,
    density: bool = False,
) -> tuple[GraphValue, GraphValue]:
    _require_float("histogram", self)
    points = ctx.reshape(self, (self.numel(), 1))
    edges = _bin_edges(ctx, points, [bins], range)
    return _histogram(ctx, points, edges, weight, density), edges[0]


@rule("histogram.bins_tensor")
def histogram_of_bins(
    ctx: LoweringContext,
    self: GraphValue,
    bins: GraphValue,
    *,
    weight: GraphValue | None = None,
    density: bool = False,
) -> tuple[GraphValue, GraphValue]:
    _require_float("histogram", self)
    points = ctx.reshape(self, (self.numel(), 1))
    return _histogram(ctx, points, [bins], weight, density), bins


@rule("_histogramdd_bin_edges")
def histogramdd_bin_edges(
    ctx: LoweringContext,
    self: GraphValue,
    bins: Sequence[int],
    *,
    range: Sequence[float] | None = None,
    weight: GraphValue | None = None,
    density: bool = False,
) -> list[GraphValue]:
    _require_float("histogramdd", self)
    return _bin_edges(ctx, _points(ctx, self), bins, range)


@rule("_histogramdd_from_bin_cts")
def histogramdd_from_bin_counts(
    ctx: LoweringContext,
    self: GraphValue,
    bins: Sequence[int],
    *,
    range: Sequence[float] | None = None,
    weight: GraphValue | None = None,
    density: bool = False,
) -> GraphValue:
    _require_float("histogramdd", self)
    points = _points(ctx, self)
    return _histogram(ctx, points, _bin_edges(ctx, points, bins, range), weight, density)


@rule("_histogramdd_from_bin_tensors")
def histogramdd_from_bin_tensors(
    ctx: LoweringContext,
    self: GraphValue,
    bins: Sequence[GraphValue],
    *,
    weight: GraphValue | None = None,
    density: bool = False,
) -> GraphValue:
    _require_float("histogramdd", self)
    return _histogram(ctx, _points(ctx, self), bins, weight, density)


# --- places of elements ----------------------------------------------------------------------


@rule("nonzero_static")
def nonzero_static(
    ctx: LoweringContext, self: GraphValue, *, size: int, fill_value: int = -1
) -> GraphValue:
    if not self.ndim or not self.numel() or not size:
        return ctx.broadcast(number(ctx, fill_value, INDEX), (size, self.ndim))
    a = Arith(ctx, INDEX)
    flat = ctx.reshape(as_bool(ctx, self), (self.numel(),))
    before = a.sub(cumsum(ctx, ctx.cast(flat, INDEX), 0), 1)
    # What is zero, and what finds no room, goes to a place behind the others.
    wanted = both(ctx, flat, a.compare("lt", before, size))
    place = a.select(wanted, before, size)
    room = ctx.broadcast(number(ctx, -1, INDEX), (size + 1,))
    found = write(ctx, "none", room, 0, place, positions(ctx, flat.shape, 0))
    column = ctx.reshape(slice_along(ctx, found, 0, 0, size), (size, 1))
    strides = [math.prod(self.shape[dim + 1 :]) for dim in range(self.ndim)]
    row = ctx.constant(torch.tensor([strides]))
    limits = ctx.constant(torch.tensor([self.shape]))
    coordinates = a.emit("remainder", a.emit("floor_div", column, row), limits)
    return a.select(a.compare("lt", column, 0), fill_value, coordinates)
