# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Interleaved timing: every candidate once a round, the machine's peak beside them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import machine

Candidate = Callable[[], Any]
#: Seconds that a candidate of several threads runs for before it is timed.
SETTLING = 0.08


@dataclass
class Series:
    """Times of one candidate, seconds a call."""

    times: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(self.times)

    @property
    def quartile(self) -> float:
        """The lower quartile: steadier than the best, less disturbed than the median."""
        ordered = sorted(self.times)
        return ordered[len(ordered) // 4]

    @property
    def median(self) -> float:
        return statistics.median(self.times)


@dataclass
class Round:
    """All series of one comparison, with the peak and bandwidth measured between them."""

    series: dict[str, Series]
    peaks: list[float]
    bandwidths: list[float]

    @property
    def peak(self) -> float:
        return statistics.median(self.peaks)

    @property
    def bandwidth(self) -> float:
        return statistics.median(self.bandwidths)


def _calls_for(candidate: Candidate, seconds: float, now: Callable[[], float]) -> int:
    """How many calls fill `seconds`: short calls are timed in bundles."""
    candidate()
    candidate()
    start = now()
    candidate()
    once = max(now() - start, 1e-7)
    return max(1, int(seconds / once))


def _settle(candidate: Candidate, threads: int) -> None:
    """Warms its weights and the threads it runs on, until the threads of whoever ran before, which
    spin for more work for tens of milliseconds, have left it the cores."""
    until = time.perf_counter() + (SETTLING if threads > 1 else 0)
    candidate()
    while time.perf_counter() < until:
        candidate()


def interleave(
    candidates: dict[str, Candidate], threads: int, rounds: int = 7, seconds: float = 0.02
) -> Round:
    """Times every candidate once a round, in an order that turns by one a round."""
    now = machine.clock(threads)
    calls = {name: _calls_for(candidate, seconds, now) for name, candidate in candidates.items()}
    result = Round({name: Series() for name in candidates}, [], [])
    names = list(candidates)
    for turn in range(rounds):
        result.peaks.append(machine.fma_peak(threads))
        if turn % 3 == 0:
            result.bandwidths.append(machine.bandwidth(threads))
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            candidate = candidates[name]
            _settle(candidate, threads)
            start = now()
            for _ in range(calls[name]):
                candidate()
            result.series[name].times.append((now() - start) / calls[name])
    return result
