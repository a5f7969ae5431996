# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``torch.autocast`` around a call: each precision is a program of its own.

Capture under autocast gives a graph with the casts written out, so a program holds for the state it
was captured in, and runs what is left to PyTorch with autocast off. Only the CPU's state counts:
that of other devices changes nothing on the CPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

#: Whether autocast is on for any device. This one is quick, and every call asks.
autocasting: Callable[[], bool] = getattr(
    torch._C, "_is_any_autocast_enabled", lambda: torch.is_autocast_enabled("cpu")
)

_NOTHING = contextlib.nullcontext()


def state() -> torch.dtype | None:
    """The dtype autocast computes in on the CPU; None when it is off."""
    if autocasting() and torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return None


def like(dtype: torch.dtype | None) -> contextlib.AbstractContextManager[Any]:
    """A context in which `state()` is `dtype`."""
    if state() == dtype:
        return _NOTHING
    return torch.autocast("cpu", dtype=dtype, enabled=dtype is not None)


@contextlib.contextmanager
def uncached() -> Iterator[None]:
    """A context in which casts of parameters are neither kept nor reused.

    Capture casts with fake tensors, and PyTorch would give those to the next call of a model.
    """
    before = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(before)


def suspended() -> contextlib.AbstractContextManager[Any]:
    """A context without autocast."""
    return like(None)
