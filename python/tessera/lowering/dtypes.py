# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Element types: torch's dtypes, the names the compiler knows them by, and promotion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

#: The element types of Graph IR, by the name they have in torch.
DTYPES: dict[str, torch.dtype] = {
    "bool": torch.bool,
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def is_supported(dtype: torch.dtype) -> bool:
    """Whether Graph IR has this element type."""
    return dtype in _NAMES


def is_compiled(dtype: torch.dtype) -> bool:
    """Whether compiled code takes tensors of this dtype, complex ones as their parts."""
    return is_supported(dtype) or dtype in (torch.complex64, torch.complex128)


def dtype_name(dtype: torch.dtype) -> str:
    """torch's name without "torch."; KeyError for types the compiler does not have."""
    return _NAMES[dtype]


def dtype_from_name(name: Any) -> torch.dtype:
    """The inverse of :func:`dtype_name`; also takes torch dtypes and "torch.float32"."""
    if isinstance(name, torch.dtype):
        return name
    return DTYPES[str(name).rsplit(".", 1)[-1]]


def scalar_dtype(value: complex | int | float | bool) -> torch.dtype:
    """The dtype torch gives a Python number."""
    if isinstance(value, bool):
        return torch.bool
    if isinstance(value, int):
        return torch.int64
    if isinstance(value, float):
        return torch.get_default_dtype()
    return torch.complex64


def _combine(higher: torch.dtype | None, lower: torch.dtype | None) -> torch.dtype | None:
    """c10's combine_categories: `lower` counts only where its kind of number is the larger."""
    if higher is None:
        return lower
    if lower is None or higher.is_complex:
        return higher
    if higher.is_floating_point:
        return torch.promote_types(higher, lower) if lower.is_complex else higher
    if higher == torch.bool or lower.is_floating_point or lower.is_complex:
        return torch.promote_types(higher, lower)
    return higher


def result_type(
    operands: Iterable[tuple[torch.dtype, int] | complex | int | float | bool],
) -> torch.dtype:
    """torch.result_type for any number of operands.

    A tensor is given as (dtype, rank), anything else as the Python number itself. Tensors with
    dimensions outrank 0-d tensors, which outrank numbers.
    """
    dims: torch.dtype | None = None
    zero: torch.dtype | None = None
    numbers: torch.dtype | None = None
    for operand in operands:
        if not isinstance(operand, tuple):
            dtype = scalar_dtype(operand)
            numbers = dtype if numbers is None else torch.promote_types(numbers, dtype)
        elif operand[1] > 0:
            dims = operand[0] if dims is None else torch.promote_types(dims, operand[0])
        else:
            zero = operand[0] if zero is None else torch.promote_types(zero, operand[0])
    result = _combine(dims, _combine(zero, numbers))
    if result is None:
        raise ValueError("result_type needs at least one operand")
    return result
