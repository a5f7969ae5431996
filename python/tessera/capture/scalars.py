# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ATen's operators on numbers, ``torch.ops.aten.sqrt.float`` say, where a number is a symbol.

TorchScript computes with them; they take Python's numbers only. A symbol for a number that is read
from a tensor goes through Python's operators just as well: all but a symbol for a bool, which
`bools_are_numbers` mends.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

_OPERATORS: dict[str, Callable[..., Any]] = {
    "Float": torch.sym_float,
    "Int": torch.sym_int,
    "add": operator.add,
    "ceil": math.ceil,
    "div": operator.truediv,
    "eq": operator.eq,
    "floor": math.floor,
    "floordiv": operator.floordiv,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
    "mul": operator.mul,
    "ne": operator.ne,
    "neg": operator.neg,
    "pow": operator.pow,
    "remainder": operator.mod,
    "sqrt": lambda number: torch._sym_sqrt(torch.sym_float(number)),  # type: ignore[attr-defined]
    "sub": operator.sub,
}
#: What Python has no symbol for is computed by tensors.
_FUNCTIONS = (
    *("acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "copysign", "cos", "cosh"),
    *("erf", "erfc", "exp", "expm1", "fmod", "lgamma", "log", "log10", "log1p", "round", "sin"),
    *("sinh", "tan", "tanh"),
)
#: Operators that read the number in a tensor, and what it is made.
_READERS: dict[str, Callable[[Any], Any]] = {
    "Bool": lambda number: number if isinstance(number, torch.SymBool) else number != 0,
    "Float": torch.sym_float,
    "FloatImplicit": torch.sym_float,
    "Int": torch.sym_int,
    "IntImplicit": torch.sym_int,
    "ScalarImplicit": lambda number: number,
}
_NUMBERS = (int, float, torch.SymInt, torch.SymFloat)
_RESULTS: dict[str, Callable[[Any], Any]] = {"float": torch.sym_float, "int": torch.sym_int}


@contextlib.contextmanager
def bools_are_numbers() -> Iterator[None]:
    """While it is entered, a symbol for a bool equals the number that Python's bool is.

    PyTorch compares the two as expressions of different kinds, which never equal, whatever the
    bool turns out to be: `mask.any().item() != 0` would be captured as True.
    """
    equal = torch.SymBool.__eq__
    differ = torch.SymBool.__ne__

    def number_equal(self: torch.SymBool, other: object) -> Any:
        if isinstance(other, (torch.SymInt, torch.SymFloat)):
            return torch.sym_ite(self, 1, 0) == other
        if not isinstance(other, (bool, int, float)):
            return equal(self, other)
        if other == 1:
            return self
        return torch.sym_not(self) if other == 0 else False

    def number_differ(self: torch.SymBool, other: object) -> Any:
        equals = number_equal(self, other)
        return equals if equals is NotImplemented else torch.sym_not(equals)

    try:
        torch.SymBool.__eq__ = number_equal  # type: ignore[method-assign]
        torch.SymBool.__ne__ = number_differ  # type: ignore[assignment]
        yield
    finally:
        torch.SymBool.__eq__ = equal  # type: ignore[method-assign]
        torch.SymBool.__ne__ = differ  # type: ignore[method-assign]


def number_operator(function: Any, args: Sequence[Any]) -> Callable[..., Any] | None:
    """What stands in for an operator on numbers, given these; None where it is none."""
    if not args or not isinstance(function, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        return None
    namespace, _, name = _qualified(function).partition("::")
    if namespace != "aten":
        return None
    if len(args) == 1 and isinstance(args[0], Tensor) and name in _READERS:
        read = _READERS[name]
        return lambda tensor: read(tensor.item())
    compute = _OPERATORS.get(name) or (_by_tensors(name) if name in _FUNCTIONS else None)
    symbols = any(isinstance(item, (torch.SymInt, torch.SymFloat)) for item in args)
    # Without an overload PyTorch takes numbers for tensors.
    if compute is None or not symbols or not isinstance(function, torch._ops.OpOverload):
        return None
    if not all(isinstance(item, _NUMBERS) for item in args):
        return None
    convert = _RESULTS.get(str(function._schema.returns[0].type), lambda value: value)
    return lambda *numbers: convert(compute(*numbers))


def _by_tensors(name: str) -> Callable[..., Any]:
    function = getattr(torch, name)

    def compute(*numbers: Any) -> Any:
        tensors = [
            torch.full((1,), torch.sym_float(number), dtype=torch.float64) for number in numbers
        ]
        return function(*tensors).item()

    return compute


def _qualified(function: Any) -> str:
    if isinstance(function, torch._ops.OpOverload):
        return function._schema.name
    return str(function._qualified_op_name)
