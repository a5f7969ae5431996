# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Objects that carry tensors through calls: key-value caches and their like.

pytree takes an instance of an ordinary class for a leaf. Here it is a node of its attributes, so
that a program takes and gives the tensors inside. What forward() does to an object it was given
(attributes it sets, a list it appends to) is part of the program's result, and is done after the
call to the caller's own object, which is also what comes back where forward() returns it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from tessera.capture.trees import Opener, opened, stays_open
from tessera.tensor import Tensor

_SYMBOLS = (torch.SymInt, torch.SymFloat, torch.SymBool)
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DATA = (*_PLAIN, torch.dtype, torch.device, torch.layout, torch.memory_format, type)
#: Objects inside of objects; more of them have cycles.
_MAX_DEPTH = 20
#: Objects with more inside are no data of a model.
_MAX_LEAVES = 20_000


class Handle:
    """The leaf of an opened argument that is the object itself."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"<{type(self.value).__name__}>"


class _Object:
    """An object taken apart."""

    __slots__ = ("handle", "kind", "names", "values")

    def __init__(
        self, kind: type, names: tuple[str, ...], values: list[Any], handle: Handle | None
    ) -> None:
        self.kind = kind
        self.names = names
        self.values = values
        #: of arguments
        self.handle = handle


class _Given:
    """In a result: the argument whose handle is the leaf at `place`."""

    __slots__ = ("place",)

    def __init__(self, place: int) -> None:
        self.place = place


class _Fixed:
    """In a result: a value that is no tensor and no number, hence the same in each call."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _Deleted:
    """The value of an attribute that forward() deletes."""


_CALL = threading.local()


def is_object(value: Any) -> bool:
    """Whether it is an instance of an ordinary class, whose attributes are all there is to it."""
    kind = type(value)
    return (
        getattr(kind, "__new__", None) is object.__new__
        and hasattr(value, "__dict__")
        and kind not in pytree.SUPPORTED_NODES
        and not isinstance(value, (torch.Tensor, Tensor, nn.Module, type, list, dict, tuple, set))
    )


def _leaves(value: Any, depth: int = 0) -> Iterator[Any]:
    """What is inside of an object, and of objects in there; RecursionError when it is endless."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    for leaf in pytree.tree_leaves(vars(value)):
        if is_object(leaf):
            yield from _leaves(leaf, depth + 1)
        else:
            yield leaf


def _is_opened(value: Any, *, as_argument: bool) -> bool:
    """Objects with tensors; of arguments also what forward() may fill, an empty cache say."""
    if not is_object(value):
        return False
    try:
        leaves = list(itertools.islice(_leaves(value), _MAX_LEAVES + 1))
    except RecursionError:
        return False
    if len(leaves) > _MAX_LEAVES:
        return False
    if any(isinstance(leaf, (torch.Tensor, Tensor)) for leaf in leaves):
        return True
    kind = type(value)
    if not as_argument or (dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        return False
    return all(isinstance(leaf, _DATA) for leaf in leaves)


def is_state(value: Any) -> bool:
    """Whether it is an object of data, which a call may change."""
    return _is_opened(value, as_argument=True)


def carries_state(tree: Any) -> bool:
    """Whether there are objects in a tree that a call may change."""
    return any(map(is_state, pytree.tree_leaves(tree)))


class _Arguments:
    """Opens objects, with handles."""

    def takes(self, value: Any) -> bool:
        return is_state(value)

    def open(self, value: Any) -> Any:
        return _taken_apart(value, self, Handle(value))


class _Results:
    """Opens objects with tensors; those among the arguments are but named."""

    def __init__(self, places: Mapping[int, int], *, inside: bool = False) -> None:
        #: by id, of arguments: where their handles are
        self._places = places
        #: whether these are attributes, of which some must be kept from torch.export
        self._inside = inside

    def takes(self, value: Any) -> bool:
        if id(value) in self._places or _is_opened(value, as_argument=False):
            return True
        return (
            self._inside
            and type(value) not in pytree.SUPPORTED_NODES
            and not isinstance(value, (*_PLAIN, *_SYMBOLS, torch.Tensor))
            and not dataclasses.is_dataclass(value)
        )

    def open(self, value: Any) -> Any:
        if id(value) in self._places:
            return _Given(self._places[id(value)])
        if is_object(value) and _is_opened(value, as_argument=False):
            return _taken_apart(value, self.inside(), None)
        return _Fixed(value)

    def inside(self) -> _Results:
        return _Results(self._places, inside=True)


def _taken_apart(value: Any, opener: Opener, handle: Handle | None) -> _Object:
    state = vars(value)
    sizes_only = handle is not None
    values = [opened(item, sizes_only=sizes_only, first=opener) for item in state.values()]
    return _Object(type(value), tuple(state), values, handle)


def opened_arguments(tree: Any) -> Any:
    """`tree` with every torch.Size and every object as a node; objects with a handle."""
    return opened(tree, sizes_only=True, first=_Arguments())


def copied_arguments(tree: Any, function: Callable[[torch.Tensor], Any]) -> Any:
    """`tree` with `function` of its tensors, in objects of their own."""
    flat, spec = pytree.tree_flatten(opened(opened_arguments(tree)))
    leaves = [
        function(leaf)
        if isinstance(leaf, torch.Tensor)
        else Handle()
        if isinstance(leaf, Handle)
        else leaf
        for leaf in flat
    ]
    return pytree.tree_unflatten(leaves, spec)


def opened_results(tree: Any) -> Any:
    """`tree` with what pytree does not know as nodes."""
    return opened(tree, first=_Results({}))


# --- what a call does to its arguments --------------------------------------------------------


class Effects:
    """Watches objects through a call made for capture."""

    def __init__(self, objects: Mapping[int, Any]) -> None:
        #: by the place of their handles
        self._objects = objects
        self._opener = _Results({id(value): place for place, value in self._objects.items()})
        self._before = {
            place: {name: _frozen(item) for name, item in vars(value).items()}
            for place, value in self._objects.items()
        }

    def result(self, result: Any) -> Any:
        """What a call gives, with what pytree does not know as nodes.

        With what it changes, where there are objects among the arguments.
        """
        if not self._objects:
            return opened_results(result)
        return opened(result, first=self._opener), self._changes()

    def _changes(self) -> dict[int, dict[str, Any]]:
        """By place and name: the attributes that are others than before."""
        inside = self._opener.inside()
        found: dict[int, dict[str, Any]] = {}
        for place, value in self._objects.items():
            before, after = self._before[place], vars(value)
            changed = {
                name: opened(item, first=inside)
                for name, item in after.items()
                if name not in before or not _same(before[name], _frozen(item))
            }
            changed |= {name: _Fixed(_Deleted) for name in before if name not in after}
            if changed:
                found[place] = changed
        return found


def apply_changes(changes: Mapping[int, Mapping[str, Any]], flat: Sequence[Any]) -> None:
    """Does to the caller's objects what forward() does to them."""
    for place, attributes in changes.items():
        state = vars(flat[place].value)
        for name, value in attributes.items():
            old = state.get(name)
            if value is _Deleted:
                state.pop(name, None)
            elif type(old) is list and type(value) is list:
                old[:] = value
            elif type(old) is dict and type(value) is dict:
                old.clear()
                old.update(value)
            else:
                state[name] = value


def _frozen(value: Any) -> Any:
    """A value as it is now: containers are copied, everything else is itself."""
    if isinstance(value, dict):
        return type(value), [(key, _frozen(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [_frozen(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, value))
    return value


def _same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))
    # Twice the same NaN is no change.
    return isinstance(left, _PLAIN) and (left == right or repr(left) == repr(right))


@contextlib.contextmanager
def answering(flat: Sequence[Any]) -> Iterator[None]:
    """While results are put together: the leaves of the call's arguments."""
    before = getattr(_CALL, "flat", None)
    _CALL.flat = flat
    try:
        yield
    finally:
        _CALL.flat = before


# --- pytree -----------------------------------------------------------------------------------


class _Itself:
    """The key of a handle, which is what the names before it lead to."""

    def __str__(self) -> str:
        return ""

    def get(self, parent: Any) -> Any:
        return parent


_ITSELF: Any = _Itself()


def _flatten_object(node: _Object) -> tuple[list[Any], Any]:
    context = (node.kind, node.names)
    return (node.values if node.handle is None else [node.handle, *node.values]), context


def _flatten_object_with_keys(node: _Object) -> tuple[list[Any], Any]:
    values, context = _flatten_object(node)
    keys: list[Any] = [pytree.GetAttrKey(name) for name in node.names]
    keys = keys if node.handle is None else [_ITSELF, *keys]
    return list(zip(keys, values, strict=True)), context


def _unflatten_object(values: Any, context: Any) -> Any:
    kind, names = context
    values = list(values)
    handle = values.pop(0) if len(values) > len(names) else None
    if stays_open():
        return _Object(kind, names, values, handle)
    if isinstance(handle, Handle) and handle.value is not None:
        return handle.value
    result = object.__new__(kind)
    vars(result).update(zip(names, values, strict=True))
    if isinstance(handle, Handle):
        handle.value = result
    return result


pytree.register_pytree_node(
    _Object,
    _flatten_object,
    _unflatten_object,
    flatten_with_keys_fn=_flatten_object_with_keys,
)
pytree.register_pytree_node(
    _Given,
    lambda node: ([], node.place),
    lambda _, place: _Given(place) if stays_open() else _CALL.flat[place].value,
    flatten_with_keys_fn=lambda node: ([], node.place),
)
pytree.register_pytree_node(
    _Fixed,
    lambda node: ([], node.value),
    lambda _, value: _Fixed(value) if stays_open() else value,
    flatten_with_keys_fn=lambda node: ([], node.value),
)
