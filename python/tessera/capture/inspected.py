# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Numbers read from tensors whose type or identity the model asks for.

While a model is captured such a number is a symbol. It computes as a number does, but it is no
`float`, and it is not `True`, and nothing tells a capture that somebody asked. So the source that
reads the number is looked at: what it asks of the number itself cannot be captured.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import textwrap
import types
from typing import Any

from tessera.errors import CaptureError

_TYPES = {"bool", "int", "float", "Number", "Real", "Integral"}
_OWN = ("torch", "tessera")


def require_not_inspected() -> None:
    """CaptureError where the function that reads a number right now asks what kind it is."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _OWN:
        frame = frame.f_back
    line = _inspection(frame.f_code) if frame is not None else None
    if line is not None:
        raise CaptureError(
            f"{frame.f_code.co_filename}:{line} asks for the type or the identity of a number "
            "that is read from a tensor",
            remedy="compare its value (x.item() == True), or ask for the dtype of the tensor",
        )


@functools.lru_cache(maxsize=1024)
def _inspection(code: types.CodeType) -> int | None:
    """The line on which a function asks what kind of number item() gave, if it does."""
    try:
        source, first = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(source)))
    except (OSError, SyntaxError, TypeError):  # no source, or a part of a statement
        return None
    read = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _reads(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def is_number(node: ast.AST) -> bool:
        return _reads(node) or (isinstance(node, ast.Name) and node.id in read)

    for node in ast.walk(tree):
        if isinstance(node, (ast.Call, ast.Compare)) and _asks(node, is_number):
            return first + node.lineno - 1
    return None


def _reads(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "item"
        and not node.args
    )


def _asks(node: ast.Call | ast.Compare, is_number: Any) -> bool:
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        same = any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops)
        bools = any(
            isinstance(item, ast.Constant) and item.value in (True, False) for item in sides
        )
        return same and bools and any(is_number(item) for item in sides)
    if not isinstance(node.func, ast.Name) or not node.args or not is_number(node.args[0]):
        return False
    if node.func.id == "isinstance":
        named = {
            item.id if isinstance(item, ast.Name) else item.attr
            for item in ast.walk(node.args[-1])
            if isinstance(item, (ast.Name, ast.Attribute))
        }
        return bool(named & _TYPES)
    return node.func.id == "type" and len(node.args) == 1
