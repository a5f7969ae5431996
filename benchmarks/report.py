# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tables for people, JSON for everything else."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import Round
from benchmarks.zoo import Case

RESULTS = Path(__file__).with_name("results")


@dataclass
class Row:
    """One measured case."""

    case: Case
    round: Round
    missing: dict[str, str] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)

    def rate(self, name: str) -> float:
        """GFLOP/s or GB/s."""
        return (self.case.work or 0.0) / self.round.series[name].best / 1e9

    @property
    def peak(self) -> float:
        """GFLOP/s: of pairs of bfloat16 the machine multiplies twice as many as of float32."""
        return self.round.peak * (2 if self.case.precision == "bf16" else 1)

    @property
    def limit(self) -> float:
        return self.peak if self.case.bound == "flops" else self.round.bandwidth

    def speedup(self, name: str) -> float:
        """How many times faster Tessera is, lower quartiles of one interleaved run."""
        return self.round.series[name].quartile / self.round.series["tessera"].quartile

    def json(self) -> dict[str, Any]:
        return {
            "case": self.case.name,
            "work": self.case.work,
            "bound": self.case.bound,
            "peak_gflops": self.peak,
            "bandwidth_gbs": self.round.bandwidth,
            "missing": self.missing,
            "max_abs_error": self.error,
            "seconds": {name: series.times for name, series in self.round.series.items()},
        }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


def print_row(row: Row, peers: list[str]) -> None:
    """One case: time, rate, share of the limit, and Tessera's lead, a line a candidate."""
    unit = "GF/s" if row.case.bound == "flops" else "GB/s"
    print(f"\n{row.case.name}    ({row.limit:.0f} {unit} measured beside it)")
    head = f"{'best ms':>10}{'quartile':>10}{unit:>9}{'of limit':>10}{'lead':>8}{'max error':>12}"
    print(f"  {'':14}{head}")
    for name in peers:
        if name not in row.round.series:
            print(f"  {name:14}{row.missing.get(name, 'not run')}")
            continue
        series = row.round.series[name]
        lead = f"{row.speedup(name):.2f}x" if "tessera" in row.round.series else ""
        error = f"{row.error[name]:.1e}" if name in row.error else ""
        print(
            f"  {name:14}{_milliseconds(series.best):>10}{_milliseconds(series.quartile):>10}"
            f"{row.rate(name):>9.1f}{row.rate(name) / row.limit:>10.1%}{lead:>8}{error:>12}",
            flush=True,
        )


def print_summary(rows: list[Row], peers: list[str]) -> None:
    """Geometric mean of the leads."""
    print("\nlead of tessera, geometric mean (least)")
    for name in peers:
        leads = [
            row.speedup(name)
            for row in rows
            if name != "tessera" and name in row.round.series and "tessera" in row.round.series
        ]
        if leads:
            mean = math.exp(sum(map(math.log, leads)) / len(leads))
            print(f"  {name:14}{mean:6.2f}x  ({min(leads):.2f}x)  over {len(leads)} cases")


def write_json(kind: str, about: dict[str, Any], rows: list[Row], path: Path | None) -> Path:
    """Writes everything measured; returns the file."""
    if path is None:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": about, "rows": [row.json() for row in rows]}, indent=1))
    return path
