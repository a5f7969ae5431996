# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Containers of modules."""

from __future__ import annotations

import itertools
import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from torch import nn

from tessera.errors import ArgumentTypeError
from tessera.module import AnyModule, Module, is_module
from tessera.nn.layers.base import LAYERS, from_torch

C = TypeVar("C", bound="_Ordered")


class _Ordered(Module):
    """Children in an order, named by their position unless they are given names."""

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._children.values())

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def _made(self, module: Any) -> AnyModule:
        """A child as it is kept; ArgumentTypeError for what is no module."""
        if not is_module(module):
            raise ArgumentTypeError(
                f"{type(self).__name__} holds modules, not {module!r}",
                remedy="put a function into the forward() of a small ts.Module",
            )
        return module

    def _name_at(self, index: Any) -> str:
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(f"index {place} is out of range for {len(self)} modules")
        names: list[str] = list(self._children)
        return names[place]

    def __getitem__(self: C, index: Any) -> Any:
        if isinstance(index, slice):
            return self._from(list(self._children.items())[index])
        return self._children[self._name_at(index)]

    def _from(self: C, items: list[tuple[str, Any]]) -> C:
        return type(self)([module for _, module in items])  # type: ignore[call-arg]

    def __setitem__(self, index: Any, module: Any) -> None:
        self._children[self._name_at(index)] = self._made(module)

    def __delitem__(self, index: Any) -> None:
        items = list(self._children.items())
        gone = items[index] if isinstance(index, slice) else [(self._name_at(index), None)]
        for name, _ in gone:
            del self._children[name]
        self._renumber()

    def _renumber(self) -> None:
        kept = list(self._children.items())
        self._children.clear()
        for position, (name, module) in enumerate(kept):
            self._children[str(position) if name.isdigit() else name] = module

    def append(self: C, module: Any) -> C:
        """Adds a module at the end."""
        self._children[str(len(self))] = self._made(module)
        return self

    def extend(self: C, modules: Iterable[Any]) -> C:
        """Adds modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self: C, index: int, module: Any) -> C:
        """Puts a module before the one at `index`."""
        modules = list(self._children.values())
        modules.insert(index, self._made(module))
        self._children.clear()
        self._children.update((str(place), item) for place, item in enumerate(modules))
        return self

    def pop(self, index: Any = -1) -> Any:
        """Takes a module out and returns it."""
        module = self[index]
        del self[index]
        return module


class Sequential(_Ordered):
    """Modules one after another, each called with what the one before gave.

    Takes modules, or an OrderedDict of them with names. PyTorch's modules become native layers
    over the same parameters, or wrapped where there is no such layer.
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, self._made(module))
            return
        self.extend(modules)

    def _made(self, module: Any) -> AnyModule:
        kept = super()._made(module)
        return from_torch(kept) if isinstance(kept, nn.Module) else kept

    def _from(self, items: list[tuple[str, Any]]) -> Sequential:
        return Sequential(OrderedDict(items))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The last module's result; only the first one may take several arguments."""
        modules = list(self)
        if not modules:
            if len(args) != 1 or kwargs:
                raise TypeError(f"an empty Sequential takes one argument, got {len(args)}")
            return args[0]
        result = modules[0](*args, **kwargs)
        for module in modules[1:]:
            result = module(result)
        return result


class ModuleList(_Ordered):
    """A list of modules, to be called by the module it is in."""

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        super().__init__()
        self.extend(modules)

    def __contains__(self, module: Any) -> bool:
        return any(child is module for child in self)

    def __add__(self, other: Iterable[Any]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        # Equal modules in a row are printed once.
        runs = [(text, len(list(group))) for text, group in itertools.groupby(map(repr, self))]
        lines, start = [], 0
        for text, count in runs:
            place = f"({start})" if count == 1 else f"({start}-{start + count - 1})"
            times = "" if count == 1 else f"{count} x "
            lines.append(f"{place}: {times}{text}".replace("\n", "\n  "))
            start += count
        body = "\n  ".join(["", *lines]) + "\n" if lines else ""
        return f"{self._label()}({body})"

    def __iadd__(self, other: Iterable[Any]) -> ModuleList:
        return self.extend(other)


class ModuleDict(Module):
    """Modules by name, to be called by the module it is in."""

    def __init__(self, modules: Any = ()) -> None:
        super().__init__()
        self.update(modules)

    def __len__(self) -> int:
        return len(self._children)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._children)

    def __contains__(self, name: object) -> bool:
        return name in self._children

    def __getitem__(self, name: str) -> Any:
        return self._children[name]

    def __setitem__(self, name: str, module: Any) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentTypeError(f"ModuleDict: a name must be a string without dots: {name!r}")
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._children[name]

    def update(self, modules: Any) -> None:
        """Adds modules from a mapping or pairs of names and modules."""
        pairs = modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules
        for name, module in pairs:
            self[name] = module

    def pop(self, name: str) -> Any:
        """Takes a module out and returns it."""
        return self._children.pop(name)

    def clear(self) -> None:
        """Takes all modules out."""
        self._children.clear()

    def keys(self) -> Any:
        """The names."""
        return self._children.keys()

    def items(self) -> Any:
        """Names and modules."""
        return self._children.items()

    def values(self) -> Any:
        """The modules."""
        return self._children.values()


class _Natively:
    """How PyTorch's containers become these (see base.from_torch)."""

    def __init__(self, make: Any) -> None:
        self.from_torch = make


def _children(module: nn.Module) -> OrderedDict[str, Any]:
    return OrderedDict(
        (name, from_torch(child)) for name, child in module._modules.items() if child
    )


def _modes(result: Any, module: nn.Module) -> Any:
    object.__setattr__(result, "training", module.training)
    return result


_CONTAINERS: dict[type[nn.Module], Any] = {
    nn.Sequential: lambda module: _modes(Sequential(_children(module)), module),
    nn.ModuleList: lambda module: _modes(ModuleList(_children(module).values()), module),
    nn.ModuleDict: lambda module: _modes(ModuleDict(_children(module)), module),
}
LAYERS.update({kind: _Natively(make) for kind, make in _CONTAINERS.items()})  # type: ignore
