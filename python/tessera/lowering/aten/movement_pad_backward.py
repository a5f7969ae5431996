# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Gradients of reflected and repeated borders: each element sums its copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tessera.lowering.aten.resample import Taps, combine
from tessera.lowering.aten.rules import finish, opmath, rule, sizes
from tessera.lowering.context import GraphValue, LoweringContext

#: The element that is copied to place `place` of a dimension of `size`, borders counted from 0.
Source = Callable[[int, int], int]


def _reflected(place: int, size: int) -> int:
    return abs(place) if place < size else 2 * (size - 1) - place


def _repeated(place: int, size: int) -> int:
    return min(max(place, 0), size - 1)


def _register(name: str, dims: int, source: Source) -> None:
    @rule(f"{name}_backward")
    def backward(
        ctx: LoweringContext, grad_output: GraphValue, self: GraphValue, padding: Sequence[int]
    ) -> GraphValue:
        amounts = sizes(padding, name)
        grad = ctx.cast(grad_output, opmath(self.dtype))
        for index in range(dims):
            dim, before = self.ndim - 1 - index, amounts[2 * index]
            size, padded = self.shape[dim], grad_output.shape[dim]
            copies: list[list[tuple[int, float]]] = [[] for _ in range(size)]
            for place in range(padded):
                copies[source(place - before, size)].append((place, 1.0))
            grad = combine(ctx, grad, dim, Taps.of(copies))
        return finish(ctx, grad, self.dtype)


for _dims in (1, 2, 3):
    _register(f"reflection_pad{_dims}d", _dims, _reflected)
    _register(f"replication_pad{_dims}d", _dims, _repeated)
