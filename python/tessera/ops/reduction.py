# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions and softmax, with torch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tessera.ops._dispatch import Value, call

Dims = int | Sequence[int] | None


def sum(
    input: Value, dim: Dims = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Value:
    """The sum; of integers in int64. Over all dimensions when `dim` is None."""
    return call("sum.dim_IntList", input, dim, keepdim, dtype=dtype)


def mean(
    input: Value, dim: Dims = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Value:
    """The mean. Over all dimensions when `dim` is None."""
    return call("mean.dim", input, dim, keepdim, dtype=dtype)


def nansum(
    input: Value, dim: Dims = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Value:
    """The sum, NaN counted as zero. Over all dimensions when `dim` is None."""
    return call("nansum.default", input, dim, keepdim, dtype=dtype)


def prod(
    input: Value, dim: int | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Value:
    """The product; of integers in int64."""
    return call("prod.dim_int", input, dim, keepdim, dtype=dtype)


def amax(input: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """The largest element; NaN when there is one."""
    return call("amax.default", input, dim, keepdim)


def amin(input: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """The smallest element; NaN when there is one."""
    return call("amin.default", input, dim, keepdim)


def max(input: Value, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; with an integer `dim`, (values, indices) along it; with a tensor, the
    elementwise maximum."""
    if dim is None:
        return call("max.default", input)
    if isinstance(dim, int):
        return call("max.dim", input, dim, keepdim)
    return call("max.other", input, dim)


def min(input: Value, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with an integer `dim`, (values, indices) along it; with a tensor, the
    elementwise minimum."""
    if dim is None:
        return call("min.default", input)
    if isinstance(dim, int):
        return call("min.dim", input, dim, keepdim)
    return call("min.other", input, dim)


def argmax(input: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """The position of the largest element, the first of equals."""
    return call("argmax.default", input, dim, keepdim)


def argmin(input: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """The position of the smallest element, the first of equals."""
    return call("argmin.default", input, dim, keepdim)


def any(input: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """Whether any element is not zero."""
    return call("any.dims", input, dim, keepdim)


def all(input: Value, dim: Dims = None, keepdim: bool = False) -> Value:
    """Whether no element is zero."""
    return call("all.dims", input, dim, keepdim)


def logsumexp(input: Value, dim: Dims, keepdim: bool = False) -> Value:
    """log(sum(exp(x))), without overflow."""
    return call("logsumexp.default", input, dim, keepdim)


def var(input: Value, dim: Dims = None, *, correction: float = 1, keepdim: bool = False) -> Value:
    """The variance. `correction` is taken off the number of elements."""
    return call("var.correction", input, dim, correction=correction, keepdim=keepdim)


def std(input: Value, dim: Dims = None, *, correction: float = 1, keepdim: bool = False) -> Value:
    """The standard deviation. `correction` is taken off the number of elements."""
    return call("std.correction", input, dim, correction=correction, keepdim=keepdim)


def var_mean(
    input: Value, dim: Dims = None, *, correction: float = 1, keepdim: bool = False
) -> tuple[Value, Value]:
    """The variance and the mean. `correction` is taken off the number of elements."""
    both: tuple[Value, Value] = call(
        "var_mean.correction", input, dim, correction=correction, keepdim=keepdim
    )
    return both


def std_mean(
    input: Value, dim: Dims = None, *, correction: float = 1, keepdim: bool = False
) -> tuple[Value, Value]:
    """The standard deviation and the mean. `correction` is taken off the number of elements."""
    both: tuple[Value, Value] = call(
        "std_mean.correction", input, dim, correction=correction, keepdim=keepdim
    )
    return both


def norm(
    input: Value,
    p: float = 2,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: torch.dtype | None = None,
) -> Value:
    """The p-norm of vectors."""
    return call("linalg_vector_norm.default", input, p, dim, keepdim, dtype=dtype)


def count_nonzero(input: Value, dim: Dims = None) -> Value:
    """How many elements are not zero."""
    return call("count_nonzero.dim_IntList", input, dim)


def cumsum(input: Value, dim: int, *, dtype: torch.dtype | None = None) -> Value:
    """The sum of each element and all before it along `dim`."""
    return call("cumsum.default", input, dim, dtype=dtype)


def cumprod(input: Value, dim: int, *, dtype: torch.dtype | None = None) -> Value:
    """The product of each element and all before it along `dim`."""
    return call("cumprod.default", input, dim, dtype=dtype)


def softmax(input: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """exp(x) / sum(exp(x)) along `dim`."""
    return call("softmax.int", input, dim, dtype)


def log_softmax(input: Value, dim: int, dtype: torch.dtype | None = None) -> Value:
    """log(softmax(x)) along `dim`."""
    return call("log_softmax.int", input, dim, dtype)
