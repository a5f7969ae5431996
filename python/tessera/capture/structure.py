# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A copy of a module tree that shares every tensor with the original.

Capture runs on such a copy: forward methods may assign attributes, capture itself swaps
parameters for fake tensors, and children may be replaced by opaque leaves, none of which the
user's own modules ever see.
"""

from __future__ import annotations

import types
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from tessera.capture.objects import is_object, is_state
from tessera.errors import CaptureError

_REGISTERED = ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set")


def copy_structure(
    root: nn.Module,
    *,
    replace: Mapping[tuple[int, str], nn.Module] | None = None,
    training: Mapping[int, bool] | None = None,
    clone_buffers: bool = False,
) -> nn.Module:
    """`root` with new module objects and the same parameters, buffers and other attributes.

    `replace` gives, by (id of the parent, name of the child), what stands in a child's place.
    `training` gives modes by id of the original. With `clone_buffers` running the copy leaves the
    original's buffers alone.
    """
    work = _Copy(replace or {})
    result = work.copy(root)
    for original, clone in work.copied:
        _rebind(clone, work.memo)
        if training is not None:
            clone.training = training.get(id(original), original.training)
        if clone_buffers:
            _clone_buffers(clone._buffers, clone.__dict__)
    if clone_buffers:
        for item in work.memo.values():
            if not isinstance(item, nn.Module) and is_state(item):
                _clone_buffers(item.__dict__)
    return result


class _Copy:
    """One walk over a tree; shared modules stay shared."""

    def __init__(self, replace: Mapping[tuple[int, str], nn.Module]) -> None:
        self.replace = replace
        #: by id: the copy of a module, or of an object among the attributes
        self.memo: dict[int, Any] = {}
        self.copied: list[tuple[nn.Module, nn.Module]] = []
        self._replaced: dict[int, nn.Module] = {}

    def copy(self, module: nn.Module) -> nn.Module:
        result = self._copy(module)
        # Other references to a replaced child mean its replacement, unless it also lives on
        # elsewhere in the tree.
        for original, stand_in in self._replaced.items():
            self.memo.setdefault(original, stand_in)
        return result

    def _copy(self, module: nn.Module) -> nn.Module:
        if id(module) in self.memo:
            return cast(nn.Module, self.memo[id(module)])
        if isinstance(module, torch.jit.ScriptModule):
            self.memo[id(module)] = module
            return module
        try:
            # Not through the class's own __new__: a GraphModule's would make another class.
            clone: nn.Module = object.__new__(module.__class__)
        except TypeError as error:
            raise CaptureError(
                f"a module of type {type(module).__name__} cannot be copied for capture: {error}",
                remedy="keep it in PyTorch: put it into a ts.Module and replace it there",
            ) from error
        self.memo[id(module)] = clone
        state = dict(module.__dict__)
        for name in _REGISTERED:
            if name in state:
                state[name] = type(state[name])(state[name])
        clone.__dict__.update(state)
        children: dict[str, nn.Module | None] = {}
        for name, child in module._modules.items():
            stand_in = self.replace.get((id(module), name))
            if stand_in is not None:
                self._replaced[id(child)] = stand_in
                children[name] = stand_in
            else:
                children[name] = None if child is None else self._copy(child)
        clone.__dict__["_modules"] = children
        self.copied.append((module, clone))
        return clone


def _rebind(clone: nn.Module, memo: dict[int, Any]) -> None:
    """Points attributes that hold original modules, or their methods, at the copies."""
    for name, value in list(clone.__dict__.items()):
        if name in _REGISTERED:
            continue
        rebound = _rebound(value, memo)
        if rebound is not value:
            clone.__dict__[name] = rebound


def _clone_buffers(*attributes: dict[str, Any]) -> None:
    for registered in attributes:
        for name, value in registered.items():
            if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter):
                registered[name] = value.detach().clone()


def _rebound(value: Any, memo: dict[int, Any]) -> Any:
    if isinstance(value, nn.Module):
        return memo.get(id(value), value)
    if isinstance(value, types.MethodType) and id(value.__self__) in memo:
        return types.MethodType(value.__func__, memo[id(value.__self__)])
    if type(value) is tuple:
        items = tuple(_rebound(item, memo) for item in value)
        changed = any(new is not old for new, old in zip(items, value, strict=True))
        return items if changed else value
    # Containers a forward method can change are new ones, so that the original keeps its own.
    if type(value) is list:
        return [_rebound(item, memo) for item in value]
    if type(value) in (dict, OrderedDict):
        return type(value)((key, _rebound(item, memo)) for key, item in value.items())
    if type(value) is set:
        return set(value)
    return _rebound_object(value, memo) if is_object(value) else value


def _rebound_object(value: Any, memo: dict[int, Any]) -> Any:
    """A copy of an object that holds state, one however many modules know it."""
    if id(value) in memo:
        return memo[id(value)]
    if not is_state(value):
        memo[id(value)] = value
        return value
    clone = memo[id(value)] = object.__new__(type(value))
    vars(clone).update((name, _rebound(item, memo)) for name, item in vars(value).items())
    return clone
