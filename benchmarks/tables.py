# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measured rows read back: who is the best peer, as Markdown tables and as plots (SVG)."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Series

#: A peer whose error against float64 is more than this many times eager's computes something else.
WRONG = 50.0
OURS = "tessera"


@dataclass(frozen=True)
class Result:
    """One case of one run, as report.Row.json() wrote it."""

    case: str
    work: float
    bound: str
    limit: float
    series: dict[str, Series]
    missing: dict[str, str]
    error: dict[str, float]

    @classmethod
    def read(cls, row: dict[str, Any]) -> Result:
        limit = row["peak_gflops"] if row["bound"] == "flops" else row["bandwidth_gbs"]
        series = {name: Series(times) for name, times in row["seconds"].items()}
        return cls(
            row["case"], row["work"] or 0.0, row["bound"], limit, series, row["missing"],
            row["max_abs_error"],
        )  # fmt: skip

    def is_wrong(self, name: str) -> bool:
        """Whether the peer's result is another one than eager's."""
        error, eager = self.error.get(name), self.error.get("eager")
        if error is None or eager is None:
            return False
        return not error <= WRONG * max(eager, 1e-12)

    def share(self, name: str) -> float:
        """Of the limit measured beside it, at the lower quartile; 0 for one that did not run."""
        if name not in self.series:
            return 0.0
        return self.work / self.series[name].quartile / 1e9 / self.limit

    def lead(self, name: str) -> float | None:
        """How many times faster Tessera is than `name`."""
        if name not in self.series or OURS not in self.series:
            return None
        return self.series[name].quartile / self.series[OURS].quartile

    def best_peer(self) -> str | None:
        """The fastest of those that compute the same."""
        peers = [name for name in self.series if name != OURS and not self.is_wrong(name)]
        return min(peers, key=lambda name: self.series[name].quartile, default=None)


@dataclass(frozen=True)
class Run:
    """What one command measured."""

    kind: str
    about: dict[str, Any]
    results: list[Result]

    @classmethod
    def read(cls, path: Path) -> Run:
        content = json.loads(path.read_text())
        about = content["machine"]
        return cls(about["kind"], about, [Result.read(row) for row in content["rows"]])

    @property
    def threads(self) -> int:
        return int(self.about["threads"])

    @property
    def title(self) -> str:
        threads = "one thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.kind.capitalize()}, {threads}"


def merged(runs: Iterable[Run]) -> list[Run]:
    """Runs of one kind and number of threads as one; of a case measured twice the last counts."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.kind, run.threads), []).append(run)
    together = []
    for (kind, _), group in sorted(
        groups.items(), key=lambda item: (item[0][0] != "models", *item[0])
    ):
        by_case = {result.case: result for run in group for result in run.results}
        about = dict(group[-1].about)
        dates = sorted(run.about["date"] for run in group)
        about["date"] = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        together.append(Run(kind, about, list(by_case.values())))
    return together


def duration(seconds: float) -> str:
    """Three digits with a unit."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1 or unit == "µs":
            value = seconds * factor
            digits = max(0, 2 - math.floor(math.log10(max(value, 1e-9))))
            return f"{value:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def _lead(result: Result, name: str) -> str:
    lead = result.lead(name)
    if lead is None:
        return "–"
    return f"({lead:.2f})" if result.is_wrong(name) else f"{lead:.2f}"


def _row(result: Result, peers: Sequence[str]) -> str:
    ours, best = result.series.get(OURS), result.best_peer()
    if ours is None:
        return f"| {result.case} | {result.missing.get(OURS, 'did not run')} |" + " |" * (
            len(peers) + 3
        )
    lead = f"**{result.lead(best):.2f}** ({best})" if best else "–"
    error = "–"
    if OURS in result.error and result.error.get("eager"):
        error = f"{result.error[OURS] / result.error['eager']:.2f}"
    cells = [result.case, duration(ours.quartile), f"{result.share(OURS):.0%}", lead]
    return "| " + " | ".join([*cells, *(_lead(result, name) for name in peers), error]) + " |"


def table(run: Run, peers: Sequence[str] | None = None) -> str:
    """A Markdown table: time, share of the limit, lead over the best peer and each one, error.

    `peers`: those to show, of the ones that ran (default: all).
    """
    ran = list(dict.fromkeys(n for r in run.results for n in r.series if n != OURS))
    peers = ran if peers is None else [name for name in peers if name in ran]
    head = ["", "time", "of limit", "lead over the best peer", *peers, "error / eager's"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    lines += [_row(result, peers) for result in run.results]
    leads = [lead for r in run.results if (best := r.best_peer()) and (lead := r.lead(best))]
    if len(leads) > 1:
        mean = f"**{statistics.geometric_mean(leads):.2f}**"
        lines.append(f"| geometric mean | | | {mean} |" + " |" * (len(peers) + 1))
    return "\n".join(lines)


def plot(run: Run, path: Path) -> None:
    """Bars of the share of the measured limit, a line at all of it; writes an SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    # The same numbers give the same file.
    mpl.rcParams["svg.hashsalt"] = "tessera"
    names = list(dict.fromkeys(n for r in run.results for n in r.series))
    names.sort(key=lambda name: name != OURS)
    colours = mpl.color_sequences["tab10"]
    height = 0.8 / max(len(names), 1)
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.17 * len(names) * len(run.results)))
    for position, name in enumerate(names):
        at = [row + position * height for row in range(len(run.results))]
        shares = [100 * result.share(name) for result in run.results]
        axes.barh(at, shares, height, label=name, color=colours[position % len(colours)])
    axes.axvline(100, color="black", linewidth=1)
    axes.text(100, -0.55, "measured peak ", ha="right", fontsize=8)
    axes.set_yticks([row + 0.4 for row in range(len(run.results))], [r.case for r in run.results])
    axes.set_ylim(len(run.results), -0.7)
    axes.set_xlabel("% of the limit measured in the same minutes (FMA peak, or read bandwidth)")
    axes.set_title(f"{run.title}: {run.about['cpu']}, {run.about['date']}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
