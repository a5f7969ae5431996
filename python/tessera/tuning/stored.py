# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What compilations are told of tuned schedules."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from tessera import _core
from tessera._settings import settings
from tessera.tuning.store import Entry, Store

#: whether compilations in this context use tuned points
_used: ContextVar[bool | None] = ContextVar("tessera_tuned_points", default=None)
#: whether they may pack weights once and keep them
_prepack: ContextVar[bool] = ContextVar("tessera_prepack", default=True)


@functools.cache
def store_of(folder: str) -> Store:
    return Store(folder)


def store() -> Store:
    """The tuned schedules of this process's cache folder."""
    return store_of(settings().cache_dir)


def provenance(key: str) -> tuple[Entry | None, bool]:
    """The entry of a kernel, and whether this process found it."""
    kept = store()
    return kept.entries().get(key), key in kept.added


@contextlib.contextmanager
def using(mode: str | None, prepack: bool | None = None) -> Iterator[None]:
    """Compilations inside use tuned points, or with "off" do not, and pack weights beforehand or
    do not; None leaves that as it is."""
    used = _used.set(_used.get() if mode is None else mode != "off")
    packed = _prepack.set(_prepack.get() if prepack is None else prepack)
    try:
        yield
    finally:
        _prepack.reset(packed)
        _used.reset(used)


def compile_options() -> dict[str, Any]:
    """What `_core.compile` is told of the cache, of tuned points and of packed weights."""
    used = _used.get()
    if used is None:
        used = settings().tune != "off"
    points = _table() if used else None
    return {**settings().cache, "points": points, "prepack": _prepack.get()}


_made: tuple[dict[str, Entry], Any] = ({}, None)


def _table() -> Any:
    """The points that were found better than the defaults, by this build on this machine."""
    global _made
    entries = store().entries()
    if entries != _made[0]:
        _made = (entries, _core.PointTable(_points(entries)) if entries else None)
    return _made[1]


def _points(entries: dict[str, Entry]) -> dict[str, str]:
    # Keys are of one build and machine: the others only make the table longer.
    build = _core.host_info().compiler_build
    return {
        key: entry.point
        for key, entry in entries.items()
        if entry.build == build and entry.is_tuned
    }
