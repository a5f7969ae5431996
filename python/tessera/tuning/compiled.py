# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles programs with the schedules that are known, and has unknown ones tuned."""

from __future__ import annotations

from typing import Any

from tessera import _core, phases
from tessera.report.report import Report
from tessera.threads import get_num_threads
from tessera.tuning.session import active
from tessera.tuning.stored import compile_options


def compile_tuned(graph: Any, threads: int, report: Report, family: Any = None) -> Any:
    """The `_core.CompiledProgram` of a graph.

    Inside of a tuning session its kernels are tuned before it is given out, which is a phase of its
    own in `report`. RuntimeError carries the compiler's message.
    """

    threads = threads or get_num_threads()

    def compile_now() -> Any:
        return _core.compile(
            graph,
            threads=threads,
            **compile_options(),
            family=family,
            progress=phases.progress(),
        )

    compiled = compile_now()
    session = active()
    if session is None:
        return compiled
    with phases.phase(report, "tune"):
        better = session.tune(compiled, threads)
    if better:
        compiled = compile_now()
    session.note(compiled)
    return compiled
