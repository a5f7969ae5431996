# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How many threads programs run on."""

from __future__ import annotations

from tessera import _core
from tessera.errors import ArgumentError

MOST_THREADS = 1024


def get_num_threads() -> int:
    """How many threads programs run on that were converted without ``threads=``.

    What :func:`set_num_threads` was given, or else ``torch.get_num_threads()``.
    """
    return _core.default_threads()


def set_num_threads(num: int | None) -> None:
    """Sets how many threads programs run on that were converted without ``threads=``.

    It holds for the whole process, from each program's next call on, and for Tessera alone:
    PyTorch and the islands it runs keep ``torch.set_num_threads()``. ``None`` follows that again,
    as at the start. Results do not depend on it. Programs are laid out for the number there was at
    conversion, so convert after setting it.

    Raises ArgumentError unless ``num`` is None or an integer from 1 to 1024.
    """
    if num is not None:
        check_threads("set_num_threads: num", num)
    _core.set_default_threads(num or 0)


def check_threads(name: str, num: object) -> None:
    """ArgumentError unless it is a number of threads."""
    if isinstance(num, bool) or not isinstance(num, int) or not 1 <= num <= MOST_THREADS:
        raise ArgumentError(
            f"{name} must be an integer from 1 to {MOST_THREADS} or None, not {num!r}",
            remedy="None means as many threads as PyTorch uses (torch.get_num_threads())",
        )
