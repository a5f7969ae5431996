# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which module and which line of the user's code something came from."""

from __future__ import annotations

import functools
import os
import re
import traceback
from pathlib import Path
from types import TracebackType

import torch
from torch import fx

from tessera.lowering.context import Location

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_PACKAGES = (
    str(Path(torch.__file__).absolute().parent) + os.sep,
    str(Path(__file__).absolute().parent.parent) + os.sep,
)


def is_user_file(path: str) -> bool:
    """Whether `path` is neither PyTorch's nor Tessera's code."""
    return not path.startswith(_PACKAGES) and not path.startswith("<")


@functools.lru_cache(maxsize=10_000)
def innermost_user_frame(stack: str) -> tuple[str, int]:
    """File and line, in a stack trace as text, of the innermost frame in the user's code.

    Falls back to PyTorch's innermost frame, and to ("", 0) where there is none.
    """
    frames = [(match[1], int(match[2])) for match in _FRAME.finditer(stack)]
    for path, line in reversed(frames):
        if is_user_file(path):
            return path, line
    others = [frame for frame in frames if not frame[0].startswith(_PACKAGES[1])]
    return others[-1] if others else ("", 0)


def module_path(node: fx.Node) -> str:
    """The fully qualified name of the module `node` was called in; "" is the root."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path = next(reversed(stack.values()))[0]
    # A module called twice is recorded as "layer@1" the second time.
    return re.sub(r"@\d+", "", str(path)).removeprefix("L['self'].")


def location_of(node: fx.Node) -> Location:
    """(module path, file, line) of a captured node."""
    file, line = innermost_user_frame(node.meta.get("stack_trace") or "")
    return (module_path(node), file, line)


def source_text(location: Location) -> str:
    """`model.py:12 in blocks.0.attn`, for messages."""
    fqn, file, line = location
    place = f"{Path(file).name}:{line}" if file else "unknown line"
    return f"{place} in {fqn}" if fqn else place


def error_source(error: BaseException) -> tuple[str, int]:
    """The innermost line of the user's code on the way to `error`."""
    return _traceback_source(error.__traceback__) or ("", 0)


def _traceback_source(trace: TracebackType | None) -> tuple[str, int] | None:
    found: tuple[str, int] | None = None
    for frame, line in traceback.walk_tb(trace):
        if is_user_file(frame.f_code.co_filename):
            found = (frame.f_code.co_filename, line)
    return found


def innermost_module(error: BaseException, names: dict[int, str]) -> str | None:
    """The path of the deepest module whose method was running when `error` was raised.

    `names` maps id(module) to its path. None when only the root, or no module, was running.
    """
    found: str | None = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        path = names.get(id(frame.f_locals.get("self")))
        if path:
            found = path
    return found


def first_line(error: BaseException) -> str:
    """The first non-empty line of an error's text, with its type where it has none."""
    for line in str(error).splitlines():
        if line.strip():
            return line.strip()
    return type(error).__name__
