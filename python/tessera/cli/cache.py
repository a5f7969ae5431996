# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``tessera cache``: what is kept on disk, and schedules on their way to another machine."""

from __future__ import annotations

import datetime
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tessera.tuning.store import Entry

app = typer.Typer(
    no_args_is_help=True,
    help="What is kept on disk: machine code of kernels, and tuned schedules. The folder is "
    "TESSERA_CACHE_DIR, or ~/.cache/tessera.",
)

#: Of an exported file.
FORMAT = "tessera schedules 1"
#: Files larger than this are no export.
MAX_IMPORT_BYTES = 64 << 20
_OBJECT = re.compile(r"[0-9a-f]{62}\.o")


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"[red]error:[/red] {escape(message)}", highlight=False)
    raise typer.Exit(1)


def _folder() -> Path:
    from tessera._settings import settings

    folder = settings().cache_dir
    if not folder:
        _fail("there is no cache folder: TESSERA_CACHE_DIR is off, or its folder was refused")
    return Path(folder)


def _store() -> Any:
    from tessera.tuning.stored import store

    _folder()
    return store()


def _matching(prefixes: list[str]) -> list[Entry]:
    """Entries by the beginnings of their keys; all without any."""
    entries = sorted(_store().entries().values(), key=lambda item: -item.created)
    if not prefixes:
        return entries
    found = []
    for prefix in prefixes:
        matches = [entry for entry in entries if entry.key.startswith(prefix.lower())]
        if not matches:
            _fail(f"no schedule's key begins with {prefix!r}; tessera cache list shows them")
        found += matches
    return found


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List tuned schedules, the newest first, and how much code is kept."""
    entries = _matching([])
    objects = _objects()
    if as_json:
        data = {
            "schedules": [asdict(entry) for entry in entries],
            "kernels": len(objects),
            "kernel_bytes": sum(path.stat().st_size for path in objects),
        }
        print(json.dumps(data, indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(header_style="bold")
    for name in ("key", "kernel", "shape", "module", "threads"):
        table.add_column(name, overflow="fold")
    for name in ("default µs", "best µs", "gain"):
        table.add_column(name, justify="right")
    table.add_column("tuned")
    build = _build()
    for entry in entries:
        day = datetime.datetime.fromtimestamp(entry.created).strftime("%Y-%m-%d")
        table.add_row(
            entry.key[:10], entry.kind, escape(entry.shape), escape(entry.module),
            str(entry.threads), f"{entry.default_us:.1f}", f"{entry.best_us:.1f}",
            f"{_gain(entry):.2f}x",
            f"{entry.effort} {day}{'' if entry.build == build else ', other build'}",
            style=None if entry.build == build else "dim",
        )  # fmt: skip
    if entries:
        console.print(table)
    size = sum(path.stat().st_size for path in objects) / 1e6
    console.print(
        f"{len(entries)} schedules, {len(objects)} kernels ({size:.1f} MB) in {_folder()}",
        highlight=False,
        soft_wrap=True,
    )


def _gain(entry: Entry) -> float:
    return entry.default_us / entry.best_us if entry.best_us else 1.0


def _build() -> str:
    from tessera import _core

    build: str = _core.host_info().compiler_build
    return build


def _objects() -> list[Path]:
    """Files of machine code: what the compiler names so, and nothing else."""
    return [path for path in _folder().glob("??/*.o") if _OBJECT.fullmatch(path.name)]


@app.command()
def show(key: Annotated[str, typer.Argument(help="A key, or its first digits.")]) -> None:
    """Print everything about a schedule."""
    for entry in _matching([key]):
        for name, value in asdict(entry).items():
            text = value
            if name == "created":
                text = datetime.datetime.fromtimestamp(value).isoformat(" ", "seconds")
            print(f"{name:14}{text}")
        print(f"{'used':14}{'yes' if entry.build == _build() else 'no: another build made it'}")
        print()


@app.command()
def clear(
    keys: Annotated[
        list[str] | None, typer.Argument(help="Only schedules whose keys begin so.")
    ] = None,
    schedules: Annotated[bool, typer.Option("--schedules", help="Only schedules.")] = False,
    kernels: Annotated[bool, typer.Option("--kernels", help="Only machine code.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget tuned schedules and compiled kernels. Kernels are compiled again when needed; tuned
    schedules cost a search: export them first if in doubt."""
    if keys and kernels:
        _fail("--kernels clears all machine code; leave the keys out")
    both = not schedules and not kernels and not keys
    entries = _matching(keys or []) if both or schedules or keys else []
    objects = _objects() if both or kernels else []
    if not yes:
        typer.confirm(
            f"Forget {len(entries)} schedules and {len(objects)} kernels in {_folder()}?",
            abort=True,
        )
    _store().remove([entry.key for entry in entries])
    for path in objects:
        path.unlink(missing_ok=True)
    print(f"forgot {len(entries)} schedules and {len(objects)} kernels")


@app.command("export")
def export(
    file: Annotated[str, typer.Argument(help="Where to; - for standard output.")],
    keys: Annotated[
        list[str] | None, typer.Argument(help="Only schedules whose keys begin so.")
    ] = None,
) -> None:
    """Write tuned schedules as JSON, for machines with the same CPU and build."""
    entries = _matching(keys or [])
    text = json.dumps({"format": FORMAT, "schedules": [asdict(e) for e in entries]}, indent=1)
    if file == "-":
        print(text)
        return
    try:
        Path(file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        _fail(f"cannot write {file}: {error}")
    print(f"wrote {len(entries)} schedules to {file}")


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="What export wrote; - for standard input.")],
) -> None:
    """Take schedules in that export wrote. Nothing but schedules is read, each is checked, and one
    that does not fit its kernel is never used; if one is wrong, none is taken."""
    entries = parse(_read(file))
    if not _store().put(entries):
        _fail("the schedules could not be written")
    build = _build()
    fitting = sum(entry.build == build for entry in entries)
    print(f"took {len(entries)} schedules, {fitting} of them of this build")


def _read(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.read(MAX_IMPORT_BYTES + 1)
        with open(file, encoding="utf-8") as stream:
            return stream.read(MAX_IMPORT_BYTES + 1)
    except (OSError, UnicodeError) as error:
        _fail(f"cannot read {file}: {error}")


def parse(text: str) -> list[Entry]:
    """The schedules in an exported text; exits with what is wrong with it."""
    from tessera import _core

    if len(text) > MAX_IMPORT_BYTES:
        _fail(f"that is no export: it has more than {MAX_IMPORT_BYTES >> 20} MB")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        _fail(f"that is no JSON: {error}")
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        _fail(f'that is no export: "format" should be "{FORMAT}"')
    rows = data.get("schedules")
    if not isinstance(rows, list):
        _fail('that is no export: "schedules" should be a list')
    entries = []
    for place, row in enumerate(rows):
        try:
            if not isinstance(row, dict):
                raise ValueError("it is no object")
            entry = Entry(**row)
            entry.check()
            for point in (entry.point, entry.default_point):
                _core.check_point(point)
        except (TypeError, ValueError, RuntimeError) as error:
            _fail(f"schedule {place}: {error}; nothing was taken")
        entries.append(entry)
    return entries
