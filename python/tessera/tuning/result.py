# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What tuning found, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: What became of a kernel.
STATUSES = {
    "tuned": "a better point was found",
    "default": "nothing better than the default was found",
    "stored": "tuned before: nothing was measured",
    "short": "too small a part of the time to be searched",
    "unsearched": "the time was over before its turn",
    "failed": "it could not be run by itself",
}


@dataclass
class TunedKernel:
    """One distinct kernel of a program."""

    key: str
    kind: str
    #: what goes in: "128x768 · 3072x768 float32"
    shape: str
    #: module paths of what it computes, the first of them
    module: str
    #: how often a call runs it
    launches: int
    #: that it was compiled for
    threads: int
    status: str
    default_point: str
    point: str
    default_us: float = 0.0
    best_us: float = 0.0
    #: candidates compiled and compared
    tried: int = 0
    #: blocks of calls that were timed
    measured: int = 0
    #: what the point has otherwise than the default, for people
    change: str = ""

    @property
    def gain(self) -> float:
        """By which factor it takes less time."""
        return self.default_us / self.best_us if self.best_us else 1.0


@dataclass
class Tuning:
    """The result of one tuning. ``print(result)`` is a table."""

    mode: str
    kernels: list[TunedKernel] = field(default_factory=list)
    #: wall time
    seconds: float = 0.0
    #: Ctrl-C ended it; what was found until then is kept
    interrupted: bool = False
    #: whether other processes will find it; not without a cache folder
    kept: bool = True
    #: the converted module, with the schedules found
    module: Any = None

    @property
    def measured(self) -> int:
        """How many blocks of calls were timed; 0 where everything was known."""
        return sum(kernel.measured for kernel in self.kernels)

    @property
    def tried(self) -> int:
        return sum(kernel.tried for kernel in self.kernels)

    @property
    def default_us(self) -> float:
        """Of all kernels in a call with default points, as measured one by one."""
        return sum(kernel.default_us * kernel.launches for kernel in self.kernels)

    @property
    def best_us(self) -> float:
        return sum(kernel.best_us * kernel.launches for kernel in self.kernels)

    @property
    def gain(self) -> float:
        """By which factor all the kernels together take less time."""
        return self.default_us / self.best_us if self.best_us else 1.0

    def summary(self) -> str:
        """One line."""
        count = len(self.kernels)
        better = sum(kernel.point != kernel.default_point for kernel in self.kernels)
        text = f"{better} of {_plural(count, 'kernel')} better than by default"
        if self.default_us:
            text += f": {self.default_us:.0f} → {self.best_us:.0f} µs, {self.gain:.2f}x"
        done = (
            f"{self.tried} points tried in {self.seconds:.1f} s" if self.measured else "all known"
        )
        if self.interrupted:
            done += ", interrupted"
        if not self.kept:
            done += ", kept for this process only (there is no cache folder)"
        return f"tune={self.mode}: {text}; {done}"

    def __str__(self) -> str:
        head = ("kernel", "shape", "module", "runs", "default µs", "best µs", "gain", "point")
        rows = [self._row(kernel) for kernel in self.ordered]
        widths = [
            max(len(head[place]), *(len(row[place]) for row in rows)) if rows else 0
            for place in range(len(head) - 1)
        ]
        lines = [self.summary()]
        for row in [head, *rows] if rows else []:
            cells = [
                cell.rjust(width) if 3 <= place <= 6 else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=False))
            ]
            lines.append("  ".join([*cells, row[-1]]).rstrip())
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<tessera.Tuning {self.summary()}>"

    @property
    def ordered(self) -> list[TunedKernel]:
        """Kernels, those that take most of the time first."""
        return sorted(self.kernels, key=lambda item: -item.default_us * item.launches)

    @staticmethod
    def _row(kernel: TunedKernel) -> Sequence[str]:
        timed = kernel.default_us > 0
        what = kernel.change or kernel.status
        if kernel.change and kernel.status == "stored":
            what += ", stored"
        return (
            kernel.kind,
            kernel.shape,
            kernel.module,
            str(kernel.launches),
            f"{kernel.default_us:.1f}" if timed else "",
            f"{kernel.best_us:.1f}" if timed else "",
            f"{kernel.gain:.2f}x" if timed else "",
            what,
        )

    def rich_table(self) -> Any:
        """The same as a table of ``rich``."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=escape(self.summary()), title_justify="left", header_style="bold")
        for place, name in enumerate(
            ("kernel", "shape", "module", "runs", "default µs", "best µs", "gain", "point")
        ):
            table.add_column(name, justify="right" if 3 <= place <= 6 else "left", overflow="fold")
        for kernel in self.ordered:
            style = "green" if kernel.gain > 1.0 else None
            table.add_row(*(escape(cell) for cell in self._row(kernel)), style=style)
        return table


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
