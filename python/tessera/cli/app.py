# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The commands."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Tessera: a compiler with a PyTorch front door.",
)


@app.callback()
def _root() -> None:
    """Tessera: a compiler with a PyTorch front door."""


@app.command()
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the CPU, the versions and the cache."""
    from tessera.cli.info import collect

    data = collect()
    if as_json:
        print(json.dumps(data, indent=2))
        return
    cpu, versions, cache = data["cpu"], data["versions"], data["cache"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = [
        ("tessera", f"{data['tessera']['version']} ({data['tessera']['build']})"),
        (
            "CPU",
            f"{cpu['name']}, {cpu['vectors']}, {cpu['usable_cores']} of {cpu['cores']} cores "
            f"usable, torch uses {cpu['torch_threads']} threads",
        ),
        ("Python", f"{versions['python']} (works with {versions['python_range']})"),
        ("torch", f"{versions['torch']} (works with {versions['torch_range']})"),
        ("LLVM", versions["llvm"]),
        ("system", versions["system"]),
        (
            "cache",
            f"{cache['folder']}: {cache['entries']} entries, {cache['bytes'] / 1e6:.1f} MB of "
            + ("any size" if cache["limit"] is None else f"at most {cache['limit'] / 1e6:.0f} MB"),
        ),
    ]
    if data["debug"]:
        rows.append(("debug", ", ".join(data["debug"])))
    for name, value in rows:
        table.add_row(name, str(value))
    Console().print(table, highlight=False)
