# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``ts.compat.wrap``: a PyTorch module that Tessera compiles as it is called."""

from __future__ import annotations

from typing import Any

from torch import nn

from tessera.compiled import CompiledModule, Options
from tessera.errors import ArgumentTypeError
from tessera.module import Module


class Wrapped(CompiledModule):
    """A PyTorch module behind Tessera's interface, compiled once for each form of arguments.

    Inside a converted parent it is one opaque call; ``calls`` counts them.
    """

    def __init__(self, module: nn.Module, *, allow_fallback: bool = True) -> None:
        super().__init__(module, Options(strict=not allow_fallback))
        self.__dict__["calls"] = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.__dict__["calls"] += 1
        return self._call(args, kwargs)

    @property
    def allow_fallback(self) -> bool:
        """Whether parts that cannot be converted may run in PyTorch."""
        return not self._options.strict

    @property
    def programs(self) -> int:
        """How many forms of arguments were compiled so far."""
        return len(self._programs)

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Any:
        result = super()._from_state(state)
        result.__dict__["calls"] = 0
        return result

    def _label(self) -> str:
        return f"ts.compat.wrap:{type(self._torch).__name__}"


def wrap(module: nn.Module, allow_fallback: bool = True) -> Wrapped:
    """`module` for hybrid execution: compiled lazily, once for each form of its arguments.

    With ``allow_fallback=False`` a call raises ConversionError when part of the module cannot be
    converted; else that part runs in PyTorch, and ``wrapped.report`` says which and why.
    """
    if isinstance(module, Wrapped):
        return (
            module
            if module.allow_fallback == allow_fallback
            else Wrapped(module._torch, allow_fallback=allow_fallback)
        )
    if isinstance(module, CompiledModule):
        return Wrapped(module._torch, allow_fallback=allow_fallback)
    if isinstance(module, Module):
        raise ArgumentTypeError(
            f"wrap() takes a torch.nn.Module; {type(module).__name__} is a Tessera module already",
            remedy="use it as it is",
        )
    if not isinstance(module, nn.Module):
        raise ArgumentTypeError(f"wrap() takes a torch.nn.Module, not {type(module).__name__}")
    return Wrapped(module, allow_fallback=allow_fallback)
