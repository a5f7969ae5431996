# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The commands."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tessera.cli.cache import app as cache

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Tessera: a compiler with a PyTorch front door.",
)


app.add_typer(cache, name="cache")


class Mode(StrEnum):
    """How much ``tessera tune`` does."""

    quick = "quick"
    full = "full"


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


@app.command(context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
def tune(
    program: Annotated[str, typer.Argument(help="A script, or with -m a module.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="What the program gets.")] = None,
    module: Annotated[bool, typer.Option("-m", help="PROGRAM is a module.")] = False,
    mode: Annotated[
        Mode, typer.Option(help="quick: half a minute a model; full: up to ten minutes.")
    ] = Mode.quick,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Another limit, for each model.")
    ] = None,
) -> None:
    """Run a program and tune the models it converts.

    The program runs as with python; what ts.from_pytorch, ts.jit and torch.compile(backend=
    "tessera") compile on the way is tuned, and a table says what was gained. Later runs of it, and
    of others with the same kernels, use what was found. Ctrl-C keeps what there is.
    """
    from tessera.cli.tune import run

    if not module and not Path(program).is_file():
        raise typer.BadParameter(f"there is no file {program!r}; for a module, add -m")
    raise typer.Exit(
        run(program, arguments or [], is_module=module, mode=mode.value, seconds=seconds)
    )
