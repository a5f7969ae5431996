# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How far tuning has come: a bar with the time left, on terminals with ``rich``; else nothing."""

from __future__ import annotations

import abc
import sys
import time
from typing import Any

from tessera import phases


class Progress:
    """Does nothing: what there is without a terminal."""

    def begin(self, seconds: float) -> None:
        """Tuning begins and will take about so long."""

    def kernel(self, label: str, left: float) -> None:
        """The next kernel; about `left` seconds remain in all."""

    def told(self, tried: int, gain: float) -> None:
        """Points tried of this kernel, and by which factor the best of them is faster."""

    def end(self) -> None:
        """All done."""


class TimedProgress(Progress, abc.ABC):
    """Says what is tuned, and how much of the time has passed."""

    def __init__(self) -> None:
        self._label = ""
        self._began = self._until = 0.0

    def begin(self, seconds: float) -> None:
        self._began = time.perf_counter()
        self._until = self._began + seconds

    def kernel(self, label: str, left: float) -> None:
        self._label = label
        self._until = time.perf_counter() + left
        self._show(label)

    def told(self, tried: int, gain: float) -> None:
        self._show(f"{self._label}: {tried} points, {gain:.2f}x")

    def _show(self, what: str) -> None:
        now = time.perf_counter()
        self._draw(what, now - self._began, max(0.0, self._until - now))

    @abc.abstractmethod
    def _draw(self, what: str, passed: float, left: float) -> None:
        """Shows it; `passed` and `left` are seconds."""


class BarProgress(TimedProgress):
    """A bar of ``rich`` on standard error."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("tuning"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[what]}", style="dim"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: Any = None

    def begin(self, seconds: float) -> None:
        super().begin(seconds)
        if self._task is None:
            self._task = self._bar.add_task("tuning", total=1.0, left="", what="")
        self._bar.start()

    def _draw(self, what: str, passed: float, left: float) -> None:
        done = passed / max(passed + left, 1e-9)
        self._bar.update(self._task, completed=done, left=f"{left:.0f} s left", what=what)

    def end(self) -> None:
        self._bar.stop()


class ConversionProgress(TimedProgress):
    """What the bar of a running conversion says; that one is drawn anyhow."""

    def _draw(self, what: str, passed: float, left: float) -> None:
        conversion = phases.running()
        if conversion is not None:
            conversion.seconds = (passed, passed + left)
            conversion.detail = f"{what}, {left:.0f} s left"


class OneOfThem(Progress):
    """The bar of the conversion where one runs, else a bar of its own."""

    def __init__(self, own: Progress) -> None:
        self._own, self._conversion = own, ConversionProgress()

    @property
    def _now(self) -> Progress:
        return self._own if phases.running() is None else self._conversion

    def begin(self, seconds: float) -> None:
        self._now.begin(seconds)

    def kernel(self, label: str, left: float) -> None:
        self._now.kernel(label, left)

    def told(self, tried: int, gain: float) -> None:
        self._now.told(tried, gain)

    def end(self) -> None:
        self._own.end()


def progress_for(wanted: bool | None) -> Progress:
    """A bar where it is wanted, or where nothing is said and standard error is a terminal."""
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        return Progress()
    try:
        return OneOfThem(BarProgress())
    except ImportError:
        return Progress()
