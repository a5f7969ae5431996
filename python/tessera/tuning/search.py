# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Looks for a better point of one kernel.

From the default point uphill: what the cost model likes best and the neighbours of the best point
so far are tried, a handful at a time. The slow ones of a handful are dropped after a few calls,
and what is left last must beat the default in a measurement of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tessera import _core
from tessera.tuning.bench import Bench, Candidate
from tessera.tuning.point import Point, Space

#: Candidates compiled and raced together, at most.
HANDFUL = 8
#: Points the model may propose before anything is known, that differ from one another.
PROPOSED = 12
#: What the model says is this much slower than the default is not tried.
HOPELESS = 1.6
#: A handful that wins less than this is nothing won.
WORTH = 1.01


@dataclass
class Found:
    """The outcome of one search."""

    point: Point
    default_s: float
    best_s: float
    #: whether there was nothing left worth trying
    complete: bool


class Search:
    """One kernel's."""

    def __init__(
        self,
        kernel: Any,
        bench: Bench,
        *,
        patience: int,
        told: Callable[[int, float], None] = lambda tried, gain: None,
    ) -> None:
        self.kernel = kernel
        self.bench = bench
        self.space = Space(kernel.space)
        #: handfuls without success after which a search ends
        self._patience = patience
        self._told = told
        self._known: set[frozenset[tuple[str, str]]] = {frozenset(bench.default.values)}
        self._predicted: dict[str, float] = {}

    @property
    def tried(self) -> int:
        """Points that were compiled and compared, the default among them."""
        return len(self._known)

    def run(self, seconds: float) -> Found:
        """Searches for about so long."""
        deadline = time.perf_counter() + seconds
        bench, reference = self.bench, self.bench.reference
        best, idle, complete = reference, 0, False
        proposals = self._proposals(reference.point)
        while time.perf_counter() < deadline:
            left = deadline - time.perf_counter()
            fitting = int(left / max(self.bench.candidate_s, 1e-6))
            points = self._next(proposals, max(2, min(HANDFUL, fitting)))
            if not points:
                complete = True
                break
            ranked = bench.race([best, *bench.load(points)])
            gain = best.best / ranked[0].best if ranked[0] is not best else 1.0
            if gain > 1.0:
                best = ranked[0]
            if reference in ranked:
                self.bench.default_s = reference.best
            self._told(self.tried, max(1.0, self.bench.default_s / best.best))
            if gain > WORTH:
                proposals = self._proposals(best.point)
                idle = 0
                continue
            idle += 1
            if idle >= self._patience:
                complete = True
                break
        return self._settle(best, complete)

    def _settle(self, best: Candidate, complete: bool) -> Found:
        reference = self.bench.reference
        gain = self.bench.duel(reference, best) if best is not reference else 1.0
        point = best.point if gain > 1.0 else reference.point
        default_s = reference.quartile
        return Found(point, default_s, default_s / gain, complete)

    def _next(self, proposals: Iterator[Point], count: int) -> list[Point]:
        points: list[Point] = []
        for point in proposals:
            identity = frozenset(point.values)
            if identity not in self._known:
                self._known.add(identity)
                points.append(point)
            if len(points) >= count:
                break
        return points

    def _proposals(self, centre: Point) -> Iterator[Point]:
        """What to try around a point, the most promising first."""
        neighbours = list(self.space.neighbours(centre))
        predicted = self._predict([centre, *neighbours])
        here = predicted[0]
        if here <= 0:  # no model
            yield from neighbours
            if len(self.space.choices) > 1:
                yield from (
                    further for point in neighbours for further in self.space.neighbours(point)
                )
            return
        if centre == self.bench.default:
            yield from self._favourites(centre)
        ordered = sorted(zip(predicted[1:], neighbours, strict=True), key=lambda item: item[0])
        yield from (point for cost, point in ordered if 0 < cost < HOPELESS * here)
        yield from self._favourites(centre)

    def _favourites(self, default: Point) -> Iterator[Point]:
        """What the model thinks best, no two of them alike."""
        points = self.space.points(default)
        costs = self._predict([default, *points])
        order = sorted(
            (cost, str(point), point)
            for cost, point in zip(costs[1:], points, strict=True)
            if 0 < cost < HOPELESS * costs[0]
        )
        chosen: list[Point] = []
        for _, _, point in order:
            if all(point.distance(other) > 1 for other in chosen):
                chosen.append(point)
                yield point
            if len(chosen) == PROPOSED:
                return

    def _predict(self, points: list[Point]) -> list[float]:
        unknown = [text for text in dict.fromkeys(map(str, points)) if text not in self._predicted]
        costs = _core.predict_points(self.kernel.module, unknown, threads=self.bench.threads)
        self._predicted.update(zip(unknown, costs, strict=True))
        return [self._predicted[str(point)] for point in points]
