# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The tree of a converted model: it mirrors the PyTorch one, follows its changes, and lets children
be replaced. What a call runs is in compiled.py.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from torch import nn

from tessera.errors import ReplacementError
from tessera.module import AnyModule, Module
from tessera.replacement import check_replacement


class Mirror(Module):
    """A node of the tree, with the parameters and buffers of its PyTorch module."""

    def __init__(self, module: nn.Module, path: str) -> None:
        super().__init__()
        state = self.__dict__
        state["_torch"] = module
        state["_path"] = path
        state["_parameters"] = module._parameters
        state["_buffers"] = module._buffers
        state["_non_persistent"] = module._non_persistent_buffers_set
        state["_lock"] = threading.RLock()
        state["_owners"] = []
        state["training"] = module.training

    def _new_mirror(
        self, module: nn.Module, path: str, memo: dict[int, Mirror] | None = None
    ) -> Mirror:
        """A mirror for a child, converted as this one is."""
        raise NotImplementedError

    def _is_mirror(self, name: str) -> bool:
        """Whether a child still is what stands for the PyTorch child of that name."""
        raise NotImplementedError

    def _reset(self) -> None:
        """Forgets every program."""
        raise NotImplementedError

    def _mirror_children(self, memo: dict[int, Mirror]) -> None:
        """Mirrors what is below; `memo` has the mirrors there are, by id of the original."""
        memo[id(self._torch)] = self
        self.__dict__["_children"] = OrderedDict(
            (name, None if child is None else self._mirror_of(name, child, memo))
            for name, child in self._torch._modules.items()
        )
        self.__dict__["_originals"] = dict(self._torch._modules)

    def _follow(self) -> None:
        """Mirrors the children of the PyTorch module that are others than before."""
        now = self._torch._modules
        for name in [name for name in self._children if name not in now]:
            del self._children[name]
        for name, original in now.items():
            child = self._children.get(name)
            if original is not self._originals.get(name):
                # Where the user put something else, that stays.
                if child is None or child.__dict__.get("_torch") is self._originals.get(name):
                    child = None if original is None else self._mirror_of(name, original)
                self._children[name] = child
            elif child is not None and self._is_mirror(name):
                child._follow()
        self.__dict__["_originals"] = dict(now)

    def _mirror_of(
        self, name: str, original: nn.Module, memo: dict[int, Mirror] | None = None
    ) -> Mirror:
        """The mirror of a child, which knows that it hangs here as well."""
        mirror = None if memo is None else memo.get(id(original))
        if mirror is None:
            where = f"{self._path}.{name}" if self._path else name
            mirror = self._new_mirror(original, where, memo)
        mirror._owners.append(weakref.ref(self))
        return mirror

    def _mirrors(self) -> Iterator[Mirror]:
        """This mirror and those below that are still captured through this one."""
        yield self
        seen = {id(self)}
        for name, child in self._children.items():
            if child is not None and self._is_mirror(name) and id(child) not in seen:
                seen.add(id(child))
                yield from child._mirrors()

    def _training_flags(self) -> dict[int, bool]:
        return {id(mirror._torch): mirror.training for mirror in self._mirrors()}

    def _replaced(self, path: str = "") -> dict[str, AnyModule]:
        """Children that the user replaced, by path from here."""
        found: dict[str, AnyModule] = {}
        for name, child in self._children.items():
            where = f"{path}.{name}" if path else name
            if child is None:
                continue
            if self._is_mirror(name):
                found.update(child._replaced(where))
            else:
                found[where] = child
        return found

    # --- attributes -----------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training":
            self.train(value)
            return
        if name in self._children:
            self._replace(name, value)
            return
        kind = (
            "parameter"
            if name in self._parameters
            else "buffer"
            if name in self._buffers
            else "attribute"
        )
        remedy = {
            "parameter": "write into it (with torch.no_grad(): parameter.copy_(…)) or use "
            "load_state_dict",
            "buffer": "write into it (buffer.copy_(…)) or use load_state_dict",
            "attribute": "change the PyTorch model and convert it again",
        }[kind]
        raise ReplacementError(
            f"{kind} {name!r} of the converted {type(self._torch).__name__} cannot be set: only "
            f"children can be replaced (here: {', '.join(self._children) or 'none'})",
            remedy=remedy,
        )

    def __delattr__(self, name: str) -> None:
        raise ReplacementError(f"{name!r} of a converted module cannot be deleted")

    def _replace(self, name: str, value: Any) -> None:
        original = self._torch._modules[name]
        where = f"{self._path}.{name}" if self._path else name
        replacement = check_replacement(self, where, original, value)
        with self._lock:
            self._children[name] = replacement
            if isinstance(replacement, Mirror):
                replacement._owners.append(weakref.ref(self))
        self._mark_stale()

    def _mark_stale(self) -> None:
        """The tree changed: the next call captures again. Calls that run keep their program."""
        with self._lock:
            self._reset()
        for owner in self._living_owners():
            owner._mark_stale()

    def _living_owners(self) -> Iterator[Mirror]:
        for reference in list(self._owners):
            owner = reference()
            if owner is not None and any(child is self for child in owner._children.values()):
                yield owner

    def __getattr__(self, name: str) -> Any:
        children = self.__dict__.get("_children")
        if children is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name in children:
            return children[name]
        module = self.__dict__["_torch"]
        try:
            value = getattr(module, name)
        except AttributeError:
            raise AttributeError(
                f"the converted {type(module).__name__} has no attribute {name!r}"
            ) from None
        if getattr(value, "__self__", None) is module:
            raise AttributeError(
                f"{name}() is a method of the PyTorch class {type(module).__name__}; only "
                f"forward() is converted. Call it on the PyTorch model"
            )
        return value

    def __dir__(self) -> list[str]:
        plain = (name for name in vars(self._torch) if not name.startswith("_"))
        return sorted({*super().__dir__(), *plain})

    # --- containers -----------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._torch) if self._holds_parameters() else len(self._children)

    def _holds_parameters(self) -> bool:
        return isinstance(self._torch, (nn.ParameterList, nn.ParameterDict))

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        if self._holds_parameters():
            return iter(self._torch)
        if isinstance(self._torch, nn.ModuleDict):
            return iter(self._children)
        return iter(self._children.values())

    def __contains__(self, key: object) -> bool:
        return (
            key in self._children
            if isinstance(key, str)
            else any(child is key for child in self._children.values())
        )

    def _child_name(self, index: Any) -> str:
        if isinstance(index, str):
            if index in self._children:
                return index
            raise KeyError(index)
        names = list(self._children)
        return str(names[index])

    def __getitem__(self, index: Any) -> Any:
        if self._holds_parameters():
            return self._torch[index]
        if isinstance(index, slice):
            return list(self._children.values())[index]
        return self._children[self._child_name(index)]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._replace(self._child_name(index), value)

    def keys(self) -> Any:
        """Names of the children, as of a ModuleDict."""
        return self._children.keys()

    def items(self) -> Any:
        """Names and children, as of a ModuleDict."""
        return self._children.items()

    def values(self) -> Any:
        """Children, as of a ModuleDict."""
        return self._children.values()
