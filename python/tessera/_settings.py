# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Settings from the environment, each read once.

``TESSERA_CACHE_DIR``: the folder of compiled kernels; ``off`` keeps none.
``TESSERA_CACHE_SIZE``: how large it may become, e.g. ``500M`` or ``4 GiB`` (default 2 GiB); the
kernels unused for longest leave first. ``unlimited`` never removes any.
``TESSERA_TUNE``: what ``tune=`` is where it is not given: ``off``, ``cached`` (the default),
``quick`` or ``full``.
``TESSERA_DEBUG``: a list, separated by commas, of the names in :data:`DEBUG_FLAGS`.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera._folders import refusal
from tessera.errors import ArgumentError, CacheWarning

DEBUG_FLAGS = {
    "capture": "log each rung of the capture ladder",
    "graph": "print the Graph IR of every conversion to stderr",
    "time": "print time and memory of each phase of a conversion to stderr",
}

#: How schedules are found: the rules' defaults, what was tuned before, a search in the time of a
#: coffee, a thorough one.
TUNE_MODES = ("off", "cached", "quick", "full")

DEFAULT_CACHE_BYTES = 2 << 30
UNLIMITED = (1 << 64) - 1


@dataclass(frozen=True)
class Settings:
    """What the environment asks for."""

    #: empty: no cache
    cache_dir: str
    cache_bytes: int
    debug: frozenset[str]
    #: what ``tune=`` is where it is not given
    tune: str = "cached"

    @property
    def cache(self) -> dict[str, Any]:
        """What _core.compile is told of the cache."""
        return {"cache_dir": self.cache_dir, "cache_bytes": self.cache_bytes}


def _cache_dir() -> str:
    given = os.environ.get("TESSERA_CACHE_DIR", "").strip()
    if given.lower() in ("off", "none", "0"):
        return ""
    if given:
        return str(Path(given).expanduser().absolute())
    base = os.environ.get("XDG_CACHE_HOME")
    return str((Path(base) if base else Path.home() / ".cache") / "tessera")


def _cache_bytes() -> int:
    given = os.environ.get("TESSERA_CACHE_SIZE", "").strip()
    if not given:
        return DEFAULT_CACHE_BYTES
    if given.lower() == "unlimited":
        return UNLIMITED
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([kmgt]?)i?b?", given.lower())
    if match is None:
        raise ArgumentError(
            f"TESSERA_CACHE_SIZE is {given!r}, which is no size",
            remedy='give bytes, or a number with K, M, G or T ("500M", "4 GiB"), or "unlimited"',
        )
    return min(int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " ")), UNLIMITED)


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


def _tune() -> str:
    mode = os.environ.get("TESSERA_TUNE", "").strip().lower() or "cached"
    if mode not in TUNE_MODES:
        raise ArgumentError(
            f"TESSERA_TUNE is {mode!r}, which is no way to tune",
            remedy=f"set it to one of {', '.join(TUNE_MODES)}",
        )
    return mode


@functools.cache
def settings() -> Settings:
    """The settings, read at the first use."""
    folder = _cache_dir()
    reason = refusal(folder) if folder else None
    if reason is not None:
        warnings.warn(
            f"{reason}, so nothing is kept there: who can write to the cache can run code as you. "
            f"Make it yours alone (chmod go-w), or set TESSERA_CACHE_DIR to another folder",
            CacheWarning,
            stacklevel=2,
        )
        folder = ""
    found = Settings(folder, _cache_bytes(), _debug(), _tune())
    if "capture" in found.debug:
        logger = logging.getLogger("tessera.capture")
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(logging.INFO)
    return found
