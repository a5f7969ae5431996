# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The machine at hand: its name, its measured FMA peak and its read bandwidth."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

_SOURCE = Path(__file__).with_name("machine.c")
_READ_BYTES = 256 << 20


@dataclass(frozen=True)
class Machine:
    """What every table says of the machine: figures mean nothing without it."""

    cpu: str
    cores: int
    threads: int
    torch: str
    date: str
    kind: str


def describe(threads: int, kind: str) -> dict[str, Any]:
    """Name of the CPU, number of cores, versions, the day; `kind` of what is measured."""
    import torch

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    today = time.strftime("%Y-%m-%d")
    return asdict(Machine(name, os.cpu_count() or 1, threads, torch.__version__, today, kind))


@cache
def _library() -> ctypes.CDLL:
    """Compiles machine.c once a user and version of the file."""
    compiler = next((c for c in ("cc", "gcc", "clang", "clang-22") if shutil.which(c)), None)
    if compiler is None:
        raise RuntimeError(
            "no C compiler found to measure the machine's peak; install gcc or clang"
        )
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / f"tessera-bench-{os.getuid()}-{digest}.so"
    if not target.exists():
        built = target.with_suffix(f".{os.getpid()}.so")
        subprocess.run(
            [compiler, "-O2", "-shared", "-fPIC", "-o", str(built), str(_SOURCE)], check=True
        )
        built.replace(target)
    library = ctypes.CDLL(str(target))
    library.tessera_bench_fma.restype = ctypes.c_double
    library.tessera_bench_fma.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_float)]
    library.tessera_bench_read.restype = ctypes.c_uint64
    library.tessera_bench_read.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    return library


def clock(threads: int) -> Callable[[], float]:
    """Seconds, as times are taken with that many threads.

    One thread is measured in CPU time of the whole process: on a busy machine that is far
    steadier than wall time, and a peer that quietly uses more threads is charged for them.
    """
    return time.process_time if threads == 1 else time.perf_counter


def _together(threads: int, work: Callable[[], float]) -> float:
    """Units a second of `work` on that many threads at once: ctypes lets go of the lock."""
    amounts: list[float] = []
    if threads == 1:
        now = clock(1)
        start = now()
        amounts.append(work())
        return sum(amounts) / (now() - start)
    workers = [threading.Thread(target=lambda: amounts.append(work())) for _ in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(amounts) / (time.perf_counter() - start)


def fma_peak(threads: int = 1, steps: int = 2_000_000) -> float:
    """GFLOP/s of fused multiply-adds on registers, f32, `threads` at once.

    About 7 ms for one thread; with several longer, and after a pause: OpenMP's workers spin on for
    9 ms after their last work.
    """
    library = _library()
    if threads > 1:
        time.sleep(0.02)
        steps *= 8

    def work() -> float:
        sink = ctypes.c_float()
        return float(library.tessera_bench_fma(steps, ctypes.byref(sink)))

    return _together(threads, work) / 1e9


@cache
def _buffer() -> Any:
    import numpy as np

    return np.ones(_READ_BYTES // 8, dtype=np.uint64)


def bandwidth(threads: int = 1) -> float:
    """GB/s read from memory, `threads` at once."""
    library, data = _library(), _buffer()

    def work() -> float:
        library.tessera_bench_read(data.ctypes.data, _READ_BYTES)
        return float(_READ_BYTES)

    return _together(threads, work) / 1e9
