#!/usr/bin/env python3
# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes docs/op-map.md: for every operation, the file at each level and the tests that hold it.

    utils/gen_op_map.py            write the page (make docs writes it among the others)
    utils/gen_op_map.py --check    fail when it is stale

Everything is read off the tree: operations from the .td files, the files of a level from what
names the operation's class, ATen operators from the code of their lowerings.
"""

from __future__ import annotations

import argparse
import re
import sys
import types
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "op-map.md"
NOTE = "<!-- Written by make docs from the tree (utils/gen_op_map.py); edit that. -->"

#: Column, folder, suffixes of the files to look in.
LEVELS = (
    ("Graph to Schedule", "compiler/conversions/GraphToSchedule", (".cpp",)),
    ("Schedule to Tile", "compiler/conversions/ScheduleToTile", (".cpp",)),
)
#: Methods of `Arith`, by which composites name operations.
ARITHMETIC = ("add", "sub", "mul", "div", "maximum", "minimum", "compare", "select")


def definitions() -> dict[str, tuple[str, str, str]]:
    """mnemonic: (class, file that defines it, family)."""
    found = {}
    for path in sorted((ROOT / "compiler/graph/ir").glob("Graph*.td")):
        text = path.read_text(encoding="utf-8")
        # The class may stand on the line after the name.
        for name, mnemonic in re.findall(r'^def Graph_(\w+Op)\s*:\s*\w+<\s*"(\w+)"', text, re.M):
            family = path.stem.removeprefix("Graph").lower()
            found[mnemonic] = (name, str(path.relative_to(ROOT)), family)
    return found


def mentions(folder: str, suffixes: Iterable[str], pattern: str) -> list[str]:
    """The files below `folder` that match `pattern`."""
    base = ROOT / folder
    files = (path for path in sorted(base.rglob("*")) if path.suffix in tuple(suffixes))
    return [
        str(path.relative_to(ROOT))
        for path in files
        if re.search(pattern, path.read_text(encoding="utf-8"))
    ]


# --- from ATen -------------------------------------------------------------------------------


def graph_ops_of(function: Any, mnemonics: frozenset[str], seen: set[Any]) -> set[str]:
    """The operations a lowering may emit, read off its code and that of what it calls."""
    function = getattr(function, "__wrapped__", function)
    if not isinstance(function, types.FunctionType) or function in seen:
        return set()
    seen.add(function)
    found: set[str] = set()
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    found |= {cell for cell in cells if isinstance(cell, str) and cell in mnemonics}
    for cell in cells:
        found |= graph_ops_of(cell, mnemonics, seen)
    pending = [function.__code__]
    while pending:
        code = pending.pop()
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                pending.append(constant)
            elif isinstance(constant, str) and constant in mnemonics:
                found.add(constant)
        if "Arith" in function.__code__.co_names or function.__code__ is not code:
            found |= set(ARITHMETIC) & set(code.co_names)
        for name in code.co_names:
            called = function.__globals__.get(name)
            if getattr(called, "__module__", "").startswith("tessera.lowering.aten"):
                found |= graph_ops_of(called, mnemonics, seen)
    return found


def aten_operators(mnemonics: frozenset[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """For each operation the ATen operators that reach it, and each operator's lowering file."""
    sys.path.insert(0, str(ROOT / "python"))
    import tessera.lowering.aten  # noqa: F401 - fills the table
    from tessera.lowering.aten.rules import BUILTINS

    reach: dict[str, set[str]] = defaultdict(set)
    files = {}
    for key, function in BUILTINS.items():
        name = key.split(".")[0]
        files[name] = "python/" + function.__module__.replace(".", "/") + ".py"
        for mnemonic in graph_ops_of(function, mnemonics, set()):
            reach[mnemonic].add(name)
    return {mnemonic: sorted(names) for mnemonic, names in reach.items()}, files


# --- the page --------------------------------------------------------------------------------


def link(path: str) -> str:
    return f"[{Path(path).name}](../{path})"


def links(paths: Iterable[str]) -> str:
    return " ".join(link(path) for path in paths) or "–"


def conformance_test(lowering: str) -> str:
    """The test that runs the operators of a lowering file."""
    if Path(lowering).stem in ("convolution", "reduction_window"):
        return "tests/conformance/test_windows.py"
    family = Path(lowering).stem.split("_")[0]
    family = {"softmax": "reduction", "creation": "movement", "indexing": "movement"}.get(
        family, family
    )
    path = f"tests/conformance/test_{family}.py"
    return path if (ROOT / path).exists() else ""


def page() -> str:
    ops = definitions()
    reach, files = aten_operators(frozenset(ops))
    parts = [
        NOTE,
        "",
        "# Where each operation lives",
        "",
        "First the operations of Graph IR through the levels: where an operation is defined and",
        "verified, the files that treat it by name on the way down, and its lit tests. What a file",
        "treats by family (elementwise arithmetic, movement folded into layouts) is not listed per",
        "operation. Then every ATen operator: the file of its lowering, the operations of Graph IR",
        "it may become, and the test that compares it with PyTorch.",
        "",
        "## Graph IR",
        "",
        "| operation | defined in | " + " | ".join(level for level, _, _ in LEVELS) + " | tests |",
        "|---|---|" + "---|" * len(LEVELS) + "---|",
    ]
    for mnemonic, (name, path, _) in sorted(ops.items(), key=lambda item: (item[1][2], item[0])):
        columns = [links(mentions(folder, ends, rf"\b{name}\b")) for _, folder, ends in LEVELS]
        tests = links(mentions("test", (".mlir",), rf"graph\.{mnemonic}\b"))
        parts.append(f"| `{mnemonic}` | {link(path)} | " + " | ".join(columns) + f" | {tests} |")
    parts += ["", "## ATen", "", "| operator | lowering | Graph IR | test |", "|---|---|---|---|"]
    uses: dict[str, list[str]] = defaultdict(list)
    for mnemonic, names in sorted(reach.items()):
        for name in names:
            uses[name].append(mnemonic)
    for name, path in sorted(files.items()):
        test = conformance_test(path)
        shown = " ".join(f"`{mnemonic}`" for mnemonic in uses[name]) or "–"
        parts.append(f"| `{name}` | {link(path)} | {shown} | {link(test) if test else '–'} |")
    return "\n".join(parts) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes docs/op-map.md from the tree.")
    parser.add_argument("--check", action="store_true", help="report a stale page, write nothing")
    arguments = parser.parse_args()
    text = page()
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if old == text:
        return 0
    if arguments.check:
        print("docs/op-map.md is stale: utils/gen_op_map.py writes it anew")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    print("wrote docs/op-map.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
