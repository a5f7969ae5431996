# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tunes the kernels of programs: those unknown to the store, in the time there is.

Time goes to kernels by their part of the model's. What was found is stored kernel by kernel, so
that whoever stops early keeps it.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from tessera import _core
from tessera.tuning.bench import Bench, last_cache_bytes
from tessera.tuning.point import Point
from tessera.tuning.progress import Progress
from tessera.tuning.result import TunedKernel, Tuning
from tessera.tuning.search import Search
from tessera.tuning.store import EFFORTS, Entry, Store

LOG = logging.getLogger("tessera.tuning")


@dataclass(frozen=True)
class Effort:
    """How much one mode does."""

    #: seconds for all kernels of a model
    seconds: float
    #: kernels that take a smaller part of the time are not searched
    least_share: float
    #: handfuls of points without success after which a search ends
    patience: int


MODES = {
    "quick": Effort(seconds=30.0, least_share=0.01, patience=2),
    "full": Effort(seconds=600.0, least_share=0.001, patience=8),
}
#: Seconds that a search gets at least: a handful of points.
LEAST_SEARCH_S = 0.5

_active: ContextVar[Session | None] = ContextVar("tessera_tuning_session", default=None)


def active() -> Session | None:
    """The session in which programs that are compiled are tuned at once."""
    return _active.get()


@contextlib.contextmanager
def suspended() -> Iterator[None]:
    """Programs compiled inside are not tuned."""
    token = _active.set(None)
    try:
        yield
    finally:
        _active.reset(token)


class Session:
    """One tuning, of one program or several."""

    def __init__(
        self,
        mode: str,
        store: Store,
        *,
        seconds: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        effort = MODES[mode]
        self.mode = mode
        self.result = Tuning(mode, kept=store.path is not None)
        self._effort = effort
        self.seconds = effort.seconds if seconds is None else seconds
        #: of that, before the present program
        self._spent = 0.0
        self._store = store
        self._progress = progress or Progress()
        self._began: float | None = None
        self._seen: set[str] = set()
        #: compiled in this session
        self._programs: list[Any] = []
        self._host = _core.host_info()

    @contextlib.contextmanager
    def running(self) -> Iterator[Session]:
        """Programs compiled inside are tuned. Ctrl-C ends the tuning, not the program."""
        token = _active.set(self)
        try:
            yield self
        finally:
            _active.reset(token)
            self._progress.end()
            self.result.seconds = self._spent

    def has_seen(self, compiled: Any) -> bool:
        """Whether a program was compiled in this session."""
        return any(compiled is known for known in self._programs)

    @property
    def left(self) -> float:
        """Seconds."""
        begun = 0.0 if self._began is None else time.perf_counter() - self._began
        return self.seconds - self._spent - begun

    def tune(self, compiled: Any, threads: int) -> bool:
        """Tunes what the store does not know of one program's kernels. Whether there are points
        that the program was not compiled with."""
        first = len(self.result.kernels)
        if not self.result.interrupted:
            self._began = time.perf_counter()
            try:
                self._tune(compiled, threads)
            except KeyboardInterrupt:
                self.result.interrupted = True
                LOG.warning("tuning was interrupted; what was found until then is kept")
            self._spent += time.perf_counter() - self._began
            self._began = None
        return any(kernel.status == "tuned" for kernel in self.result.kernels[first:])

    def note(self, compiled: Any) -> None:
        """A program that was made in this session."""
        self._programs.append(compiled)

    def _tune(self, compiled: Any, threads: int) -> None:
        kernels = [item for item in _core.tunable_kernels(compiled) if item.key not in self._seen]
        self._seen.update(item.key for item in kernels)
        known = self._store.entries()
        cold = _weight_bytes(compiled) > last_cache_bytes() / 2
        rows: dict[str, TunedKernel] = {}
        unknown: list[Any] = []
        for kernel in kernels:
            row = rows[kernel.key] = _row(kernel, threads, known.get(kernel.key))
            self.result.kernels.append(row)
            if kernel.key not in known:
                unknown.append(kernel)
        if unknown:  # so that all are from one moment
            unknown = [k for k in kernels if rows[k.key].status in ("default", "short")]
        # Those that were only timed may be worth a search in this model.
        shares = self._time(unknown, rows, threads, cold)
        open_ = [
            kernel
            for kernel in kernels
            if self._is_open(known.get(kernel.key), shares[kernel.key], rows[kernel.key])
        ]
        self._search(open_, shares, rows, threads, cold)

    def _is_open(self, entry: Entry | None, share: float, row: TunedKernel) -> bool:
        """Whether a kernel is to be searched."""
        if row.status == "failed":
            return False
        if entry is not None and EFFORTS.index(entry.effort) >= EFFORTS.index(self.mode):
            return False
        if share >= self._effort.least_share:
            return True
        if entry is None:
            row.status = "short"
            self._keep(row, "timed")
        return False

    def _time(
        self, kernels: Sequence[Any], rows: dict[str, TunedKernel], threads: int, cold: bool
    ) -> dict[str, float]:
        """Times default points; the part of all kernels' time each kernel has."""
        if kernels:
            self._progress.begin(self.left)
        for kernel in kernels:
            row = rows[kernel.key]
            self._progress.kernel(f"{row.kind} {row.module}", self.left)
            try:
                bench = Bench(kernel, threads, cold=cold)
            except RuntimeError as error:
                LOG.info("%s %s cannot be tuned: %s", row.kind, row.module, error)
                row.status = "failed"
                self._keep(row, "timed")  # nor will it be tried again
                continue
            row.default_us = row.best_us = bench.default_s * 1e6
            row.measured += bench.timed
        total = sum(row.default_us * row.launches for row in rows.values())
        return {
            key: row.default_us * row.launches / total if total else 0.0
            for key, row in rows.items()
        }

    def _search(
        self,
        kernels: list[Any],
        shares: dict[str, float],
        rows: dict[str, TunedKernel],
        threads: int,
        cold: bool,
    ) -> None:
        waiting = sorted(kernels, key=lambda item: -shares[item.key])
        if waiting:
            self._progress.begin(self.left)
        while waiting:
            kernel = waiting[0]
            row = rows[kernel.key]
            of_rest = sum(shares[item.key] for item in waiting)
            seconds = max(LEAST_SEARCH_S, self.left * shares[kernel.key] / max(of_rest, 1e-9))
            if self.left <= 0:
                for item in waiting:
                    rows[item.key].status = "unsearched"
                return
            waiting.pop(0)
            self._progress.kernel(f"{row.kind} {row.module}", self.left)
            bench = Bench(kernel, threads, cold=cold)
            search = Search(kernel, bench, patience=self._effort.patience, told=self._progress.told)
            try:
                found = search.run(seconds)
            finally:
                row.tried += search.tried
                row.measured += bench.timed
            row.default_us, row.best_us = found.default_s * 1e6, found.best_s * 1e6
            row.point = str(found.point)
            row.change = found.point.difference(bench.default)
            row.status = "tuned" if row.change else "default"
            self._keep(row, self.mode)

    def _keep(self, row: TunedKernel, effort: str) -> None:
        entry = Entry(
            row.key, row.kind, row.shape, row.module, self._host.cpu, row.threads,
            self._host.compiler_build, row.point, row.default_point, float(row.default_us),
            float(row.best_us), effort, time.time(),
        )  # fmt: skip
        self._store.put([entry])


def _row(kernel: Any, threads: int, entry: Entry | None) -> TunedKernel:
    names = list(dict.fromkeys(origin.fqn for origin in kernel.origins if origin.fqn))
    more = f" (+{len(names) - 1})" if len(names) > 1 else ""
    row = TunedKernel(
        kernel.key, kernel.kind, kernel.shape, (names[0] if names else "(root)") + more,
        kernel.launches, threads, "default", kernel.standard, kernel.standard,
    )  # fmt: skip
    if entry is not None:
        row.status = "short" if entry.effort == "timed" else "stored"
        row.point, row.default_us, row.best_us = entry.point, entry.default_us, entry.best_us
        if entry.is_tuned:
            row.change = _parsed(entry.point).difference(Point.default(kernel))
    return row


def _parsed(text: str) -> Point:
    head, _, inside = text.rstrip(">").partition("<")
    values = [part.partition(" = ") for part in inside.split(", ")]
    return Point(head, tuple((name, value) for name, _, value in values))


def _weight_bytes(compiled: Any) -> float:
    """What the parameters of a program take."""
    import torch

    sizes: list[float] = [
        torch.Size(shape).numel() * getattr(torch, dtype).itemsize
        for dtype, shape in compiled.parameter_specs
    ]
    return sum(sizes)
