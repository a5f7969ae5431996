# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Resampling: images of another size, and the gradients.

Along one dimension an output is a few inputs, each times a number, which sizes alone decide: a
table of positions and weights (`Taps`). Several dimensions are resampled one after the other. The
gradient reads the same table the other way round.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tessera.lowering.aten.movement import slice_along
from tessera.lowering.aten.rules import Arith, finish, is_integral, opmath, rule, sizes
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported


@dataclass(frozen=True)
class Taps:
    """Of each output the inputs it is made of: positions [outputs, taps], and a weight for each.

    Where an output has fewer than others, `real` is false.
    """

    places: Tensor
    weights: Tensor
    real: Tensor

    @staticmethod
    def of(rows: Sequence[Sequence[tuple[int, float]]]) -> Taps:
        """From a list of (position, weight) an output."""
        width = max((len(row) for row in rows), default=0) or 1
        places = torch.zeros(len(rows), width, dtype=torch.int64)
        weights = torch.zeros(len(rows), width, dtype=torch.float64)
        real = torch.zeros(len(rows), width, dtype=torch.bool)
        for index, row in enumerate(rows):
            for tap, (place, weight) in enumerate(row):
                places[index, tap], weights[index, tap], real[index, tap] = place, weight, True
        return Taps(places, weights, real)

    @staticmethod
    def full(places: Tensor, weights: Tensor) -> Taps:
        return Taps(places, weights.double(), torch.ones_like(places, dtype=torch.bool))

    def adjoint(self, inputs: int) -> Taps:
        """The table by which the inputs' gradients are made of the outputs'."""
        rows: list[list[tuple[int, float]]] = [[] for _ in range(inputs)]
        for output, tap in itertools.product(*map(range, self.places.shape)):
            if self.real[output, tap]:
                place = int(self.places[output, tap])
                rows[place].append((output, float(self.weights[output, tap])))
        return Taps.of(rows)


def combine(ctx: LoweringContext, x: GraphValue, dim: int, taps: Taps) -> GraphValue:
    """`x`, in the type it is computed in, with what `taps` says along `dim`."""
    if taps.places.shape[1] == 1 and bool((taps.weights == 1).all()) and bool(taps.real.all()):
        return choose(ctx, x, dim, taps.places[:, 0])
    a = Arith(ctx, x.dtype)
    tail = [1] * (x.ndim - dim - 1)
    chosen = ctx.emit("gather", [x, ctx.constant(taps.places)], dim=dim)
    if not bool(taps.real.all()):
        # A factor of zero would make NaN of infinity.
        real = ctx.constant(taps.real.reshape(*taps.real.shape, *tail))
        chosen = a.select(real, chosen, 0)
    weights = taps.weights.reshape(*taps.weights.shape, *tail)
    weighted = a.mul(chosen, ctx.constant(weights, x.dtype))
    return ctx.emit("reduce", [weighted], kind="sum", dims=[dim + 1], keepdim=False)


def repeated(ctx: LoweringContext, x: GraphValue, factors: Sequence[int]) -> GraphValue:
    """Each element along each of the last dimensions `factor` times, in one step."""
    lead = x.ndim - len(factors)
    apart, shape, full = list(x.shape[:lead]), list(x.shape[:lead]), list(x.shape[:lead])
    for size, factor in zip(x.shape[lead:], factors, strict=True):
        apart += [size, 1] if factor > 1 else [size]
        shape += [size, factor] if factor > 1 else [size]
        full.append(size * factor)
    return ctx.reshape(ctx.broadcast(ctx.reshape(x, apart), shape), full)


def repetition(size: int, taps: Taps) -> int:
    """How often each of `size` elements comes, in order; 0 where that is not all there is to it."""
    count, width = taps.places.shape
    factor = count // size if size else 0
    inputs = torch.arange(count) // max(factor, 1)
    is_plain = width == 1 and bool((taps.weights == 1).all()) and bool(taps.real.all())
    return factor if is_plain and torch.equal(taps.places.flatten(), inputs) else 0


def choose(ctx: LoweringContext, x: GraphValue, dim: int, places: Tensor) -> GraphValue:
    """The elements at `places` along `dim`; strided ones without an index."""
    count = places.numel()
    line = torch.arange(count)
    step = int(places[1] - places[0]) if count > 1 else 1
    if count and step > 0 and torch.equal(places, places[0] + step * line):
        first = int(places[0])
        return slice_along(ctx, x, dim, first, first + step * (count - 1) + 1, step)
    return ctx.emit("gather", [x, ctx.constant(places.to(torch.int64))], dim=dim)


# --- tables, as ATen computes them -----------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """One dimension: sizes, the factor the caller gave, and the type positions are computed in."""

    inputs: int
    outputs: int
    align_corners: bool
    factor: float | None
    dtype: torch.dtype

    @property
    def step(self) -> Tensor:
        """Inputs an output."""
        if self.align_corners:
            steps = (self.inputs - 1, self.outputs - 1) if self.outputs > 1 else (0, 1)
        elif self.factor is not None and self.factor > 0:
            return torch.tensor(1.0 / self.factor, dtype=self.dtype)
        else:
            steps = (self.inputs, self.outputs)
        return torch.tensor(steps[0], dtype=self.dtype) / steps[1]

    def sources(self, clamped: bool) -> Tensor:
        """Where each output lies among the inputs."""
        line = torch.arange(self.outputs, dtype=self.dtype)
        if self.align_corners:
            return self.step * line
        source = self.step * (line + 0.5) - 0.5
        return source.clamp(min=0) if clamped else source


def _nearest(axis: Axis) -> Taps:
    places = (torch.arange(axis.outputs, dtype=axis.dtype) * axis.step).floor().to(torch.int64)
    return _each_once(axis, places)


def _nearest_exact(axis: Axis) -> Taps:
    line = torch.arange(axis.outputs, dtype=axis.dtype)
    return _each_once(axis, ((line + 0.5) * axis.step).floor().to(torch.int64))


def _each_once(axis: Axis, places: Tensor) -> Taps:
    places = places.clamp(0, axis.inputs - 1).reshape(-1, 1)
    return Taps.full(places, torch.ones_like(places))


def _linear(axis: Axis) -> Taps:
    source = axis.sources(clamped=True)
    first = source.floor().to(torch.int64).clamp(max=axis.inputs - 1)
    second = (first + 1).clamp(max=axis.inputs - 1)
    part = (source - first).clamp(0, 1)
    return Taps.full(torch.stack([first, second], 1), torch.stack([1 - part, part], 1))


def cubic_weights(part: Tensor, a: float = -0.75) -> list[Tensor]:
    """Keys' convolution: of the elements at -1, 0, 1 and 2, seen from `part` behind 0."""

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(part + 1), near(part), near(1 - part), far(2 - part)]


def _cubic(axis: Axis) -> Taps:
    source = axis.sources(clamped=False)
    floor = source.floor()
    places = floor.to(torch.int64).reshape(-1, 1) + torch.arange(-1, 3)
    weights = torch.stack(cubic_weights(source - floor), 1)
    return Taps.full(places.clamp(0, axis.inputs - 1), weights)


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _keys(x: float) -> float:
    x, a = abs(x), -0.5
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _lanczos(x: float) -> float:
    if x == 0:
        return 1.0
    if abs(x) >= 3:
        return 0.0
    angle = math.pi * x
    return 3 * math.sin(angle) * math.sin(angle / 3) / (angle * angle)


def _antialiased(shape: Callable[[float], float], width: int) -> Callable[[Axis], Taps]:
    """Filters that grow with the step when images shrink."""

    def table(axis: Axis) -> Taps:
        step = float(axis.step)
        wide = max(step, 1.0)
        support = width / 2 * wide
        rows = []
        for output in range(axis.outputs):
            center = step * (output + 0.5)
            first = max(int(center - support + 0.5), 0)
            last = min(int(center + support + 0.5), axis.inputs)
            weights = [shape((k - center + 0.5) / wide) for k in range(first, last)]
            total = sum(weights) or 1.0
            rows.append([(first + k, weight / total) for k, weight in enumerate(weights)])
        return Taps.of(rows)

    return table


# --- operators -------------------------------------------------------------------------------

Table = Callable[[Axis], Taps]


def _tables(
    op: str,
    table: Table,
    dtype: torch.dtype,
    inputs: Sequence[int],
    outputs: Sequence[int],
    align_corners: bool,
    factors: Sequence[float | None],
) -> list[Taps]:
    if any(size < 1 for size in (*inputs, *outputs)):
        raise ValueError(f"[{op}] sizes must be positive, got {list(inputs)} to {list(outputs)}")
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    return [
        table(Axis(before, after, align_corners, factor, exact))
        for before, after, factor in zip(inputs, outputs, factors, strict=True)
    ]


def _resampled(
    ctx: LoweringContext, x: GraphValue, tables: Sequence[Taps], moves: bool
) -> GraphValue:
    """`x` resampled along its last dimensions."""
    compute = x.dtype if moves else opmath(x.dtype)
    factors = [repetition(n, taps) for n, taps in zip(x.shape[2:], tables, strict=True)]
    y = ctx.cast(x, compute)
    for dim, (factor, taps) in enumerate(zip(factors, tables, strict=True), start=2):
        if not factor:
            y = combine(ctx, y, dim, taps)
    y = repeated(ctx, y, [factor or 1 for factor in factors])
    return finish(ctx, y, x.dtype)


def _check(op: str, x: GraphValue, dims: int, moves: bool) -> None:
    if x.ndim != dims + 2:
        raise ValueError(f"[{op}] expected {dims + 2} dimensions, got {x.shape}")
    if is_integral(x.dtype) and not moves:
        raise Unsupported(
            f"{op} of {x.dtype} rounds in fixed-point arithmetic",
            "cast the image to float32 before",
            code="dtype",
        )


def _output_sizes(
    op: str, x: GraphValue, size: Sequence[int] | None, factors: Sequence[float] | None, dims: int
) -> tuple[list[int], list[float | None]]:
    """Of the overloads that take one of the two."""
    if (size is None) == (factors is None):
        raise ValueError(f"[{op}] takes either a size or scale factors")
    if size is not None:
        return sizes(size, op), [None] * dims
    assert factors is not None
    given = [float(factor) for factor in factors]
    wanted = [int(n * factor) for n, factor in zip(x.shape[2:], given, strict=True)]
    return wanted, list(given)


def _register(name: str, dims: int, table: Table, aligns: bool, moves: bool = False) -> None:
    """`name`, its `.vec` overload and its gradient. `aligns`: it takes `align_corners`."""

    def run(
        ctx: LoweringContext,
        self: GraphValue,
        size: Sequence[int],
        align_corners: bool,
        factors: Sequence[float | None],
    ) -> GraphValue:
        _check(name, self, dims, moves)
        wanted = sizes(size, name)
        tables = _tables(name, table, self.dtype, self.shape[2:], wanted, align_corners, factors)
        return _resampled(ctx, self, tables, moves)

    def back(
        ctx: LoweringContext,
        grad_output: GraphValue,
        input_size: Sequence[int],
        align_corners: bool,
        factors: Sequence[float | None],
    ) -> GraphValue:
        inputs = sizes(input_size, name)[2:]
        outputs = grad_output.shape[2:]
        tables = _tables(name, table, grad_output.dtype, inputs, outputs, align_corners, factors)
        adjoint = [taps.adjoint(size) for taps, size in zip(tables, inputs, strict=True)]
        return _resampled(ctx, grad_output, adjoint, False)

    names = ["scales"] if dims == 1 else [f"scales_{letter}" for letter in "dhw"[3 - dims :]]

    def given(listed: Sequence[float | None], named: dict[str, float | None]) -> list[float | None]:
        return [*listed, *(named.get(key) for key in names[len(listed) :])]

    if aligns:

        @rule(name)
        def aligned(
            ctx: LoweringContext,
            self: GraphValue,
            output_size: Sequence[int],
            align_corners: bool,
            *scales: float | None,
            **named: float | None,
        ) -> GraphValue:
            factors = given(scales, named)
            return run(ctx, self, output_size, align_corners, factors)

        @rule(f"{name}.vec")
        def aligned_by_factor(
            ctx: LoweringContext,
            input: GraphValue,
            output_size: Sequence[int] | None,
            align_corners: bool,
            scale_factors: Sequence[float] | None,
        ) -> GraphValue:
            wanted, factors = _output_sizes(name, input, output_size, scale_factors, dims)
            return run(ctx, input, wanted, align_corners, factors)

        @rule(f"{name}_backward")
        def aligned_backward(
            ctx: LoweringContext,
            grad_output: GraphValue,
            output_size: Sequence[int],
            input_size: Sequence[int],
            align_corners: bool,
            *scales: float | None,
            **named: float | None,
        ) -> GraphValue:
            factors = given(scales, named)
            return back(ctx, grad_output, input_size, align_corners, factors)

        return

    @rule(name)
    def plain(
        ctx: LoweringContext,
        self: GraphValue,
        output_size: Sequence[int],
        *scales: float | None,
        **named: float | None,
    ) -> GraphValue:
        return run(ctx, self, output_size, False, given(scales, named))

    @rule(f"{name}.vec")
    def by_factor(
        ctx: LoweringContext,
        input: GraphValue,
        output_size: Sequence[int] | None,
        scale_factors: Sequence[float] | None,
    ) -> GraphValue:
        wanted, factors = _output_sizes(name, input, output_size, scale_factors, dims)
        return run(ctx, input, wanted, False, factors)

    @rule(f"{name}_backward")
    def plain_backward(
        ctx: LoweringContext,
        grad_output: GraphValue,
        output_size: Sequence[int],
        input_size: Sequence[int],
        *scales: float | None,
        **named: float | None,
    ) -> GraphValue:
        return back(ctx, grad_output, input_size, False, given(scales, named))


for _dims in (1, 2, 3):
    _register(f"upsample_nearest{_dims}d", _dims, _nearest, aligns=False, moves=True)
    _register(f"_upsample_nearest_exact{_dims}d", _dims, _nearest_exact, aligns=False, moves=True)
_register("upsample_linear1d", 1, _linear, aligns=True)
_register("upsample_bilinear2d", 2, _linear, aligns=True)
_register("upsample_trilinear3d", 3, _linear, aligns=True)
_register("upsample_bicubic2d", 2, _cubic, aligns=True)
_register("_upsample_bilinear2d_aa", 2, _antialiased(_triangle, 2), aligns=True)
_register("_upsample_bicubic2d_aa", 2, _antialiased(_keys, 4), aligns=True)
_register("_upsample_lanczos2d_aa", 2, _antialiased(_lanczos, 6), aligns=True)
