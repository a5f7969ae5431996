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


@functools.cache
def store_of(folder: str) -> Store:
    return Store(folder)


def store() -> Store:
    """The tuned schedules of this process's cache folder."""
    return store_of(settings().cache_dir)


@contextlib.contextmanager
def using(mode: str | None) -> Iterator[None]:
    """Compilations inside use tuned points, or with "off" do not; None leaves that as it is."""
    if mode is None:
        yield
        return
    token = _used.set(mode != "off")
    try:
        yield
    finally:
        _used.reset(token)


def compile_options() -> dict[str, Any]:
    """What `_core.compile` is told of the cache and of tuned points."""
    used = _used.get()
    if used is None:
        used = settings().tune != "off"
    return {**settings().cache, "points": _table() if used else None}


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
