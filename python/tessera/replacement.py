# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What may stand in the place of a submodule."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from torch import nn

from tessera.errors import ReplacementError
from tessera.module import AnyModule, Module, is_module
from tessera.shims import is_container

if TYPE_CHECKING:
    from tessera.mirror import Mirror


def check_replacement(
    owner: Mirror, path: str, original: nn.Module | None, value: Any
) -> AnyModule:
    """The module to put at `path`; ReplacementError says why `value` cannot go there.

    A PyTorch module comes back wrapped; the original itself (or its mirror) undoes a replacement.
    """
    from tessera.compat.wrapped import Wrapped
    from tessera.compiled import CompiledModule

    what = f"cannot put {type(value).__name__} in the place of {path!r}"
    if original is None:
        raise ReplacementError(f"{what}: there is no submodule (None), so nothing calls it")
    if not is_module(value):
        raise ReplacementError(
            f"{what}: it is no module",
            remedy="assign a ts.Module, ts.compat.wrap(…), or a torch.nn.Module",
        )
    if value is original or (type(value) is CompiledModule and value._torch is original):
        return owner._new_mirror(original, path) if value is original else value
    if is_container(original):
        raise ReplacementError(
            f"{what}: {type(original).__name__} is a container that is never called",
            remedy=f"replace its elements: model.{path}[0] = …",
        )
    _require_forward(value, what)
    if isinstance(value, Module) and _reaches(value, owner):
        raise ReplacementError(f"{what}: it contains the module it would be put into")
    for label, parameter in value.named_parameters():
        if getattr(parameter.device, "type", "cpu") != "cpu":
            raise ReplacementError(
                f"{what}: its parameter {label!r} is on {parameter.device}",
                remedy="move the module to the CPU first",
            )
    _require_same_call(value, original, what)
    return Wrapped(value, allow_fallback=True) if isinstance(value, nn.Module) else value


def _require_forward(value: AnyModule, what: str) -> None:
    missing = (
        is_container(value)
        if isinstance(value, nn.Module)
        else type(value).forward is Module.forward
    )
    if missing:
        raise ReplacementError(
            f"{what}: it has no forward()", remedy="define forward() in its class"
        )


def _reaches(module: Module, target: Module) -> bool:
    return any(found is target for found in module.modules())


def _require_same_call(value: AnyModule, original: nn.Module, what: str) -> None:
    """The replacement must take as many positional arguments as the original requires."""
    module: Any = getattr(value, "_torch", value)
    forward = module.forward
    try:
        wanted = inspect.signature(original.forward).parameters.values()
        accepts = inspect.signature(forward)
    except (TypeError, ValueError):
        return
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [item for item in wanted if item.kind in kinds and item.default is item.empty]
    try:
        accepts.bind(*([None] * len(required)))
    except TypeError as error:
        names = ", ".join(item.name for item in required)
        raise ReplacementError(
            f"{what}: the original is called with ({names}), its forward{accepts} cannot be: "
            f"{error}",
            remedy="give its forward the original's arguments",
        ) from error
