# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Settings from the environment, each read once.

``TESSERA_CACHE_DIR``: the folder of compiled kernels; ``off`` keeps none.
``TESSERA_DEBUG``: a list, separated by commas, of the names in :data:`DEBUG_FLAGS`.
"""

from __future__ import annotations

import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from tessera.errors import ArgumentError

DEBUG_FLAGS = {
    "capture": "log each rung of the capture ladder",
    "graph": "print the Graph IR of every conversion to stderr",
    "timings": "print how long each step of a conversion took to stderr",
}


@dataclass(frozen=True)
class Settings:
    """What the environment asks for."""

    #: empty: no cache
    cache_dir: str
    debug: frozenset[str]


def _cache_dir() -> str:
    given = os.environ.get("TESSERA_CACHE_DIR", "").strip()
    if given.lower() in ("off", "none", "0"):
        return ""
    if given:
        return str(Path(given).expanduser().absolute())
    base = os.environ.get("XDG_CACHE_HOME")
    return str((Path(base) if base else Path.home() / ".cache") / "tessera")


def _debug() -> frozenset[str]:
    names = [name.strip() for name in os.environ.get("TESSERA_DEBUG", "").split(",")]
    flags = frozenset(name for name in names if name and name != "0")
    unknown = flags - DEBUG_FLAGS.keys()
    if unknown:
        raise ArgumentError(
            f"TESSERA_DEBUG names unknown flags: {', '.join(sorted(unknown))}",
            remedy="known flags: " + ", ".join(f"{k} ({v})" for k, v in DEBUG_FLAGS.items()),
        )
    return flags


@functools.cache
def settings() -> Settings:
    """The settings, read at the first use."""
    found = Settings(_cache_dir(), _debug())
    if "capture" in found.debug:
        logger = logging.getLogger("tessera.capture")
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)
    return found
