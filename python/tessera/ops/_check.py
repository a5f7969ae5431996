# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether the arguments of an operator are of the kinds its ATen schema names.

Lowerings are written for what a captured graph can hold, where PyTorch has checked the arguments
already. A caller of `ts.ops` may pass anything, hence this check, which is as forgiving as `ts.ops`
itself: a number may stand for a tensor operand, and one integer for a list of one.
"""

from __future__ import annotations

import functools
import numbers
import operator
from typing import Any

import torch
from torch import fx

from tessera import _core
from tessera.errors import ArgumentTypeError
from tessera.lowering.context import GraphValue

_TENSORS = (torch.Tensor, _core.Tensor, GraphValue, fx.Node)
#: What a schema calls the first operand, and what torch's functions call it.
_NAMES = {"self": "input"}
_TENSOR_LIST = "a list or tuple of tensors"
#: Stands for the overload in the keys of functions of PyTorch that are no operators; PyTorch itself
#: checks what they are given.
COMPOSITE = "composite"


def check_operands(key: str, args: Any, kwargs: Any) -> None:
    """ArgumentTypeError naming the first argument of the operator `key` of a wrong kind."""
    parameters = _parameters(key)
    named = [*zip(parameters, args, strict=False), *((name, kwargs[name]) for name in kwargs)]
    for name, value in named:
        kind, optional = parameters.get(name, ("", True))
        expected = _problem(kind, value)
        if expected and not (value is None and optional):
            numbers_too = kind == "Tensor" and _takes_numbers(key)
            raise _wrong(key, name, value, "a tensor or a number" if numbers_too else expected)


def check_tensors(key: str, args: Any, kwargs: Any) -> None:
    """The same where a lowering has failed: numbers are no tensors for every operator."""
    parameters = _parameters(key)
    for name, value in [*zip(parameters, args, strict=False), *kwargs.items()]:
        items = value if isinstance(value, (list, tuple)) else [value]
        if "Tensor" in parameters.get(name, ("", True))[0]:
            for item in items:
                if isinstance(item, numbers.Number):
                    raise _wrong(key, name, value, "a tensor" if item is value else _TENSOR_LIST)


def argument_name(key: str, args: Any, kwargs: Any, value: Any) -> str:
    """Which argument `value` is, or an item of; empty when it is none."""
    for name, given in [*zip(_parameters(key), args, strict=False), *kwargs.items()]:
        items = given if isinstance(given, (list, tuple)) else [given]
        if any(item is value for item in items):
            return str(_NAMES.get(name, name))
    return ""


@functools.cache
def _parameters(key: str) -> dict[str, tuple[str, bool]]:
    """Name: (type, whether None may be given) for each argument of the schema, in order."""
    name, overload = key.split(".")
    if overload == COMPOSITE:
        return {}
    schema = getattr(getattr(torch.ops.aten, name), overload)._schema
    found = {}
    for argument in schema.arguments:
        kind = str(argument.real_type)
        optional = kind.startswith("Optional[")
        kind = kind.removeprefix("Optional[").removesuffix("]") if optional else kind
        # Where it asks for dimensions, `ts.ops` passes None for all of them.
        found[argument.name] = (kind, optional or "int" in kind)
    return found


def _takes_numbers(key: str) -> bool:
    return "Scalar" in getattr(torch.ops.aten, key.split(".")[0]).overloads()


def _problem(kind: str, value: Any) -> str:
    """What was expected where `value` cannot be of `kind`; empty where it may be."""
    if kind in ("Tensor", "number", "float"):
        fits = isinstance(value, (*_TENSORS, numbers.Number))
        return "" if fits else "a tensor" if kind == "Tensor" else "a number"
    if kind in ("List[Tensor]", "List[Optional[Tensor]]"):
        fits = isinstance(value, (list, tuple)) and all(
            item is None or isinstance(item, (*_TENSORS, numbers.Number)) for item in value
        )
        return "" if fits else _TENSOR_LIST
    if kind in ("bool", "str"):
        fits = isinstance(value, str) == (kind == "str") and not isinstance(value, (list, tuple))
        return "" if fits and value is not None else {"bool": "a bool", "str": "a string"}[kind]
    if kind in ("int", "SymInt"):
        return "" if _is_integer(value) else "an integer"
    if kind in ("List[int]", "List[SymInt]"):
        items = value if isinstance(value, (list, tuple)) else [value]
        return "" if all(_is_integer(item) for item in items) else "integers"
    return ""


def _is_integer(value: Any) -> bool:
    if isinstance(value, (torch.SymInt, GraphValue, fx.Node)):
        return True
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _wrong(key: str, name: str, value: Any, expected: str) -> ArgumentTypeError:
    operator_name = key.split(".")[0]
    text = repr(value)
    text = text if len(text) <= 80 else f"{text[:77]}…"
    remedy = f"pass {expected}"
    if hasattr(value, "__dlpack__") and not isinstance(value, _TENSORS):
        remedy = f"pass ts.from_dlpack(…) of the {type(value).__name__}"
    return ArgumentTypeError(
        f"[{operator_name}] argument {_NAMES.get(name, name)!r} must be {expected}, got {text} "
        f"({type(value).__name__})",
        remedy=remedy,
    )
