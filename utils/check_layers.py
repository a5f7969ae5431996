#!/usr/bin/env python3
# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Holds the dependency rules of the house: who may include or import whom.

Dependencies point down only:

    python -> bindings -> api -> {jit, tuning} -> pipeline
           -> {contracts, conversions} -> one level -> support

No level (graph, schedule, tile, target) includes another's headers: a folder of
conversions/ sees the two in its name (with the exceptions listed below),
contracts/ and what is above see all. The
runtime depends on nothing above it, and the compiler sees only runtime/abi,
except api/, which may use the runtime's public headers. Run without arguments;
prints each line that breaks a rule, with the rule.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LEVELS = ("graph", "schedule", "tile", "target")
BELOW_PIPELINE = frozenset({"support", "conversions", "contracts", *LEVELS})

# What each folder of compiler/ may include of compiler/, beside itself.
COMPILER: dict[str, frozenset[str]] = {
    "support": frozenset(),
    **{level: frozenset({"support"}) for level in LEVELS},
    "contracts": frozenset({"support", *LEVELS}),
    "pipeline": BELOW_PIPELINE,
    "jit": BELOW_PIPELINE | {"pipeline"},
    "tuning": BELOW_PIPELINE | {"pipeline"},
    "api": BELOW_PIPELINE | {"pipeline", "jit", "tuning"},
}

# What a conversion sees beside the two levels in its name, and why.
CONVERSION_ALSO_SEES: dict[str, frozenset[str]] = {
    # The body of a schedule.kernel is made of graph ops.
    "ScheduleToTile": frozenset({"graph"}),
    # @main keeps its schedule.kernel launches, parameters and islands until it
    # becomes a target.program.
    "TileToTarget": frozenset({"graph", "schedule"}),
}

# Libraries that a folder must not know of.
LLVM = ("mlir/", "llvm/", "mlir-c/", "llvm-c/")
PYTHON = ("Python.h", "nanobind/", "pybind11/")
TORCH = ("torch/", "ATen/", "c10/")
# The one file that may read PyTorch's headers, for the layout of tensors (decisions/0003).
TORCH_LAYOUT = ("python", "bindings", "TorchLayout.cpp")

INCLUDE = re.compile(r'^\s*#?\s*include\s+[<"]([^>"]+)[>"]')
IMPORT = re.compile(r"^\s*(?:from|import)\s+(benchmarks|examples|tests)\b")


def conversion_levels(folder: str) -> frozenset[str]:
    """The levels that a conversion sees: GraphToSchedule sees graph and schedule."""
    source, _, target = folder.partition("To")
    named = frozenset({source.lower(), target.lower()} & set(LEVELS))
    return named | CONVERSION_ALSO_SEES.get(folder, frozenset())


def why_not_compiler(includer: tuple[str, ...], included: tuple[str, ...]) -> str | None:
    """Why a file of compiler/ may not include another of compiler/; None if it may."""
    folder, other = includer[1], included[1]
    if folder == "conversions":
        allowed = conversion_levels(includer[2]) | {"support"}
        if other == "conversions" and included[2] == includer[2]:
            return None
        words = f"conversions/{includer[2]} sees {', '.join(sorted(allowed))} and itself"
    elif folder not in COMPILER:
        return f"compiler/{folder} is not a folder of the house (add it to utils/check_layers.py)"
    else:
        allowed = COMPILER[folder] | {folder}
        words = f"compiler/{folder} sees {', '.join(sorted(allowed))}"
    return None if other in allowed else words


def why_not(file: Path, name: str) -> str | None:
    """Why `file` may not include `name`; None if it may."""
    includer, included = file.parts, tuple(name.split("/"))
    top, other = includer[0], included[0]

    if name.startswith(TORCH) and includer != TORCH_LAYOUT:
        return "no part of Tessera links libtorch: tensors cross by DLPack"
    if name.startswith(PYTHON) and includer[:2] != ("python", "bindings"):
        return "only python/bindings knows of Python"
    if name.startswith(LLVM):
        if top == "runtime" or includer[:2] == ("unittests", "runtime"):
            return "the runtime knows nothing of LLVM and MLIR"
        if top == "python":
            return "the bindings include compiler/api and the runtime, never LLVM or MLIR"

    if other == "compiler":
        if top == "compiler":
            return why_not_compiler(includer, included)
        if top == "runtime" or includer[:2] == ("unittests", "runtime"):
            return "the runtime depends on nothing above it"
        if top == "python" and included[1] != "api":
            return "of the compiler, the bindings include compiler/api only"
    if other == "runtime" and top == "compiler" and includer[1] != "api" and included[1] != "abi":
        return "of the runtime, the compiler sees runtime/abi only (compiler/api: all of it)"
    return None


def why_not_rooted(file: Path, name: str) -> str | None:
    """Why an include must be spelled from the root; None if it is, or is not ours.

    TableGen's files of one dialect may name each other as siblings, and tests
    the helpers beside them.
    """
    if file.suffix == ".td" or file.parts[0] == "unittests":
        return None
    if (ROOT / file.parent / name).exists() and not (ROOT / name).exists():
        return f'name it from the root: "{file.parent.as_posix()}/{name}"'
    return None


def sources() -> Iterator[Path]:
    """C++, TableGen and Python files that the rules speak of, relative to the root."""
    for top in ("compiler", "runtime", "python", "tools", "unittests"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".cpp", ".h", ".td", ".inc", ".py") and path.is_file():
                yield path.relative_to(ROOT)


def violations(file: Path) -> Iterator[str]:
    text = (ROOT / file).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        if file.suffix == ".py":
            if (match := IMPORT.match(line)) and file.parts[0] == "python":
                yield f"{file}:{number}: imports {match[1]}: the package stands alone"
            continue
        if not (match := INCLUDE.match(line)):
            continue
        reason = why_not(file, match[1]) or why_not_rooted(file, match[1])
        if reason:
            yield f"{file}:{number}: includes {match[1]}: {reason}"


def main() -> int:
    checked = 0
    found: list[str] = []
    for file in sources():
        checked += 1
        found += violations(file)
    print("\n".join(found), end="\n" if found else "")
    print(f"{checked} files, {len(found)} includes against the rules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
