# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tensors made from sizes and numbers, with torch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tessera.ops._dispatch import Value, call
from tessera.ops.movement import _sizes


def zeros(*size: Any, dtype: torch.dtype | None = None) -> Value:
    """Zeros."""
    return call("zeros.default", _sizes(size), dtype=dtype)


def zeros_like(input: Value, *, dtype: torch.dtype | None = None) -> Value:
    """Zeros in the shape of another tensor."""
    return call("zeros_like.default", input, dtype=dtype)


def ones(*size: Any, dtype: torch.dtype | None = None) -> Value:
    """Ones."""
    return call("ones.default", _sizes(size), dtype=dtype)


def ones_like(input: Value, *, dtype: torch.dtype | None = None) -> Value:
    """Ones in the shape of another tensor."""
    return call("ones_like.default", input, dtype=dtype)


def full(size: Sequence[int], fill_value: float, *, dtype: torch.dtype | None = None) -> Value:
    """One number everywhere."""
    return call("full.default", size, fill_value, dtype=dtype)


def full_like(input: Value, fill_value: float, *, dtype: torch.dtype | None = None) -> Value:
    """One number, in the shape of another tensor."""
    return call("full_like.default", input, fill_value, dtype=dtype)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: torch.dtype | None = None
) -> Value:
    """start, start + step, … up to, not including, end; ``arange(n)`` counts from zero."""
    if end is None:
        start, end = 0, start
    return call("arange.start_step", start, end, step, dtype=dtype)


def linspace(start: float, end: float, steps: int, *, dtype: torch.dtype | None = None) -> Value:
    """`steps` numbers at equal distances, both ends included."""
    return call("linspace.default", start, end, steps, dtype=dtype)


def eye(n: int, m: int | None = None, *, dtype: torch.dtype | None = None) -> Value:
    """Ones on the diagonal."""
    return call("eye.m", n, m, dtype=dtype)
