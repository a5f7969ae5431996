# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Values that PyTorch's pytrees do not take apart, or do not put together again.

A dataclass that nobody registered is a leaf to pytree, whatever tensors it holds, and a torch.Size
comes back as a plain tuple. `opened` puts a node of our own in the place of each: flattened and
unflattened by pytree as ever, it gives the value that PyTorch would.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch.utils import _pytree as pytree


class _Node:
    """A value taken apart; unflattening gives the value itself."""

    __slots__ = ("kind", "names", "values")

    def __init__(self, kind: type, names: tuple[str, ...], values: list[Any]) -> None:
        self.kind = kind
        #: the attributes `values` are; none of a torch.Size
        self.names = names
        self.values = values


class Opener(Protocol):
    """What else is to be opened, and how."""

    def takes(self, value: Any) -> bool: ...

    def open(self, value: Any) -> Any: ...


def opened(
    tree: Any,
    *,
    sizes_only: bool = False,
    leaves: tuple[type, ...] = (),
    first: Opener | None = None,
) -> Any:
    """`tree` with every torch.Size, and every dataclass pytree does not know, as a node.

    Instances of `leaves` stay whole; what `first` takes, it opens.
    """

    def is_value(value: Any) -> bool:
        if type(value) is torch.Size or (first is not None and first.takes(value)):
            return True
        return not sizes_only and not isinstance(value, leaves) and _is_plain_dataclass(value)

    def open_one(value: Any) -> Any:
        if type(value) is torch.Size:
            return _Node(torch.Size, (), list(value))
        if first is not None and first.takes(value):
            return first.open(value)
        if not is_value(value):
            return value
        names = _attributes(value)
        values = [opened(getattr(value, name), leaves=leaves, first=first) for name in names]
        return _Node(type(value), names, values)

    # Rebuilding what needs no change would call constructors that may not expect it.
    if not any(is_value(leaf) for leaf in pytree.tree_leaves(tree, is_leaf=is_value)):
        return tree
    return pytree.tree_map(open_one, tree, is_leaf=is_value)


def _is_plain_dataclass(value: Any) -> bool:
    """An instance whose attributes are all there is to it."""
    kind = type(value)
    return (
        dataclasses.is_dataclass(kind)
        and kind not in pytree.SUPPORTED_NODES
        and kind.__new__ is object.__new__
        and not isinstance(value, (tuple, list, dict, set, torch.Tensor, torch.nn.Module))
    )


def _attributes(value: Any) -> tuple[str, ...]:
    """Fields, and what else was set, in order; a field with slots may not be set at all."""
    fields = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
    return tuple(dict.fromkeys([*fields, *getattr(value, "__dict__", {})]))


def _flatten(node: _Node) -> tuple[list[Any], Any]:
    return node.values, (node.kind, node.names)


_STATE = threading.local()


@contextlib.contextmanager
def staying_open() -> Iterator[None]:
    """While torch takes results apart that it has put together itself: nodes stay nodes."""
    _STATE.open = True
    try:
        yield
    finally:
        _STATE.open = False


def stays_open() -> bool:
    return getattr(_STATE, "open", False)


def _unflatten(values: Any, context: Any) -> Any:
    kind, names = context
    if stays_open():
        return _Node(kind, names, list(values))
    if kind is torch.Size:
        sizes = tuple(values)
        # While sizes are symbols, or types of tensors, a Size cannot hold them.
        return torch.Size(sizes) if all(type(size) is int for size in sizes) else sizes
    # Not through __init__: it may take other arguments, and __post_init__ has run already.
    result = object.__new__(kind)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(result, name, value)
    return result


def _flatten_with_keys(node: _Node) -> tuple[list[Any], Any]:
    values, context = _flatten(node)
    keys: list[Any] = [pytree.GetAttrKey(name) for name in node.names]
    keys = keys or [pytree.SequenceKey(index) for index in range(len(values))]
    return list(zip(keys, values, strict=True)), context


pytree.register_pytree_node(_Node, _flatten, _unflatten, flatten_with_keys_fn=_flatten_with_keys)
