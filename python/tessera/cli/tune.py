# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``tessera tune``: runs a program, and tunes what it compiles."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


def run(
    target: str, arguments: list[str], *, is_module: bool, mode: str, seconds: float | None
) -> int:
    """Runs a script or module as ``python`` would; prints what was gained. Its exit status."""
    # Before tessera reads its settings: conversions in the program tune by default.
    os.environ["TESSERA_TUNE"] = mode
    from tessera.tuning.api import finished, tuning

    status = 0
    with _as_program(target, arguments, is_module):
        try:
            with tuning(mode, seconds=seconds):
                if is_module:
                    runpy.run_module(target, run_name="__main__", alter_sys=True)
                else:
                    runpy.run_path(target, run_name="__main__")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
        except KeyboardInterrupt:
            status = 130
    console = Console(stderr=True)
    if not console.is_terminal:
        console = Console(stderr=True, width=160)
    results = [result for result in finished if result.kernels]
    for result in results:
        console.print(result.rich_table())
    if not results:
        console.print("nothing was compiled, so nothing was tuned")
    return status


@contextmanager
def _as_program(target: str, arguments: list[str], is_module: bool) -> Iterator[None]:
    """``sys.argv`` and ``sys.path`` as a program of its own finds them."""
    saved = sys.argv[:], sys.path[:]
    sys.argv = [target, *arguments]
    sys.path.insert(0, str(Path.cwd() if is_module else Path(target).resolve().parent))
    try:
        yield
    finally:
        sys.argv, sys.path = saved
