# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What became of each node of a model: the object behind every message, table and JSON file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.lowering.context import Location
from tessera.report.hotspots import hotspots

#: Version of the JSON layout.
FORMAT = 1
#: The parts of the time "compile": to each level, and the machine code.
COMPILING = ("graph", "schedule", "tile", "code")


#: operators of Graph IR that move values and compute nothing
MOVEMENT = frozenset(
    ("broadcast", "concat", "pad", "permute", "reshape", "reverse", "slice", "window")
)


@dataclass
class NodeRow:
    """One node of the captured graph."""

    node: str
    op: str
    fqn: str
    file: str
    line: int
    #: "compiled", "decomposed" (compiled through simpler operators), "folded" (no work left at
    #: run time), "native" (a kernel of the user's own), "opaque" (a submodule put in place by the
    #: user, with a program of its own), "island" (runs in PyTorch) or "kept" (supported, but beside
    #: islands PyTorch is cheaper)
    status: str
    #: reason code, reason and remedy of an island
    code: str = ""
    reason: str = ""
    remedy: str = ""
    #: the rule that lowered it, or the operators it was decomposed into
    lowered_by: str = ""
    #: names of the kernels that compute it
    kernels: list[str] = field(default_factory=list)
    island: int | None = None

    @property
    def source(self) -> str:
        return f"{Path(self.file).name}:{self.line}" if self.file else ""

    @property
    def location(self) -> Location:
        return (self.fqn, self.file, self.line)


@dataclass
class IslandRow:
    """One region that runs in PyTorch."""

    id: int
    fqn: str
    ops: list[str]
    code: str
    reason: str
    remedy: str
    bytes_in: int = 0
    bytes_out: int = 0
    #: it is an opaque submodule that Tessera compiles inside where it can
    native: bool = False
    measured_us: float | None = None
    #: the operators only PyTorch can run; the others in `ops` keep them company
    causes: list[str] = field(default_factory=list)
    #: what going there and back costs by the partitioner's prices
    crossing_us: float = 0.0
    #: at run time, up to now: calls, microseconds and bytes in all of them
    calls: int = 0
    total_us: float = 0.0
    total_bytes: int = 0


@dataclass
class KernelRow:
    """One launch of a compiled kernel, or (of kind "native") of one of the user's own."""

    name: str
    kind: str
    schedule: str
    fqns: list[str]
    sources: list[str]
    flops: float = 0.0
    bytes: float = 0.0
    cached: bool = False
    measured_us: float | None = None
    #: its number among what the program calls, where it is a kernel of the user's own
    native: int | None = None
    #: the ops of its body, in order
    fused: list[str] = field(default_factory=list)
    #: why what it reads is computed by other kernels: "matmul in fc: …"
    apart: list[str] = field(default_factory=list)
    #: the default point where a tuned one took its place, and the key that was found under
    standard: str = ""
    tuned: str = ""


@dataclass
class CaptureAttempt:
    """One rung of the capture ladder that was tried."""

    rung: str
    succeeded: bool
    message: str = ""
    file: str = ""
    line: int = 0
    next_rung: str = ""

    def __str__(self) -> str:
        if self.succeeded:
            return f"{self.rung}: captured"
        where = f" at {self.file}:{self.line}" if self.file else ""
        then = f"; next: {self.next_rung}" if self.next_rung else ""
        return f"{self.rung}: failed{where}: {self.message}{then}"


@dataclass
class Buffers:
    """Bytes of memory that calls take besides their inputs and outputs."""

    #: of intermediate results
    arena: int = 0
    #: the largest set of those alive at once, which no plan of the memory goes below
    live: int = 0
    #: packed weights and what else is made of parameters once
    prepared: int = 0
    #: read in place, where PyTorch has them
    parameters: int = 0

    def before(self, later: Buffers) -> Buffers:
        """Of two programs that run one after the other."""
        return Buffers(
            max(self.arena, later.arena),
            max(self.live, later.live),
            self.prepared + later.prepared,
            self.parameters + later.parameters,
        )

    def __str__(self) -> str:
        over = self.arena / self.live - 1 if self.live else 0.0
        parts = [
            f"{size(self.arena)} of intermediate results ({over:.1%} above the least possible)",
            f"{size(self.prepared)} of packed weights beside {size(self.parameters)} of parameters",
        ]
        return ", ".join(parts)


@dataclass
class Report:
    """Everything known about one conversion."""

    model: str
    #: "compiled" (one program), "hybrid" (Python forward over compiled submodules), "pytorch", or
    #: of ts.jit "uncompiled"
    mode: str = "compiled"
    #: what products are computed in, where not in what they have: "bf16"
    precision: str | None = None
    nodes: list[NodeRow] = field(default_factory=list)
    islands: list[IslandRow] = field(default_factory=list)
    kernels: list[KernelRow] = field(default_factory=list)
    capture: list[CaptureAttempt] = field(default_factory=list)
    #: milliseconds: "capture" is torch's time, "import" and "compile" are Tessera's; "graph",
    #: "schedule", "tile" and "code" are parts of "compile"
    timings: dict[str, float] = field(default_factory=dict)
    #: bytes by which each phase made the process grow
    memory: dict[str, int] = field(default_factory=dict)
    buffers: Buffers = field(default_factory=Buffers)
    #: reports of submodules compiled on their own, by path
    children: dict[str, Report] = field(default_factory=dict)

    # --- questions ------------------------------------------------------------------------

    @property
    def unconverted(self) -> list[NodeRow]:
        """The nodes that only PyTorch can run."""
        return [row for row in self.nodes if row.status == "island"]

    @property
    def fully_converted(self) -> bool:
        return self.mode == "compiled" and not any(not row.native for row in self.islands)

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for row in self.nodes:
            counts[row.status] = counts.get(row.status, 0) + 1
        return counts

    @property
    def tessera_ms(self) -> float:
        """Milliseconds Tessera itself needed, torch's capture apart."""
        return sum(value for key, value in self.timings.items() if key in ("import", "compile"))

    @property
    def times(self) -> str:
        """Where the time of the conversion went, and what a profiled call took, as text."""
        parts = [f"{key} {duration(self.timings[key])}" for key in COMPILING if key in self.timings]
        texts = []
        for key, value in self.timings.items():
            if key not in COMPILING:
                within = f" ({', '.join(parts)})" if key == "compile" and parts else ""
                texts.append(f"{key} {duration(value)}{within}")
        return ", ".join(texts)

    @property
    def hotspots(self) -> list[str]:
        """Sentences that say where the time of a profiled call goes and what promoting an island
        would save; empty before ``tess.profile(…)``."""
        return hotspots(self)

    @property
    def copies(self) -> list[KernelRow]:
        """The launches that compute nothing: they bring values into another layout or place."""
        return [
            kernel
            for kernel in self.kernels
            if kernel.kind == "elementwise" and MOVEMENT.issuperset(kernel.fused)
        ]

    @property
    def copied(self) -> str:
        """How much a call moves by launches that compute nothing, as a sentence."""
        copies = self.copies
        if not copies:
            return ""
        moved = sum(kernel.bytes for kernel in copies)
        share = moved / (sum(kernel.bytes for kernel in self.kernels) or 1)
        return (
            f"copies: {size(int(moved))} a call only to change layout or place, in "
            f"{_count(len(copies), 'launch')} ({share:.1%} of what all read and write)"
        )

    @property
    def crossing_us(self) -> float:
        """Microseconds of a call for going to islands and back, by the partitioner's prices."""
        return sum(row.crossing_us for row in self.islands)

    @property
    def crossings(self) -> str:
        """How often a call goes to islands and back, and what that costs, as a sentence."""
        if not self.crossing_us:
            return ""
        return (
            f"crossings: {_count(len(self.islands), 'time')} a call into PyTorch and back, about "
            f"{self.crossing_us:.0f} us by themselves"
        )

    def count(self, counters: Mapping[int, Any]) -> None:
        """Notes how often islands have run; `counters` are `lowering.islands.Calls` by id."""
        for row in self.islands:
            calls = counters.get(row.id)
            if calls is not None:
                row.calls, row.total_us = calls.count, calls.nanoseconds / 1e3
                row.total_bytes = row.calls * (row.bytes_in + row.bytes_out)

    # --- output ---------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the JSON layout."""
        data = dataclasses.asdict(self)
        data["children"] = {fqn: child.to_dict() for fqn, child in self.children.items()}
        return {
            "format": FORMAT,
            **data,
            "counts": self.counts,
            "tessera_ms": self.tessera_ms,
            "hotspots": self.hotspots,
            "crossing_us": self.crossing_us,
            "copies": [kernel.name for kernel in self.copies],
        }

    def to_json(self, indent: int | None = 2) -> str:
        return json.dumps(self.to_dict(), indent=indent)

    def summary(self) -> str:
        """One line."""
        counts = self.counts
        total = sum(counts.values())
        kept = counts.get("kept", 0)
        done = total - counts.get("island", 0) - kept
        if self.mode == "pytorch":
            return f"{self.model}: runs in PyTorch as a whole"
        if self.mode == "uncompiled":
            return f"{self.model}: runs uncompiled"
        if self.mode == "hybrid":
            below = _count(len(self.children), "compiled submodule")
            return f"{self.model}: forward() runs in Python over " + (
                below if self.children else "submodules that are compiled when it calls them"
            )
        own = sum(row.native for row in self.islands)
        islands = len(self.islands) - own
        parts = [
            f"{done - own} of {total - own} nodes compiled into "
            f"{_count(len(self.kernels), 'launch')}",
            _count(islands, "PyTorch island"),
        ]
        if kept:
            parts.append(f"{_count(kept, 'more node')} kept in PyTorch to save crossings")
        if own:
            parts.append(_count(own, "replaced submodule"))
        if self.precision:
            parts.append(f"products in {self.precision}")
        return f"{self.model}: {', '.join(parts)}"

    def __str__(self) -> str:
        return render_text(self)

    def __repr__(self) -> str:
        return f"<tessera.Report {self.summary()}>"


def size(count: int) -> str:
    """Bytes in the unit that leaves three digits."""
    value, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def duration(milliseconds: float) -> str:
    """A time for people, in the unit that leaves it a few digits."""
    if milliseconds >= 10:
        return f"{milliseconds:.0f} ms"
    if milliseconds >= 1:
        return f"{milliseconds:.1f} ms"
    microseconds = milliseconds * 1e3
    return f"{microseconds:.0f} µs" if microseconds >= 10 else f"{microseconds:.2f} µs"


def _count(number: int, noun: str) -> str:
    plural = "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{'' if number == 1 else plural}"


def render_text(report: Report, *, nodes: bool = False) -> str:
    """The report as plain text; with `nodes` also one line for each node of the model."""
    lines = [report.summary()]
    lines += [f"  capture: {attempt}" for attempt in report.capture]
    if report.timings:
        lines.append(f"  time: {report.times}")
    if report.kernels:
        lines.append(f"  memory: {report.buffers}")
    lines += [f"  {line}" for line in [report.copied, report.crossings] if line]
    for island in report.islands:
        where = f" in {island.fqn}" if island.fqn else ""
        lines.append(f"  island {island.id}{where}: {', '.join(island.ops)}: {island.reason}")
        if island.remedy:
            lines.append(f"    what to do: {island.remedy}")
        if island.measured_us is not None:
            lines.append(f"    in this call {island.measured_us:.2f} us")
        if island.calls:
            mean, crossed = island.total_us / island.calls, island.total_bytes / 1e6
            lines.append(
                f"    so far {_count(island.calls, 'call')} of {mean:.1f} us, "
                f"{crossed:.2f} MB crossed"
            )
    for kernel in report.kernels:
        measured = "" if kernel.measured_us is None else f" {kernel.measured_us:9.2f} us"
        lines.append(f"  {kernel.kind:<12}{measured} {kernel.name}  {', '.join(kernel.sources)}")
    lines += [f"  → {line}" for line in report.hotspots]
    for node in report.nodes if nodes else ():
        what = node.reason or ", ".join(node.kernels)
        place = " ".join(part for part in (node.fqn, node.source) if part)
        lines.append(f"  {node.node} = {node.op} ({place}): {node.status}: {what}".rstrip(": "))
    for fqn, child in report.children.items():
        text = render_text(child, nodes=nodes)
        lines += [f"  {fqn}: {line}" for line in text.splitlines()]
    return "\n".join(lines)


def _with_children(report: Report, path: str = "") -> list[tuple[str, NodeRow]]:
    """The unconverted nodes here and in submodules compiled on their own, and whose they are."""
    found = [
        (".".join(part for part in (path, row.fqn) if part), row) for row in report.unconverted
    ]
    for name, child in report.children.items():
        found += _with_children(child, ".".join(part for part in (path, name) if part))
    return found


def strict_message(report: Report) -> str:
    """The text of the strict error: every unconverted node with its place, reason and remedy."""
    rows = _with_children(report)
    lines = [
        f"{report.model}: {len(rows)} node{'' if len(rows) == 1 else 's'} could not be "
        "converted (strict=True):"
    ]
    for fqn, row in rows:
        where = f" in {fqn}" if fqn else ""
        source = f" ({row.file}:{row.line})" if row.file else ""
        lines.append(f"  {row.op}{where}{source}: {row.reason} [{row.code}]")
        if row.remedy:
            lines.append(f"      what to do: {row.remedy}")
    return "\n".join(lines)
