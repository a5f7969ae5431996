# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Who is told of calls of modules: the trace or the recording under way in this thread, if any."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Protocol


class Listener(Protocol):
    """Answers the calls of modules while a function is traced or recorded."""

    #: it is a LoweringContext, into which every function of ``ts.ops`` builds
    builds: bool

    def call_module(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What calling `module` gives."""


class _State(threading.local):
    listener: Listener | None = None


_state = _State()


def current() -> Listener | None:
    """The listener of this thread."""
    return _state.listener


def building() -> Any:
    """The context of the graph that is built in this thread; None where functions run."""
    listener = _state.listener
    return listener if listener is not None and listener.builds else None


@contextlib.contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Makes `listener` the one of this thread; None leaves calls of modules to themselves."""
    before = _state.listener
    _state.listener = listener
    try:
        yield
    finally:
        _state.listener = before
