# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""State that a forward method keeps in plain attributes: counters, caches, last values.

Attributes of objects among the attributes count as well.

A captured program holds for the attributes capture met, and writes none. Attributes that are only
written (the last attention weights, say) do no harm. What a call leaves different and the next one
reads makes the program wrong from the second call on, hence such modules are not captured. Which
of the two it is, a second capture with what the first call left tells: it must be the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from tessera.capture.leaves import LeafModule
from tessera.capture.objects import is_object, is_state
from tessera.errors import CaptureError

_PLAIN = (type(None), bool, int, float, str)
_CONTAINERS = (list, tuple, dict)
_OWN = frozenset(nn.Module().__dict__)
_REMEDY = "keep it in a buffer: self.register_buffer(name, torch.tensor(…)), written in place"

#: (path of the module, name of the attribute): value
_Attributes = dict[tuple[str, str], Any]


class StatefulError(CaptureError):
    """A call changes plain attributes that the next call reads; ``fqn`` is whose they are.

    ``others`` are further modules that have the object whose attributes they are, ``alike`` those
    of the same class whose attribute of the same name the call changed as well.
    """

    def __init__(
        self, fqn: str, name: str, others: Sequence[str] = (), alike: Sequence[str] = ()
    ) -> None:
        place = f"{fqn}.{name}" if fqn else name
        super().__init__(
            f"forward() changes self.{place}, and what it computes depends on that",
            remedy=_REMEDY,
        )
        self.fqn = fqn
        self.name = name
        self.others = tuple(others)
        self.alike = tuple(alike)

    def of(self, fqn: str) -> StatefulError:
        """The same about another module."""
        return StatefulError(fqn, self.name)


class AttributeState:
    """What a call of `root`, a copy made for capture, does to plain attributes."""

    def __init__(self, root: nn.Module) -> None:
        #: modules, and objects among their attributes, by path
        self._holders: dict[str, Any] = {
            path: module
            for path, module in root.named_modules()
            # What stands in for a submodule keeps capture's own notes.
            if not isinstance(module, LeafModule)
        }
        #: of objects: the path of the module, and what they are there
        self._places: dict[str, tuple[str, str]] = {}
        #: by id of an object: its path as a holder, and the modules that have it
        self._known: dict[int, tuple[str, dict[str, None]]] = {}
        for path, module in list(self._holders.items()):
            for name, value in module.__dict__.items():
                if name not in _OWN:
                    self._find(path, name, value)
        self._links = self._registered(root)
        self._before: _Attributes = {}
        self._after: _Attributes = {}

    def _find(self, path: str, name: str, value: Any) -> None:
        """Notes the objects inside of an attribute."""
        if isinstance(value, dict):
            for key, item in value.items():
                self._find(path, f"{name}[{key!r}]", item)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                self._find(path, f"{name}[{index}]", item)
        elif is_object(value) and (id(value) in self._known or is_state(value)):
            if id(value) not in self._known:
                where = f"{path}.{name}"
                self._holders[where], self._places[where] = value, (path, name)
                self._known[id(value)] = where, {}
            self._known[id(value)][1][path] = None
            for inner, item in vars(value).items():
                self._find(path, f"{name}.{inner}", item)

    def _registered(self, root: nn.Module) -> list[tuple[dict[str, Any], str, nn.Module, str]]:
        """Attributes that are a buffer or parameter, registered elsewhere: where, and which."""
        known: dict[int, tuple[nn.Module, str]] = {}
        for module in root.modules():
            for registered in (module._parameters, module._buffers):
                for name, tensor in registered.items():
                    if tensor is not None:
                        known.setdefault(id(tensor), (module, name))
        return [
            (holder.__dict__, name, *known[id(value)])
            for holder in self._holders.values()
            for name, value in holder.__dict__.items()
            if isinstance(value, torch.Tensor) and id(value) in known
        ]

    def begin(self) -> None:
        """Before a call."""
        # Capture puts others in the places of registered tensors, and of those only.
        self._own = [attributes[name] for attributes, name, *_ in self._links]
        for attributes, name, module, registered in self._links:
            attributes[name] = getattr(module, registered)
        self._before = self._read()

    def end(self) -> None:
        """After it; torch.export puts some of it back later."""
        self._after = self._read()
        for (attributes, name, module, registered), own in zip(self._links, self._own, strict=True):
            if attributes.get(name) is getattr(module, registered):
                attributes[name] = own

    def changed(self) -> list[tuple[str, str]]:
        """The attributes that the call left different."""
        return [
            place
            for place, value in self._after.items()
            if place not in self._before or not _same(self._before[place], value)
        ]

    def require_harmless(
        self, program: ExportedProgram, again: Callable[[], ExportedProgram]
    ) -> None:
        """StatefulError if calls after the first would not compute what `program` does."""
        changed = self.changed()
        if not changed or self._continues(changed, program, again):
            return
        # Whose it is: each module's attributes by themselves.
        for path in dict.fromkeys(path for path, _ in changed):
            own = [place for place in changed if place[0] == path]
            if len(own) == len(changed) or not self._continues(own, program, again):
                raise StatefulError(*self._most_telling(own))
        raise StatefulError(*self._most_telling(changed))

    def _continues(
        self,
        places: list[tuple[str, str]],
        program: ExportedProgram,
        again: Callable[[], ExportedProgram],
    ) -> bool:
        """Whether a call that finds at `places` what the first one left is like the first."""
        before, after = self._before, self._after
        try:
            for place in places:
                self._set(place, pytree.tree_map_only(torch.Tensor, _real, after[place]))
            left = [leaf for place in places for leaf in pytree.tree_leaves(self._get(place))]
            second = again()
            read = _constants(second)
            return _text(second) == _text(program) and not any(id(leaf) in read for leaf in left)
        except Exception:  # whatever it is, that call differs from the first
            return False
        finally:
            # The state of the first call, for the next question.
            self._before, self._after = before, after
            for path, name in places:
                if (path, name) in before:
                    self._set((path, name), before[path, name])
                else:
                    self._holders[path].__dict__.pop(name, None)

    def _most_telling(self, places: list[tuple[str, str]]) -> tuple[str, str, list[str], list[str]]:
        path, name = next((place for place in places if _is_plain(self._after[place])), places[0])
        module, inside = self._places.get(path, (path, ""))
        others = {
            item: None
            for where, modules in self._known.values()
            if any(where == place for place, _ in places)
            for item in modules
            if item != module
        }
        if path in self._places:
            return module, f"{inside}.{name}" if inside else name, list(others), []
        kind = type(self._holders[path])
        alike = [
            place
            for place, changed in self.changed()
            if changed == name and place not in ("", path) and type(self._holders[place]) is kind
        ]
        return path, name, list(others), alike

    def _get(self, place: tuple[str, str]) -> Any:
        return self._holders[place[0]].__dict__.get(place[1])

    def _set(self, place: tuple[str, str], value: Any) -> None:
        self._holders[place[0]].__dict__[place[1]] = value

    def _read(self) -> _Attributes:
        # Containers are copied, since a call may change them in place.
        return {
            (path, name): pytree.tree_map(lambda leaf: leaf, value)
            for path, holder in self._holders.items()
            for name, value in holder.__dict__.items()
            if (name not in _OWN or path in self._places) and _is_data(value)
        }


def _text(program: ExportedProgram) -> str:
    """What a program does; calls of leaves have other numbers in each capture."""
    return re.sub(r"(tessera\.leaf\.default\()\d+", r"\1", str(program.graph_module.code))


def _constants(program: ExportedProgram) -> set[int]:
    """The tensors (their ids) that a program reads and that are no part of the model's state."""
    users = {node.name: node.users for node in program.graph.nodes}
    return {
        id(program.constants[str(spec.target)])
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.CONSTANT_TENSOR and users.get(spec.arg.name)
    }


def _real(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor like the one that capture saw, with memory."""
    return torch.zeros([int(size) for size in tensor.shape], dtype=tensor.dtype)


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN)


def _is_data(value: Any) -> bool:
    if isinstance(value, nn.Parameter) or not (_is_leaf(value) or type(value) in _CONTAINERS):
        return False
    return all(map(_is_leaf, pytree.tree_leaves(value)))


def _is_leaf(value: Any) -> bool:
    return _is_plain(value) or isinstance(value, torch.Tensor) or is_object(value)


def _same(left: Any, right: Any) -> bool:
    (ours, our_spec), (theirs, their_spec) = pytree.tree_flatten(left), pytree.tree_flatten(right)
    return our_spec == their_spec and all(
        # Twice the same NaN is no change.
        one is other
        or (_is_plain(one) and type(one) is type(other) and (one == other or one != one != other))
        for one, other in zip(ours, theirs, strict=True)
    )
