# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs one kernel with different points: checks each, then times them side by side.

A kernel is compiled alone, by the road every kernel takes, and run by the runtime on memory like
the model's: where the model's weights do not stay in the last cache, the kernel finds other copies
of its own at each call. On one thread the clock is that thread's CPU time, which other programs
disturb least.
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tessera import _core
from tessera.tuning.point import Point

#: Copies of a kernel's weights fill this many times the last cache, and are at most MAX_COPIES.
COLD_FACTOR = 1.5
MAX_COPIES = 24
#: Seconds that one block of calls takes at least: the clock and Python then count for little.
BLOCK_S = 4e-4
#: Seconds after which a candidate has run often enough: long calls are rounds enough by themselves.
LONG_RACE_S = 0.15
#: How far a point's results may be off, by dtype, relative to the size of the result: sums may be
#: taken in another order. Everything else must be equal.
TOLERANCES = {
    torch.float64: 1e-10,
    torch.float32: 2e-4,
    torch.float16: 2e-2,
    torch.bfloat16: 6e-2,
}


class Refused(Exception):
    """A point that cannot be used: not legal, not compilable, or with other results."""


@functools.cache
def last_cache_bytes() -> int:
    """The size of the last cache, or a guess."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        sizes.append(int(text[:-1]) << {"K": 10, "M": 20}.get(text[-1], 0))
    return max(sizes, default=32 << 20)


@dataclass
class Candidate:
    """A point that was compiled, with the times it took."""

    point: Point
    #: one a copy of the weights
    executables: Iterator[Any]
    #: seconds a call, one a block
    times: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(self.times, default=float("inf"))

    @property
    def quartile(self) -> float:
        ordered = sorted(self.times)
        return ordered[len(ordered) // 4] if ordered else float("inf")


class Bench:
    """The memory for one kernel, and the clock."""

    def __init__(self, kernel: Any, threads: int, *, cold: bool) -> None:
        self.kernel = kernel
        self.threads = threads
        self.default = Point.default(kernel)
        self.now: Callable[[], int] = time.thread_time_ns if threads == 1 else time.perf_counter_ns
        self.timed = 0
        begin = time.perf_counter()
        compiled = self._compile(self.default)
        #: seconds that compiling one point takes, when several are compiled together
        self.compile_s = (time.perf_counter() - begin) / _workers()
        draw = torch.Generator().manual_seed(0)
        self._inputs = [_filled(dtype, shape, draw) for dtype, shape in compiled.input_specs]
        self._weights = [_filled(dtype, shape, draw) for dtype, shape in compiled.parameter_specs]
        self._copies = self._calls = 1
        self.default_s = 0.0
        self.reference = self._start(self.default, compiled)
        if cold:
            # Long calls make the caches forget what they began with by themselves.
            few = 1 + int(LONG_RACE_S / max(self._block(self.reference), 1e-7))
            self._copies = min(_copies(self._weights), few)
            self.reference = self._start(self.default, compiled)
        self._expected = self._results(self.reference)
        once = min(self._block(self.reference) for _ in range(3))
        self._calls = max(1, round(BLOCK_S / max(once, 1e-7)))
        # Seconds of a call, as a first measure: by it time is shared out.
        self.default_s = once
        self.default_s = self.race([self.reference], rounds=10)[0].best

    # --- candidates -----------------------------------------------------------------------

    def load(self, points: Sequence[Point]) -> list[Candidate]:
        """Compiles and checks points, several at once; those that cannot be used are left out."""
        with ThreadPoolExecutor(_workers()) as pool:  # nothing is timed now
            made = list(pool.map(self._try_compile, points))
        found = []
        for point, compiled in zip(points, made, strict=True):
            if compiled is None:
                continue
            candidate = self._start(point, compiled)
            if self.agrees(candidate):
                found.append(candidate)
        return found

    def check(self, point: Point) -> Candidate:
        """The candidate for one point; Refused says what is wrong with it."""
        try:
            candidate = self._start(point, self._compile(point))
        except RuntimeError as error:
            raise Refused(str(error)) from error
        if not self.agrees(candidate):
            raise Refused(f"{point} gives other results than {self.default}")
        return candidate

    def agrees(self, candidate: Candidate) -> bool:
        """Whether a candidate computes what the default point does."""
        results = self._results(candidate)
        lowest = max(
            (TOLERANCES.get(item.dtype, 0.0) for item in (*self._inputs, *self._expected)),
            default=0.0,
        )
        return all(
            _equal(got, want, max(lowest, TOLERANCES.get(want.dtype, 0.0)))
            for got, want in zip(results, self._expected, strict=True)
        )

    def _compile(self, point: Point) -> Any:
        return _core.compile_kernel(self.kernel.module, str(point), threads=self.threads)

    def _try_compile(self, point: Point) -> Any:
        try:
            return self._compile(point)
        except RuntimeError:
            return None

    def _start(self, point: Point, compiled: Any) -> Candidate:
        made = [
            _core.Executable(compiled, self._weights, {}, "tuning", self.threads)
            for _ in range(self._copies)
        ]
        for executable in made:  # the first call of each takes memory
            executable(*self._inputs)
        return Candidate(point, itertools.cycle(made))

    def _results(self, candidate: Candidate) -> list[torch.Tensor]:
        results = next(candidate.executables)(*self._inputs)
        return [results] if isinstance(results, torch.Tensor) else list(results)

    @property
    def candidate_s(self) -> float:
        """About how many seconds a candidate costs: its code, its weights, its turns."""
        return self.compile_s + (self._copies + 2 + 4 * self._calls) * self.default_s

    # --- times ----------------------------------------------------------------------------

    def _block(self, candidate: Candidate) -> float:
        """Times some calls in a row; seconds of one."""
        executables, inputs, now = candidate.executables, self._inputs, self.now
        begin = now()
        for _ in range(self._calls):
            next(executables)(*inputs)
        seconds = (now() - begin) * 1e-9 / self._calls
        candidate.times.append(seconds)
        self.timed += 1
        return seconds

    def _once(self) -> float:
        """Seconds of one block with the default point."""
        return self._calls * self.default_s

    def race(self, candidates: Sequence[Candidate], rounds: int = 6) -> list[Candidate]:
        """Times candidates a round at a time and drops the slow ones; the fastest first."""
        running = list(candidates)
        rounds = max(3, min(rounds, int(LONG_RACE_S / max(self._once(), 1e-9))))
        for candidate in running:
            candidate.times = []  # what was measured at another moment is no measure
        for turn in range(rounds):
            for candidate in running:
                self._block(candidate)
            if turn:
                running.sort(key=lambda item: item.best)
                limit = running[0].best * (1.0 + 0.5 / turn**2 + 0.02)
                keep = max(2, len(running) // 2) if turn % 2 else len(running)
                running = [item for item in running[:keep] if item.best <= limit]
                if len(running) == 1 and len(candidates) > 1:
                    break
        return sorted(running, key=lambda item: item.best)

    def duel(self, old: Candidate, new: Candidate, rounds: int = 14) -> float:
        """By which factor `new` takes less time than `old`; 1 unless that is beyond noise."""
        old.times, new.times = [], []
        rounds = max(6, min(rounds, int(2 * LONG_RACE_S / max(self._once(), 1e-9))))
        ratios = []
        for turn in range(rounds):
            for candidate in (old, new) if turn % 2 else (new, old):
                self._block(candidate)
            ratios.append(old.times[-1] / new.times[-1])
        ratios.sort()
        median = ratios[len(ratios) // 2]
        certain = ratios[len(ratios) // 4] > 1.0 and old.quartile > new.quartile
        return median if certain and median > 1.02 else 1.0


def _workers() -> int:
    return len(os.sched_getaffinity(0))


def _copies(weights: Sequence[torch.Tensor]) -> int:
    size = sum(item.nbytes for item in weights)
    if size < 4096:
        return 1
    return min(MAX_COPIES, int(COLD_FACTOR * last_cache_bytes() / size) + 1)


def _filled(dtype: str, shape: Sequence[int], draw: torch.Generator) -> torch.Tensor:
    """Numbers as a model has them; of integers ones, which are good indices and divisors."""
    kind: torch.dtype = getattr(torch, dtype)
    if not kind.is_floating_point:
        return torch.ones(shape, dtype=kind)
    wide = kind if kind == torch.float64 else torch.float32
    return torch.randn(shape, generator=draw, dtype=wide).to(kind)


def _equal(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> bool:
    if not want.dtype.is_floating_point:
        return bool(torch.equal(got, want))
    # Most are close everywhere, which one pass over both shows.
    scale = float(torch.linalg.vector_norm(want, dtype=torch.float64)) / max(want.numel(), 1) ** 0.5
    if float((got - want).abs_().max() if want.numel() else 0.0) <= tolerance * scale:
        return True
    got, want = got.double(), want.double()
    finite = want.isfinite()
    if not torch.equal(finite, got.isfinite()):
        return False
    got, want = got[finite], want[finite]
    if not want.numel():
        return True
    scale = want.square().mean().sqrt()
    return bool(((got - want).abs() <= tolerance * (want.abs() + scale)).all())
