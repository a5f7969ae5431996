# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions and scans along dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tessera.lowering.complexes.creation import converted
from tessera.lowering.complexes.elementwise import magnitude, truth
from tessera.lowering.complexes.pairs import Pair, translation


@translation("sum", "mean", "cumsum", "sum_to_size", with_operator=True)
def summed(target: Any, self: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Any:
    value = converted(self, dtype)
    if not isinstance(value, Pair):
        return target(value, *args, **kwargs)
    return value.map(lambda part: target(part, *args, **kwargs))


@translation("nansum")
def nansum(self: Pair, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    value = converted(self, dtype)
    nan = value.re.isnan() | value.im.isnan()
    return value.map(lambda part: torch.where(nan, 0.0, part).to(part.dtype).sum(dim, keepdim))


def _halves(value: Pair, dim: int) -> Pair:
    """The product along `dim`: pairs of elements again and again, so that errors stay small."""
    size = value.shape[dim]
    while size > 1:
        half = size // 2
        product = value.narrow(dim, 0, half) * value.narrow(dim, half, half)
        if size % 2:
            product = product.followed_by(value.narrow(dim, size - 1, 1), dim)
        value, size = product, half + size % 2
    return value


@translation("prod")
def prod(self: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    value = converted(self, dtype)
    if dim is None:
        value, dim = value.map(lambda part: part.reshape(-1)), 0
    if value.ndim == 0:
        return value
    if value.shape[dim] == 0:
        shape = list(value.shape)
        shape[dim] = 1
        real = torch.ones(shape, dtype=value.re.dtype)
        value = Pair(real, torch.zeros_like(real))
    value = _halves(value, dim)
    return value if keepdim else value.map(lambda part: part.squeeze(dim))


@translation("cumprod")
def cumprod(self: Any, dim: int, *, dtype: Any = None) -> Any:
    value = converted(self, dtype)
    if value.ndim == 0:
        return value
    size, step = value.shape[dim], 1
    while step < size:
        # Each element times the one `step` before it: after this it covers twice as many.
        product = value.narrow(dim, step, size - step) * value.narrow(dim, 0, size - step)
        value = value.narrow(dim, 0, step).followed_by(product, dim)
        step *= 2
    return value


@translation("any")
def any_(self: Pair, *args: Any, **kwargs: Any) -> Any:
    return torch.any(truth(self), *args, **kwargs)


@translation("all")
def all_(self: Pair, *args: Any, **kwargs: Any) -> Any:
    return torch.all(truth(self), *args, **kwargs)


@translation("nonzero_static", "nonzero", "nonzero_numpy", with_operator=True)
def nonzero(target: Any, self: Pair, *args: Any, **kwargs: Any) -> Any:
    return target(truth(self), *args, **kwargs)


@translation("count_nonzero")
def count_nonzero(self: Pair, *args: Any, **kwargs: Any) -> Any:
    return torch.count_nonzero(truth(self), *args, **kwargs)


@translation("var")
def var(self: Pair, *args: Any, **kwargs: Any) -> Any:
    """The variance of complex numbers is that of their parts together."""
    aten_var = torch.ops.aten.var
    return aten_var(self.re, *args, **kwargs) + aten_var(self.im, *args, **kwargs)


@translation("std")
def std(self: Pair, *args: Any, **kwargs: Any) -> Any:
    return torch.sqrt(var(self, *args, **kwargs))


@translation("var_mean")
def var_mean(self: Pair, *args: Any, **kwargs: Any) -> Any:
    dim = kwargs.get("dim", args[0] if args and not isinstance(args[0], bool) else None)
    keepdim = kwargs.get("keepdim", False)
    mean = self.map(lambda part: part.mean(dim, keepdim))
    return var(self, *args, **kwargs), mean


@translation("std_mean")
def std_mean(self: Pair, *args: Any, **kwargs: Any) -> Any:
    spread, mean = var_mean(self, *args, **kwargs)
    return torch.sqrt(spread), mean


@translation("linalg_vector_norm")
def vector_norm(
    self: Pair,
    ord: Any = 2,
    dim: Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    value = converted(self, dtype)
    return torch.linalg.vector_norm(magnitude(value), ord, dim, keepdim)
