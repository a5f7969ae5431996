# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the compiler and the clock know, put into the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.lowering.context import Location
from tessera.report.report import COMPILING, Buffers, IslandRow, KernelRow, Report


def attach_kernels(
    report: Report, compiled: Any, natives: Mapping[int, tuple[str, Location]]
) -> None:
    """Rows for the launches, and on every node the kernels that compute it.

    `natives` are the kernels of users among what the program calls; see LoweringContext.natives.
    """
    by_place: dict[Location, list[str]] = {}
    report.kernels = []
    launches = iter(compiled.launches)
    for instruction in compiled.instructions:
        target = instruction["target"]
        if instruction["kind"] == "launch":
            row, origins = _compiled_row(next(launches))
        elif target in natives:
            name, place = natives[target]
            row, origins = KernelRow(name, "native", "", *_places([place]), native=target), [place]
        else:
            continue
        for origin in origins:
            by_place.setdefault(origin, []).append(row.name)
        report.kernels.append(row)
    for node in report.nodes:
        if node.status in ("island", "kept"):
            continue
        node.kernels = list(dict.fromkeys(by_place.get(node.location, ())))
        if not node.kernels and node.status == "compiled":
            node.status = "folded"
    plan = compiled.memory
    report.buffers = Buffers(plan.arena, plan.live, plan.prepared, plan.parameters)
    for name in COMPILING:
        report.timings[name] = getattr(compiled.timings, f"{name}_ms")


def _compiled_row(launch: Any) -> tuple[KernelRow, list[Location]]:
    origins = [(origin.fqn, origin.file, origin.line) for origin in launch.origins]
    row = KernelRow(
        launch.name, launch.kind, launch.schedule, *_places(origins), launch.flops, launch.bytes,
        launch.cached, fused=launch.fused, apart=launch.apart, standard=launch.standard,
        tuned=launch.tuned,
    )  # fmt: skip
    return row, origins


def _places(origins: Sequence[Location]) -> tuple[list[str], list[str]]:
    """The module paths and the source lines."""
    sources = [f"{Path(file).name}:{line}" for _, file, line in origins if file]
    return list(dict.fromkeys(fqn for fqn, _, _ in origins if fqn)), list(dict.fromkeys(sources))


def attach_profile(
    report: Report, compiled: Any, nanoseconds: Sequence[float], offset: int = 0
) -> None:
    """Measured times, one for each instruction of the program, in its order.

    `offset` is by how much the islands' numbers in the report are higher than in the program.
    """
    launches = iter([row for row in report.kernels if row.native is None])
    called: dict[int, IslandRow | KernelRow] = {row.id - offset: row for row in report.islands}
    called.update({row.native: row for row in report.kernels if row.native is not None})
    for instruction, time in zip(compiled.instructions, nanoseconds, strict=True):
        microseconds = time / 1e3
        if instruction["kind"] == "launch":
            next(launches).measured_us = microseconds
        elif instruction["target"] in called:
            called[instruction["target"]].measured_us = microseconds
