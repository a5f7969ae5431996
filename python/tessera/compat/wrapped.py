# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``ts.compat.wrap``: a PyTorch module that Tessera compiles as it is called."""

from __future__ import annotations

from typing import Any

from torch import nn

from tessera.compiled import CompiledModule, Options
from tessera.errors import ArgumentError, ArgumentTypeError
from tessera.module import Module
from tessera.precision import checked_precision
from tessera.tracing.active import current


class Wrapped(CompiledModule):
    """A PyTorch module behind Tessera's interface, compiled once for each form of arguments.

    Inside a converted parent it is one opaque call; ``calls`` counts them.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        allow_fallback: bool = True,
        max_signatures: int = Options.max_signatures,
        precision: str | None = None,
    ) -> None:
        options = Options(
            strict=not allow_fallback, max_signatures=max_signatures, precision=precision
        )
        super().__init__(module, options)
        self.__dict__["calls"] = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current() is None:  # else a ts.jit around it asks what it returns
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


def wrap(
    module: nn.Module,
    allow_fallback: bool = True,
    *,
    max_signatures: int = Options.max_signatures,
    precision: str | None = None,
) -> Wrapped:
    """`module` for hybrid execution: compiled lazily, once for each form of its arguments.

    A form is the arguments' structure, the shapes and dtypes of tensors and the values of all
    else; calls that differ in sizes only are one form from the second on. There are programs for at
    most ``max_signatures`` forms; calls of further forms run in PyTorch, and a warning says so
    once. With ``allow_fallback=False`` a call raises ConversionError when part of
    the module cannot be converted (StrictCaptureError when it cannot be captured), and
    ArgumentError for one form too many; else that part runs in PyTorch, and ``wrapped.report`` says
    which and why. ``precision`` is that of :func:`tessera.from_pytorch`. Raises ArgumentTypeError
    for anything but a torch.nn.Module.
    """
    if (
        not isinstance(max_signatures, int)
        or isinstance(max_signatures, bool)
        or max_signatures < 1
    ):
        raise ArgumentError(
            f"wrap: max_signatures must be a positive integer, not {max_signatures!r}",
            remedy=f"leave it out: {Options.max_signatures} programs are kept",
        )
    precision = checked_precision("wrap", precision)
    if isinstance(module, Wrapped):
        wanted = Options(not allow_fallback, max_signatures=max_signatures, precision=precision)
        if module._options == wanted:
            return module
    if isinstance(module, CompiledModule):
        module = module._torch
    if isinstance(module, Module):
        raise ArgumentTypeError(
            f"wrap() takes a torch.nn.Module; {type(module).__name__} is a Tessera module already",
            remedy="use it as it is",
        )
    if not isinstance(module, nn.Module):
        raise ArgumentTypeError(
            f"wrap() takes a torch.nn.Module, not {type(module).__name__}",
            remedy="for a function, use ts.jit",
        )
    return Wrapped(
        module, allow_fallback=allow_fallback, max_signatures=max_signatures, precision=precision
    )
