# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where the time of a profiled call goes, and what could be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tessera.report.report import IslandRow, Report

#: How many places are named.
PLACES = 3


def hotspots(report: Report) -> list[str]:
    """What takes the time, and what promoting an island would save at most; most first."""
    if report.mode == "hybrid":
        return _in_children(report)
    islands = [(row.measured_us, row) for row in report.islands if row.measured_us]
    kernels = [(row.measured_us, row) for row in report.kernels if row.measured_us]
    total = sum(time for time, _ in islands) + sum(time for time, _ in kernels)
    if not total:
        return []
    islands.sort(key=lambda item: -item[0])
    lines = [_island(row, time, total) for time, row in islands[:PLACES]]
    if kernels:
        time, top = max(kernels, key=lambda item: item[0])
        where = ", ".join(top.fqns) or "(root)"
        name = f" {top.name}" if top.kind == "native" else ""
        lines.append(f"{_share(time, total)} is the {top.kind} kernel{name} of {where}")
    return lines


def _island(row: IslandRow, time: float, total: float) -> str:
    if row.native:
        return f"{_share(time, total)} is in the submodule {row.fqn}, which was replaced"
    names = ", ".join(row.ops)
    where = f" in {row.fqn}" if row.fqn and row.fqn != names else ""
    line = f"{_share(time, total)} is in PyTorch for {names}{where}, which promoting it would save"
    return f"{line} at most: {row.remedy}" if row.remedy else f"{line} at most"


def _in_children(report: Report) -> list[str]:
    """Of a forward() that stays Python: its compiled submodules, and the rest."""
    total = report.timings.get("call", 0.0) * 1e3
    spent = {path: child.timings.get("call", 0.0) * 1e3 for path, child in report.children.items()}
    if not total or not any(spent.values()):
        return []
    most = sorted(spent, key=lambda path: -spent[path])[:PLACES]
    lines = [f"{_share(spent[path], total)} is in {path}" for path in most if spent[path]]
    own = max(total - sum(spent.values()), 0.0)
    return [*lines, f"{_share(own, total)} is forward() itself, which stays Python"]


def _share(microseconds: float, total: float) -> str:
    from tessera.report.report import duration  # which imports this module

    return f"{100 * microseconds / total:.0f} % of the time ({duration(microseconds / 1e3)})"
