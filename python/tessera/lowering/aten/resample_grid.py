# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Images sampled where a grid says: grid_sampler, and the grids of affine maps.

Pixels are looked up as rows of channels, one lookup for each neighbour; what lies outside is
looked up somewhere inside and then replaced.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tessera.lowering.aten.movement import permute_to, slice_along
from tessera.lowering.aten.rules import Arith, both, finish, opmath, rule, sizes
from tessera.lowering.context import GraphValue, LoweringContext

BILINEAR, NEAREST, BICUBIC = range(3)
ZEROS, BORDER, REFLECTION = range(3)


@dataclass(frozen=True)
class Sampler:
    """How positions are read, and what is beyond the image."""

    a: Arith
    mode: int
    padding: int
    align_corners: bool

    def position(self, coordinate: GraphValue, size: int) -> GraphValue:
        """From [-1, 1] to pixels."""
        a = self.a
        if self.align_corners:
            return a.mul(a.div(a.add(coordinate, 1), 2), size - 1)
        return a.div(a.sub(a.mul(a.add(coordinate, 1), size), 1), 2)

    def brought_inside(self, position: GraphValue, size: int) -> GraphValue:
        """Positions beyond the border as the padding says; zeros leave them."""
        if self.padding == ZEROS:
            return position
        if self.padding == REFLECTION:
            position = self._reflected(position, size)
        return self._clipped(position, size)

    def _clipped(self, position: GraphValue, size: int) -> GraphValue:
        # NaN becomes zero.
        a = self.a
        positive = a.select(a.compare("gt", position, 0), position, 0)
        return a.minimum(positive, size - 1)

    def _reflected(self, position: GraphValue, size: int) -> GraphValue:
        a = self.a
        low = 0.0 if self.align_corners else -0.5
        span = float(size - 1 if self.align_corners else size)
        if span == 0:
            return a.mul(position, 0)
        distance = a.unary("abs", a.sub(position, low))
        turns = a.unary("floor", a.div(distance, span))
        extra = a.sub(distance, a.mul(turns, span))
        even = a.compare("eq", a.emit("remainder", turns, 2), 0)
        return a.select(even, a.add(extra, low), a.add(a.sub(span, extra), low))


@dataclass(frozen=True)
class Image:
    """Pixels as rows of channels."""

    ctx: LoweringContext
    a: Arith
    rows: GraphValue  #: [images · pixels, channels]
    extents: Sequence[int]

    def at(self, places: Sequence[GraphValue]) -> GraphValue:
        """The channels at whole positions [N, …], one value a dimension; zeros outside."""
        ctx, a, at = self.ctx, self.a, Arith(self.ctx, torch.int64)
        inside: GraphValue | None = None
        flat = ctx.emit(
            "iota",
            [],
            shape=[places[0].shape[0], *[1] * (places[0].ndim - 1)],
            dim=0,
            start=0,
            step=1,
            dtype=torch.int64,
        )
        for place, size in zip(places, self.extents, strict=True):
            within = both(ctx, a.compare("ge", place, 0), a.compare("lt", place, size))
            inside = within if inside is None else both(ctx, inside, within)
            safe = ctx.cast(a.select(within, place, 0), torch.int64)
            flat = at.add(at.mul(flat, size), safe)
        assert inside is not None
        pixels = ctx.emit("gather", [self.rows, flat], dim=0)
        return a.select(ctx.reshape(inside, (*inside.shape, 1)), pixels, 0)


def _weighted(ctx: LoweringContext, a: Arith, pixels: GraphValue, weight: GraphValue) -> GraphValue:
    return a.mul(pixels, ctx.reshape(weight, (*weight.shape, 1)))


def _sampled_linear(image: Image, sampler: Sampler, positions: Sequence[GraphValue]) -> GraphValue:
    a = sampler.a
    floors = [a.unary("floor", position) for position in positions]
    parts = [a.sub(x, floor) for x, floor in zip(positions, floors, strict=True)]
    total: GraphValue | None = None
    for corner in itertools.product((0, 1), repeat=len(positions)):
        places, weight = [], None
        for side, floor, part in zip(corner, floors, parts, strict=True):
            places.append(a.add(floor, 1) if side else floor)
            factor = part if side else a.sub(1, part)
            weight = factor if weight is None else a.mul(weight, factor)
        assert weight is not None
        term = _weighted(image.ctx, a, image.at(places), weight)
        total = term if total is None else a.add(total, term)
    assert total is not None
    return total


def _cubic_factors(a: Arith, part: GraphValue) -> list[GraphValue]:
    """Keys' convolution with -3/4: of the elements at -1, 0, 1 and 2."""
    k = -0.75

    def near(x: GraphValue) -> GraphValue:
        return a.add(a.mul(a.mul(a.sub(a.mul(x, k + 2), k + 3), x), x), 1)

    def far(x: GraphValue) -> GraphValue:
        inner = a.add(a.mul(a.sub(a.mul(x, k), 5 * k), x), 8 * k)
        return a.sub(a.mul(inner, x), 4 * k)

    return [far(a.add(part, 1)), near(part), near(a.sub(1, part)), far(a.sub(2, part))]


def _sampled_cubic(image: Image, sampler: Sampler, positions: Sequence[GraphValue]) -> GraphValue:
    a = sampler.a
    floors = [a.unary("floor", position) for position in positions]
    factors = [
        _cubic_factors(a, a.sub(x, floor)) for x, floor in zip(positions, floors, strict=True)
    ]
    # The padding applies to each neighbour.
    neighbours = [
        [sampler.brought_inside(a.add(floor, offset), size) for offset in range(-1, 3)]
        for floor, size in zip(floors, image.extents, strict=True)
    ]
    total: GraphValue | None = None
    for taps in itertools.product(range(4), repeat=len(positions)):
        places = [neighbours[dim][tap] for dim, tap in enumerate(taps)]
        weight = factors[0][taps[0]]
        for dim, tap in enumerate(taps[1:], start=1):
            weight = a.mul(weight, factors[dim][tap])
        term = _weighted(image.ctx, a, image.at(places), weight)
        total = term if total is None else a.add(total, term)
    assert total is not None
    return total


def _sampled_nearest(image: Image, sampler: Sampler, positions: Sequence[GraphValue]) -> GraphValue:
    return image.at([sampler.a.unary("round", position) for position in positions])


MODES: dict[int, Callable[[Image, Sampler, Sequence[GraphValue]], GraphValue]] = {
    BILINEAR: _sampled_linear,
    NEAREST: _sampled_nearest,
    BICUBIC: _sampled_cubic,
}


def _sample(
    ctx: LoweringContext,
    op: str,
    x: GraphValue,
    grid: GraphValue,
    mode: int,
    padding: int,
    align_corners: bool,
) -> GraphValue:
    dims = x.ndim - 2
    if grid.ndim != x.ndim or grid.shape[-1] != dims or grid.shape[0] != x.shape[0]:
        raise ValueError(f"[{op}] input {x.shape} and grid {grid.shape} do not fit")
    if x.dtype != grid.dtype:
        raise TypeError(f"[{op}] input is {x.dtype} and grid {grid.dtype}")
    if mode not in MODES or (mode == BICUBIC and dims != 2):
        raise ValueError(f"[{op}] interpolation mode {mode} is not defined for {dims} dimensions")
    a = Arith(ctx, opmath(x.dtype))
    sampler = Sampler(a, mode, padding, align_corners)
    channels, extents = x.shape[1], x.shape[2:]
    rows = permute_to(ctx, ctx.cast(x, a.dtype), [0, *range(2, x.ndim), 1])
    image = Image(ctx, a, ctx.reshape(rows, (rows.numel() // max(channels, 1), channels)), extents)
    positions = []
    for dim, size in enumerate(extents):
        # The grid lists coordinates from the last dimension on.
        last = slice_along(ctx, grid, grid.ndim - 1, dims - 1 - dim, dims - dim)
        coordinate = ctx.cast(ctx.reshape(last, grid.shape[:-1]), a.dtype)
        position = sampler.position(coordinate, size)
        if mode != BICUBIC:
            position = sampler.brought_inside(position, size)
        positions.append(position)
    result = MODES[mode](image, sampler, positions)
    return finish(ctx, permute_to(ctx, result, [0, x.ndim - 1, *range(1, x.ndim - 1)]), x.dtype)


@rule("grid_sampler_2d")
def grid_sampler_2d(
    ctx: LoweringContext,
    input: GraphValue,
    grid: GraphValue,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
) -> GraphValue:
    arguments = (interpolation_mode, padding_mode, align_corners)
    return _sample(ctx, "grid_sampler_2d", input, grid, *arguments)


@rule("grid_sampler_3d")
def grid_sampler_3d(
    ctx: LoweringContext,
    input: GraphValue,
    grid: GraphValue,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
) -> GraphValue:
    arguments = (interpolation_mode, padding_mode, align_corners)
    return _sample(ctx, "grid_sampler_3d", input, grid, *arguments)


@rule("grid_sampler")
def grid_sampler(
    ctx: LoweringContext,
    input: GraphValue,
    grid: GraphValue,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
) -> GraphValue:
    arguments = (interpolation_mode, padding_mode, align_corners)
    return _sample(ctx, "grid_sampler", input, grid, *arguments)


@rule("affine_grid_generator")
def affine_grid(
    ctx: LoweringContext, theta: GraphValue, size: Sequence[int], align_corners: bool
) -> GraphValue:
    """The coordinates of an image's pixels, each with a 1, times theta transposed."""
    count, _, *extents = sizes(size, "affine_grid_generator")
    dims = len(extents)
    if theta.shape != (count, dims, dims + 1):
        raise ValueError(
            f"[affine_grid_generator] theta is {theta.shape}, expected {(count, dims, dims + 1)}"
        )
    dtype = theta.dtype
    lines = []
    for dim in range(dims):
        # Coordinates from the last dimension on.
        extent = extents[dims - 1 - dim]
        line = (
            torch.linspace(-1, 1, extent, dtype=dtype)
            if extent > 1
            else torch.zeros(1, dtype=dtype)
        )
        if not align_corners:
            line = line * (extent - 1) / extent
        shape = [1] * dims
        shape[dims - 1 - dim] = extent
        lines.append(line.reshape(shape).expand(extents))
    base = torch.stack([*lines, torch.ones(extents, dtype=dtype)], -1).reshape(-1, dims + 1)
    grid = ctx.emit("matmul", [ctx.constant(base), theta], transpose_a=False, transpose_b=True)
    return ctx.reshape(grid, (count, *extents, dims))
