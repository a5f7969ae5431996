# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the compiler and the clock know, put into the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tessera.lowering.context import Location
from tessera.report.report import KernelRow, Report


def attach_kernels(report: Report, compiled: Any) -> None:
    """Rows for the launches, and on every node the kernels that compute it."""
    by_place: dict[Location, list[str]] = {}
    report.kernels = []
    for launch in compiled.launches:
        origins = [(origin.fqn, origin.file, origin.line) for origin in launch.origins]
        for origin in origins:
            by_place.setdefault(origin, []).append(launch.name)
        sources = [f"{Path(file).name}:{line}" for _, file, line in origins if file]
        report.kernels.append(
            KernelRow(
                launch.name,
                launch.kind,
                launch.schedule,
                list(dict.fromkeys(fqn for fqn, _, _ in origins if fqn)),
                list(dict.fromkeys(sources)),
                launch.flops,
                launch.bytes,
                launch.cached,
            )
        )
    for row in report.nodes:
        if row.status == "island":
            continue
        row.kernels = list(dict.fromkeys(by_place.get(row.location, ())))
        if not row.kernels and row.status == "compiled":
            row.status = "folded"
    report.timings["lower"] = compiled.timings.lower_ms
    report.timings["codegen"] = compiled.timings.codegen_ms


def attach_profile(report: Report, compiled: Any, nanoseconds: Sequence[float]) -> None:
    """Measured times, one for each instruction of the program, in its order."""
    launches = iter(report.kernels)
    islands = {row.id: row for row in report.islands}
    for instruction, time in zip(compiled.instructions, nanoseconds, strict=True):
        microseconds = time / 1e3
        if instruction["kind"] == "launch":
            next(launches).measured_us = microseconds
        elif instruction["target"] in islands:
            islands[instruction["target"]].measured_us = microseconds
