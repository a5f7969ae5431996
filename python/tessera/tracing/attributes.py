# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Plain attributes of native modules, on which a program depends and which it cannot change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.utils import _pytree as pytree

from tessera.lowering.context import GraphValue
from tessera.lowering.registry import Unsupported

if TYPE_CHECKING:
    from tessera.watch import Entry

_CONTAINERS = (list, dict)


class Attributes:
    """What the attributes of a module were before its forward() was traced."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self._values: dict[str, Any] = dict(module.__dict__)
        # Containers may be changed in place.
        self._copies = {
            name: value.copy()
            for name, value in self._values.items()
            if type(value) in _CONTAINERS and name not in _REGISTERED
        }

    def restore(self) -> str:
        """Takes back what tracing changed; the name of such an attribute, or ""."""
        found = ""
        state = self.module.__dict__
        for name in [*self._values, *state]:
            before = self._values.get(name, _MISSING)
            now = state.get(name, _MISSING)
            saved = self._copies.get(name)
            if now is before and (saved is None or _same(saved, before)):
                continue
            found = found or name
            if before is _MISSING:
                del state[name]
                continue
            state[name] = before
            if saved is not None:
                before.clear()
                before.extend(saved) if isinstance(before, list) else before.update(saved)
        return found

    def watched(self) -> list[Entry]:
        """What must stay as it is for the program to hold."""
        state = self.module.__dict__
        entries: list[Entry] = [
            (state, name, value) for name, value in state.items() if name not in _REGISTERED
        ]
        entries.append((state, None, len(state)))
        for name in _REGISTERED:
            registered = state[name]
            entries += [(registered, key, value) for key, value in registered.items()]
            entries.append((registered, None, len(registered)))
        return entries


_MISSING: Any = object()
_REGISTERED = ("_children", "_parameters", "_buffers")


def _same(left: Any, right: Any) -> bool:
    """Whether two containers hold the same objects."""
    if len(left) != len(right):
        return False
    if isinstance(left, dict):
        return all(key in right and right[key] is value for key, value in left.items())
    return all(one is other for one, other in zip(left, right, strict=True))


def refuse_traced(name: str, value: Any) -> None:
    """Unsupported for an attribute that would keep a value of the graph."""
    if any(isinstance(item, GraphValue) for item in pytree.tree_leaves(value)):
        raise Unsupported(
            f"forward() keeps a traced tensor in self.{name}",
            f"return it, or make {name!r} a buffer and call self.update_buffer({name!r}, …)",
            code="state",
        )
