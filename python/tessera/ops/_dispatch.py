# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How a function of `ts.ops` does its work: into a graph, or at once.

Both go through the lowering registered for the operator, which is the only definition of what it
means. On graph values (inside a lowering or a capture) the lowering runs in their context. On
tensors a program of this one operator is compiled, kept under its signature, and run.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from tessera.errors import ArgumentError, ArgumentTypeError, InternalError, NotYetSupportedError
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported
from tessera.ops._check import check_operands
from tessera.tracing.active import building

#: A ts.Tensor, a torch.Tensor, a graph value, or (as an operand) a number.
Value = Any


def builtins() -> dict[str, Callable[..., Any]]:
    """The table of built-in lowerings."""
    # Late: the lowerings are only needed once something is called.
    import tessera.lowering.aten  # noqa: F401 - fills the table
    from tessera.lowering.aten.rules import BUILTINS

    return BUILTINS


def call(key: str, *args: Any, **kwargs: Any) -> Any:
    """The operator `key` ("add.Tensor") on graph values (builds) or tensors (runs)."""
    lower = builtins()[key]
    # While a function is traced everything is built, what it computes from weights alone too.
    context = find_context((args, kwargs)) or building()
    if context is None:
        from tessera.ops._eager import run

        return run(key, lower, args, kwargs)
    check_operands(key, args, kwargs)
    context.begin_operator(key.split(".")[0], f"aten.{key}")
    args, kwargs = operands_of(context, args), operands_of(context, kwargs)
    return context.results(lower(context, *args, **kwargs))


def find_context(argument: Any) -> LoweringContext | None:
    """The context of the graph values inside `argument`; None where there is none."""
    if isinstance(argument, GraphValue):
        return argument.context
    if isinstance(argument, (list, tuple)):
        items: Any = argument
    elif isinstance(argument, dict):
        items = argument.values()
    else:
        return None
    for item in items:
        context = find_context(item)
        if context is not None:
            return context
    return None


def operands_of(context: LoweringContext, argument: Any) -> Any:
    """`argument` as a lowering takes it: nodes looked up, tensors with data as constants."""
    if isinstance(argument, fx.Node):
        return context.map(argument)
    if isinstance(argument, GraphValue):
        if argument.context is not context:
            raise ArgumentError("the operands belong to two different graphs")
        return argument
    if isinstance(argument, torch.Tensor):
        return context.captured(argument)
    if isinstance(argument, (list, tuple)):
        return [operands_of(context, item) for item in argument]
    if isinstance(argument, dict):
        return {name: operands_of(context, item) for name, item in argument.items()}
    if hasattr(argument, "__dlpack__"):
        return context.captured(argument)
    return plain_number(argument)


def plain_number(value: Any) -> Any:
    """NumPy's numbers as Python's, which is what lowerings take; everything else as it is."""
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def explain(key: str, error: Exception) -> Exception:
    """An error of a lowering, as one for the caller of a function."""
    name = key.split(".")[0]
    if isinstance(error, Unsupported):
        return NotYetSupportedError(f"[{name}] {error.reason}", remedy=error.remedy)
    cause: BaseException | None = error
    if isinstance(error, InternalError):
        # The dialect refused the operands: the caller's mistake rather than the compiler's.
        cause = error.__cause__
        if not isinstance(cause, (ValueError, TypeError)):
            return error
    message = str(cause)
    text = message if message.startswith("[") else f"[{name}] {message}"
    return ArgumentTypeError(text) if isinstance(cause, TypeError) else ArgumentError(text)


def operator(name: str) -> Callable[..., Any]:
    """A function for every overload of the ATen operator `name` that has a lowering."""
    overloads = [key for key in builtins() if key.split(".")[0] == name]
    if not overloads:
        raise AttributeError(
            f"ts.ops has no {name!r}: no lowering of an operator of that name is registered"
        )

    def function(*args: Any, **kwargs: Any) -> Any:
        for key in overloads:
            try:
                # The first parameter is the context.
                inspect.signature(builtins()[key]).bind(None, *args, **kwargs)
            except TypeError:
                continue
            return call(key, *args, **kwargs)
        raise ArgumentTypeError(
            f"[{name}] no overload takes {len(args)} positional arguments and {sorted(kwargs)}; "
            f"there are {', '.join(overloads)}"
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"torch.ops.aten.{name}, in its overloads {', '.join(overloads)}."
    return function
