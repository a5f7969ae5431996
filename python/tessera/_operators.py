# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Python's operators for everything `ts.ops` takes: tensors with data and graph values alike."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

#: Python's method, the function of `ts.ops` it calls, and whether the operands are swapped.
BINARY: dict[str, tuple[str, bool]] = {
    "__add__": ("add", False),
    "__radd__": ("add", True),
    "__sub__": ("sub", False),
    "__rsub__": ("sub", True),
    "__mul__": ("mul", False),
    "__rmul__": ("mul", True),
    "__truediv__": ("div", False),
    "__rtruediv__": ("div", True),
    "__floordiv__": ("floor_divide", False),
    "__rfloordiv__": ("floor_divide", True),
    "__mod__": ("remainder", False),
    "__rmod__": ("remainder", True),
    "__pow__": ("pow", False),
    "__rpow__": ("pow", True),
    "__matmul__": ("matmul", False),
    "__rmatmul__": ("matmul", True),
    "__and__": ("bitwise_and", False),
    "__rand__": ("bitwise_and", True),
    "__or__": ("bitwise_or", False),
    "__ror__": ("bitwise_or", True),
    "__xor__": ("bitwise_xor", False),
    "__rxor__": ("bitwise_xor", True),
    "__lt__": ("lt", False),
    "__le__": ("le", False),
    "__gt__": ("gt", False),
    "__ge__": ("ge", False),
    "__eq__": ("eq", False),
    "__ne__": ("ne", False),
}
#: The function of `ts.ops` for what PyTorch calls an operator of torch.Tensor with us on its right.
OPERATOR_OF = {
    torch_name: name
    for method, (name, swapped) in BINARY.items()
    if not swapped
    for torch_name in (name, method)
}
#: torch's methods that convert elements.
CONVERSIONS = {
    "bfloat16": torch.bfloat16,
    "bool": torch.bool,
    "byte": torch.uint8,
    "char": torch.int8,
    "double": torch.float64,
    "float": torch.float32,
    "half": torch.float16,
    "int": torch.int32,
    "long": torch.int64,
    "short": torch.int16,
}
UNARY: dict[str, str] = {"__neg__": "neg", "__abs__": "abs", "__invert__": "bitwise_not"}


def _function(name: str) -> Callable[..., Any]:
    # Late, since ts.ops itself is built from graph values.
    function: Callable[..., Any] = getattr(importlib.import_module("tessera.ops"), name)
    return function


def _is_operand(value: Any) -> bool:
    return isinstance(value, (bool, int, float)) or hasattr(value, "shape")


def _binary(method: str, name: str, swapped: bool) -> Callable[[Any, Any], Any]:
    def call(self: Any, other: Any) -> Any:
        if not _is_operand(other):
            return NotImplemented
        return _function(name)(other, self) if swapped else _function(name)(self, other)

    call.__name__ = method
    return call


def _unary(method: str, name: str) -> Callable[[Any], Any]:
    def call(self: Any) -> Any:
        return _function(name)(self)

    call.__name__ = method
    return call


def _conversion(name: str, dtype: torch.dtype) -> Callable[[Any], Any]:
    def call(self: Any) -> Any:
        return self if self.dtype == dtype else _function("to")(self, dtype)

    call.__name__ = name
    call.__doc__ = f"The elements as {dtype}; itself where they are."
    return call


def _type_as(self: Any, other: Any) -> Any:
    """The elements in the dtype of `other`."""
    return self if self.dtype == other.dtype else _function("to")(self, other.dtype)


def install_operators(cls: type) -> None:
    """Gives `cls` Python's arithmetic and comparisons and torch's methods for dtypes; it stays
    hashable by identity."""
    for name, dtype in CONVERSIONS.items():
        setattr(cls, name, _conversion(name, dtype))
    for method, (name, swapped) in BINARY.items():
        setattr(cls, method, _binary(method, name, swapped))
    for method, name in UNARY.items():
        setattr(cls, method, _unary(method, name))
    untyped: Any = cls
    untyped.type_as = _type_as
    untyped.cpu = lambda self: self
    untyped.element_size = lambda self: self.dtype.itemsize
    # Python drops the hash of classes that compare; these compare element by element.
    untyped.__hash__ = object.__hash__


class OperatorMixin:
    """Python's operators, spelled through `ts.ops`."""

    __slots__ = ()


install_operators(OperatorMixin)
