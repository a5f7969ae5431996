#!/usr/bin/env python3
# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every operator that PyTorch tests itself with, converted once and called at many sizes.

    utils/dynamic_shapes.py                everything; writes docs/reference/dynamic-shapes.md
    utils/dynamic_shapes.py --only fft     a part, on the terminal only
    utils/dynamic_shapes.py --only fft --update   that part anew, the rest as it was
    utils/dynamic_shapes.py --failing --update    the same, of what did not pass

Runs in the workers of conformance.py. What each operator did is in build/dynamic-shapes.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from conformance import ROOT, SAMPLES, STATUSES, Row, Task, kept, sweep

RESULTS = ROOT / "build" / "dynamic-shapes.json"
PAGE = ROOT / "docs" / "reference" / "dynamic-shapes.md"

#: Families of samples taken of an operator, those with the most samples first.
FAMILIES_EACH = {"float32": 2, "int64": 1}

INTRODUCTION = """\
PyTorch's own list of operators (`op_db`), each converted by `ts.from_pytorch(strict=True)` with
every dimension dynamic that `torch.export` lets be (`Dim.AUTO`), and the one conversion called at
other sizes: grown, shrunk, tripled, 1 and 0, and those of PyTorch's other samples. Sizes that
belong together, by torch.export's word, change together; where PyTorch itself does not take a size
nothing is asked. Compared as in [the sweep at fixed sizes](conformance.md). An operator counts by
the worst of its families of samples; "refused" is a clear error in strict mode.
"""


def tasks(dtypes: list[str], only: str) -> list[Task]:
    sys.path.insert(0, str(SAMPLES))
    from op_samples import DTYPES, operator_names
    from sizes import UNCHECKED

    return [
        Task("sizes", name, dtype, FAMILIES_EACH[dtype])
        for dtype in dtypes
        for name in operator_names(DTYPES[dtype])
        if only in name and name not in UNCHECKED
    ]


def worst(rows: list[Row]) -> dict[tuple[str, str], Row]:
    """Of the families of an operator in a dtype."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row.status == "skipped":
            continue
        key = (row.name, row.dtype)
        if key not in found or STATUSES.index(row.status) > STATUSES.index(found[key].status):
            found[key] = row
    return found


def calls(rows: list[Row]) -> int:
    """How many calls at how many sizes gave PyTorch's values."""
    return sum(int(row.reason.split()[0]) for row in rows if row.status == "pass")


def page(rows: list[Row]) -> str:
    found = worst(rows)
    parts = [
        "<!-- Written by make conformance; edit nothing here. -->\n\n# Dynamic shapes\n",
        INTRODUCTION,
        "| dtype | operators | pass | refused | wrong values | other errors | calls compared |",
        "|---|---|---|---|---|---|---|",
    ]
    for dtype in FAMILIES_EACH:
        some = Counter(row.status for (_, of), row in found.items() if of == dtype)
        errors = some["error"] + some["crash"] + some["hang"]
        compared = calls([row for row in rows if row.dtype == dtype])
        parts.append(
            f"| {dtype} | {some.total()} | {some['pass']} | {some['refused']} | {some['wrong']} "
            f"| {errors} | {compared} |"
        )
    parts += ["", "## What does not pass\n", "| name | dtypes | reason |", "|---|---|---|"]
    listed: dict[tuple[str, str], list[str]] = {}
    for (name, dtype), row in found.items():
        if row.status != "pass":
            mark = "" if row.status == "refused" else f"**{row.status}** "
            reason = mark + row.reason.replace("|", "\\|")[:200]
            listed.setdefault((name, reason), []).append(dtype)
    parts += [
        f"| `{name}` | {', '.join(dtypes)} | {reason} |"
        for (name, reason), dtypes in sorted(listed.items())
    ]
    return "\n".join(parts) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Sweeps PyTorch's operators over sizes.")
    parser.add_argument("--dtypes", default=",".join(FAMILIES_EACH), help="comma-separated")
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the JSON file to write")
    parser.add_argument("--update", action="store_true", help="keep the other rows of the file")
    parser.add_argument("--failing", action="store_true", help="only what did not pass there")
    parser.add_argument("-v", action="store_true", dest="verbose", help="show refusals too")
    arguments = parser.parse_args()
    start = time.monotonic()
    todo = tasks(arguments.dtypes.split(","), arguments.only)
    if arguments.failing:
        found = worst([Row(**row) for row in json.loads(arguments.results.read_text())])
        passed = {key for key, row in found.items() if row.status == "pass"}
        todo = [task for task in todo if (task.name, task.dtype) not in passed]
    print(f"{len(todo)} operators by dtype, {arguments.jobs} workers", flush=True)
    rows = sweep(todo, arguments.jobs, arguments.verbose)
    rows = kept(arguments.results, todo, rows, update=arguments.update)
    print(f"{len(rows)} families of samples, {calls(rows)} calls compared, in "
          f"{time.monotonic() - start:.0f} s: {arguments.results}")  # fmt: skip
    whole = arguments.dtypes == ",".join(FAMILIES_EACH) and not arguments.only
    if (whole and not arguments.failing) or arguments.update:
        PAGE.write_text(page(rows), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    bad = [row for row in rows if row.status not in ("pass", "skipped", "refused")]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
