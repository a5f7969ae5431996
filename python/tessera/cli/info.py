# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What ``tessera info`` prints: the machine, the versions, the cache."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

import tessera
from tessera import _core
from tessera._settings import UNLIMITED, settings
from tessera._versions import PYTHON_END, PYTHON_MIN, TORCH_END, TORCH_MIN

_BASELINES = {512: "AVX-512", 256: "AVX2"}


def collect() -> dict[str, Any]:
    """Everything as plain data."""
    host = _core.host_info()
    entries, size = _cache_contents(settings().cache_dir)
    return {
        "tessera": {"version": tessera.__version__, "build": host.compiler_build},
        "cpu": {
            "name": host.cpu,
            "vector_bits": host.vector_bits,
            "vectors": _BASELINES.get(host.vector_bits, "none that Tessera can use"),
            "cores": os.cpu_count(),
            "usable_cores": len(os.sched_getaffinity(0)),
            "torch_threads": torch.get_num_threads(),
        },
        "versions": {
            "python": platform.python_version(),
            "python_range": _range(PYTHON_MIN, PYTHON_END),
            "torch": torch.__version__,
            "torch_range": _range(TORCH_MIN, TORCH_END),
            "llvm": host.llvm_version,
            "system": platform.platform(),
        },
        "cache": {
            "folder": settings().cache_dir or "off",
            "entries": entries,
            "bytes": size,
            "limit": None if settings().cache_bytes == UNLIMITED else settings().cache_bytes,
        },
        "debug": sorted(settings().debug),
    }


def _range(low: tuple[int, int], end: tuple[int, int]) -> str:
    return f">={low[0]}.{low[1]},<{end[0]}.{end[1]}"


def _cache_contents(folder: str) -> tuple[int, int]:
    entries = size = 0
    for path in Path(folder).rglob("*") if folder and Path(folder).is_dir() else ():
        try:
            if path.is_file():
                entries, size = entries + 1, size + path.stat().st_size
        except OSError:  # another process removed it meanwhile
            continue
    return entries, size
