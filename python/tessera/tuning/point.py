# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Points of a search space as Schedule IR prints them, whatever class of kernels they are for."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Points of a space that are put in order by the cost model; of larger spaces a sample is.
MAX_ORDERED = 4000


@dataclass(frozen=True)
class Point:
    """``#schedule.contraction<mr = 8, nr = 32, …>``."""

    head: str
    values: tuple[tuple[str, str], ...]

    @classmethod
    def default(cls, kernel: Any) -> Point:
        """The one the rules chose for a `_core.TunableKernel`."""
        return cls(kernel.standard.partition("<")[0], tuple(kernel.parameters))

    def __str__(self) -> str:
        return f"{self.head}<{', '.join(f'{name} = {value}' for name, value in self.values)}>"

    def changed(self, **changes: str) -> Point:
        """The same with other values; a parameter that was not printed is added."""
        known = dict(self.values)
        known.update(changes)
        return Point(self.head, tuple(known.items()))

    def distance(self, other: Point) -> int:
        """In how many parameters two points differ."""
        mine, theirs = dict(self.values), dict(other.values)
        return sum(mine.get(name) != theirs.get(name) for name in mine.keys() | theirs.keys())

    def difference(self, other: Point) -> str:
        """What this one has otherwise, for people: ``mr 12 (8), unroll 4 (2)``."""
        theirs = dict(other.values)
        parts = [
            f"{name} {value} ({theirs.get(name, 'default')})"
            for name, value in self.values
            if theirs.get(name) != value
        ]
        return ", ".join(parts)


class Space:
    """What a tuner may choose from, a list of values a parameter."""

    def __init__(self, choices: Sequence[tuple[str, Sequence[str]]]) -> None:
        self.choices: dict[str, tuple[str, ...]] = {name: tuple(of) for name, of in choices}

    @property
    def size(self) -> int:
        return math.prod(len(values) for values in self.choices.values())

    def neighbours(self, point: Point) -> Iterator[Point]:
        """Points that differ from `point` in one parameter, the nearest values first."""
        known = dict(point.values)
        for name, values in self.choices.items():
            ordered = sorted(values, key=_as_number)
            here = known.get(name)
            place = ordered.index(here) if here in ordered else 0
            for value in sorted(ordered, key=lambda item: abs(ordered.index(item) - place)):
                if value != here:
                    yield point.changed(**{name: value})

    def points(self, default: Point, seed: int = 0) -> list[Point]:
        """All points, or of a large space a sample that is the same each time."""
        names = list(self.choices)
        if self.size <= MAX_ORDERED:
            every = itertools.product(*self.choices.values())
            return [self._at(default, names, values) for values in every]
        draw = random.Random(seed)
        drawn = {
            tuple(draw.choice(values) for values in self.choices.values())
            for _ in range(MAX_ORDERED)
        }
        return [self._at(default, names, values) for values in sorted(drawn)]

    @staticmethod
    def _at(default: Point, names: Sequence[str], values: Sequence[str]) -> Point:
        changes: Mapping[str, str] = dict(zip(names, values, strict=True))
        return default.changed(**changes)


def _as_number(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value
