# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reports for people: tables with ``rich`` where it is installed, plain text where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tessera.errors import ArgumentError
from tessera.report.report import IslandRow, KernelRow, NodeRow, Report, render_text

if TYPE_CHECKING:
    from rich.table import Table


def print_report(
    report: Report, *, nodes: bool = False, level: str | None = None, console: Any = None
) -> None:
    """Prints `report`; with `nodes` also one line for each node of the model; with `level`
    "schedule" how kernels came about instead."""
    if level is not None:
        if level != "schedule":
            raise ArgumentError(
                f'explain: level is {level!r}, and only "schedule" is explained by itself',
                remedy='leave it out for the report, or print the text of a level: ir("tile")',
            )
        from tessera.report.schedule import render_schedule

        print(render_schedule(report))
        return
    try:
        from rich.console import Console
    except ImportError:
        print(render_text(report, nodes=nodes))
        return
    if console is None:
        console = Console()
        if not console.is_terminal:  # a file or a pipe has no width
            console = Console(width=120)
    _print(report, console, nodes, "")


def _print(report: Report, console: Any, nodes: bool, indent: str) -> None:
    console.print(f"{indent}[bold]{_escape(report.summary())}[/bold]", highlight=False)
    for attempt in report.capture:
        if not attempt.succeeded or len(report.capture) > 1:
            style = "green" if attempt.succeeded else "yellow"
            console.print(
                f"{indent}  [{style}]capture: {_escape(str(attempt))}[/{style}]", highlight=False
            )
    if report.timings:
        console.print(f"{indent}  {report.times}", style="dim", highlight=False)
    if report.kernels:
        console.print(f"{indent}  memory: {report.buffers}", style="dim", highlight=False)
        console.print(kernel_table(report.kernels))
    if report.crossings:
        console.print(f"{indent}  {report.crossings}", style="dim", highlight=False)
    if report.islands:
        console.print(island_table(report.islands))
    if nodes and report.nodes:
        console.print(node_table(report.nodes))
    for line in report.hotspots:
        console.print(f"{indent}  [cyan]→[/cyan] {_escape(line)}", highlight=False)
    for path, child in report.children.items():
        console.print(f"{indent}  [bold]{_escape(path)}[/bold]", highlight=False)
        _print(child, console, nodes, indent + "    ")


def kernel_table(kernels: list[KernelRow]) -> Table:
    """Launches in order: what they compute, where it stands in the model, how long it took."""
    from rich.table import Table

    measured = any(row.measured_us is not None for row in kernels)
    table = Table(title="compiled kernels", title_justify="left", header_style="bold")
    table.add_column("kind", no_wrap=True)
    table.add_column("module", overflow="fold")
    table.add_column("source", overflow="fold")
    for name in ("GFLOP", "MB", *(("µs", "GFLOP/s") if measured else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for row in kernels:
        cells = [
            row.kind,
            _escape(", ".join(row.fqns) or "(root)"),
            _escape(", ".join(row.sources)),
            f"{row.flops / 1e9:.3f}" if row.flops else "",
            f"{row.bytes / 1e6:.2f}",
        ]
        if measured:
            time = row.measured_us
            rate = f"{row.flops / time / 1e3:.0f}" if time and row.flops else ""
            cells += ["" if time is None else f"{time:.2f}", rate]
        table.add_row(*cells)
    return table


def island_table(islands: list[IslandRow]) -> Table:
    """Regions that run in PyTorch, why, and what to do about it."""
    from rich.table import Table

    table = Table(
        title="PyTorch islands and replaced submodules",
        title_justify="left",
        header_style="bold",
    )
    for name in ("module", "operators", "why", "what to do"):
        table.add_column(name, overflow="fold")
    for name in ("KB in", "KB out", "µs", "calls", "mean µs"):
        table.add_column(name, justify="right")
    for row in islands:
        table.add_row(
            _escape(row.fqn or "(root)"),
            _escape(", ".join(row.ops)),
            _escape(f"{row.reason} [{row.code}]"),
            _escape(row.remedy),
            f"{row.bytes_in / 1e3:.1f}",
            f"{row.bytes_out / 1e3:.1f}",
            "" if row.measured_us is None else f"{row.measured_us:.2f}",
            str(row.calls),
            f"{row.total_us / row.calls:.1f}" if row.calls else "",
        )
    return table


def node_table(nodes: list[NodeRow]) -> Table:
    """Every node of the captured graph."""
    from rich.table import Table

    table = Table(title="nodes", title_justify="left", header_style="bold")
    for name in ("node", "operator", "module", "source", "status", "kernel or reason"):
        table.add_column(name, overflow="fold")
    colours = {
        "island": "yellow",
        "kept": "yellow",
        "opaque": "magenta",
        "folded": "dim",
        "native": "cyan",
    }
    for row in nodes:
        style = colours.get(row.status)
        last = row.reason or ", ".join(row.kernels)
        table.add_row(
            row.node,
            row.op,
            _escape(row.fqn),
            _escape(row.source),
            row.status,
            _escape(last),
            style=style,
        )
    return table


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
