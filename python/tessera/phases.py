# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a conversion is at: time and memory of its phases, and a bar on the terminal.

A phase is entered with :func:`phase`, wherever it is; a conversion begins and ends with
:func:`conversion`. Conversions inside another one (submodules, stages) are part of it.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from tessera import _core
from tessera._settings import settings
from tessera.report.report import COMPILING

if TYPE_CHECKING:
    from tessera.report.report import Report

#: Seconds after which a conversion shows a bar on a terminal.
BAR_AFTER = 1.0
_PAGE = resource.getpagesize()
_STATM = Path("/proc/self/statm")

WORDS = {
    "capture": "capturing",
    "import": "lowering operators",
    "compile": "compiling kernels",
    "tune": "tuning",
}


def resident_bytes() -> int:
    """Memory of this process that is in use now; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def peak_bytes() -> int:
    """The most memory this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Conversion:
    """The one that runs in this context; what draws the bar reads it from another thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.phase = "capture"
        #: what tuning is at, and the seconds it took and may take
        self.detail = ""
        self.seconds = (0.0, 0.0)
        #: kernels to compile and compiled, counted by the compiler as it goes
        self.progress = _core.CompileProgress()
        self._ended = threading.Event()
        self._bar: threading.Thread | None = None

    def begin(self) -> None:
        if _wants_bar():
            self._bar = threading.Thread(target=self._draw, name="tessera-progress", daemon=True)
            self._bar.start()

    def end(self) -> None:
        self._ended.set()
        if self._bar is not None:
            self._bar.join()

    def _draw(self) -> None:
        if self._ended.wait(BAR_AFTER):
            return
        try:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
            from rich.progress import TimeElapsedColumn as Elapsed
        except ImportError:  # tessera[cli] is not installed
            return
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Elapsed()
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(self.name, total=None)
            while True:
                done, total = self.progress.done, self.progress.total
                compiling = self.phase in ("compile", "tune") and total > 0
                detail = ""
                if self.phase == "tune":
                    detail = f" {self.detail}"
                    done, total = (int(value) for value in self.seconds)
                bar.update(
                    task,
                    description=f"{self.name}: {WORDS.get(self.phase, self.phase)}{detail}",
                    completed=done if compiling else 0,
                    total=total if compiling else None,
                )
                bar.refresh()
                if self._ended.wait(0.1):
                    return


_CURRENT: ContextVar[Conversion | None] = ContextVar("tessera_conversion", default=None)


def _wants_bar() -> bool:
    if os.environ.get("TERM", "") == "dumb":
        return False
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # replaced, or closed
        return False


@contextmanager
def conversion(name: str) -> Iterator[Conversion]:
    """Around everything that one conversion does."""
    outer = _CURRENT.get()
    if outer is not None:
        yield outer
        return
    made = Conversion(name)
    token = _CURRENT.set(made)
    made.begin()
    try:
        yield made
    finally:
        _CURRENT.reset(token)
        made.end()


def running() -> Conversion | None:
    """The conversion that is running in this context."""
    return _CURRENT.get()


def progress() -> _core.CompileProgress | None:
    """What the compiler counts kernels in, for the conversion that is running."""
    current = _CURRENT.get()
    return None if current is None else current.progress


@contextmanager
def phase(report: Report, name: str) -> Iterator[None]:
    """Adds what is done inside to the report's timings and memory, less the phases within."""
    current = _CURRENT.get()
    outer = None if current is None else current.phase
    if current is not None:
        current.phase = name
    inner_ms, inner_bytes = _sums(report)
    before = report.timings.get(name, 0.0), report.memory.get(name, 0)
    begin, resident = time.perf_counter(), resident_bytes()
    try:
        yield
    finally:
        milliseconds = (time.perf_counter() - begin) * 1e3
        growth = resident_bytes() - resident
        now_ms, now_bytes = _sums(report)
        own = before[0] + milliseconds - (now_ms - inner_ms)
        report.timings[name] = max(own, 0.0)
        report.memory[name] = before[1] + growth - (now_bytes - inner_bytes)
        if current is not None and outer is not None:
            current.phase = outer


def _sums(report: Report) -> tuple[float, int]:
    """Of all phases that have ended."""
    times = (value for name, value in report.timings.items() if name in WORDS)
    return sum(times), sum(report.memory.values())


def print_phases(report: Report) -> None:
    """What ``TESSERA_DEBUG=time`` asks for: a table on stderr."""
    if "time" not in settings().debug:
        return
    lines = [f"{report.model}: {report.tessera_ms:.0f} ms of Tessera's own"]
    for name, milliseconds in report.timings.items():
        if name == "call":
            continue
        words = f"    {name:8}" if name in COMPILING else f"  {name:10}"
        memory = f"{report.memory[name] / 1e6:+9.1f} MB" if name in report.memory else ""
        lines.append(f"{words}{milliseconds:10.1f} ms{memory}")
    lines.append(
        f"  {len(report.kernels)} launches; most memory of the process {peak_bytes() / 1e6:.0f} MB"
    )
    print("\n".join(lines), file=sys.stderr)
