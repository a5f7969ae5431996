# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Complex numbers out of real ones and out of nothing, and conversions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera.lowering.complexes.dtypes import real_of
from tessera.lowering.complexes.pairs import TABLE, Pair, pair, promoted, translation


@translation("complex")
def complex_(real: torch.Tensor, imag: torch.Tensor) -> Pair:
    return Pair(*torch.broadcast_tensors(real, imag))


@translation("polar")
def polar(abs: torch.Tensor, angle: torch.Tensor) -> Pair:
    return Pair(abs * torch.cos(angle), abs * torch.sin(angle))


def converted(self: Any, dtype: torch.dtype | None) -> Any:
    """A tensor in another dtype: real numbers lose the imaginary part, truth values do not."""
    if dtype is None or dtype == self.dtype:
        return self
    if dtype.is_complex:
        # complex32 is computed in complex64, and rounded where an operator ends.
        wide = torch.complex64 if dtype == torch.complex32 else dtype
        value = pair(self, real_of(wide))
        return value.map(lambda part: part.half().float()) if wide != dtype else value
    if not isinstance(self, Pair):
        return self.to(dtype)
    if dtype == torch.bool:
        return (self.re != 0) | (self.im != 0)
    return self.re.to(dtype)


@translation("_to_copy", "to", "type_as", "convert_element_type")
def to(self: Any, *args: Any, dtype: torch.dtype | None = None, **_: Any) -> Any:
    for item in args:
        if isinstance(item, torch.dtype):
            dtype = item
        elif isinstance(item, (Pair, torch.Tensor)):
            dtype = item.dtype
    return converted(self, dtype)


@translation("copy")
def copy(self: Any, src: Any, non_blocking: bool = False) -> Any:
    value = converted(src, self.dtype)
    shape = self.shape
    return (
        value.map(lambda part: part.expand(shape))
        if isinstance(value, Pair)
        else (value.expand(shape))
    )


@translation("fill")
def fill(self: Any, value: Any) -> Any:
    if not isinstance(self, Pair):
        raise ValueError("complex numbers into a real tensor")
    number = pair(value, real_of(self.dtype))
    return number.map(lambda part: part.expand(self.shape))


def _filled(shape: Sequence[int], dtype: torch.dtype, value: complex) -> Any:
    if not dtype.is_complex:
        return torch.full(shape, value, dtype=dtype)
    part, number = real_of(dtype), complex(value)
    return Pair(
        torch.full(shape, number.real, dtype=part), torch.full(shape, number.imag, dtype=part)
    )


@translation("full")
def full(size: Sequence[int], fill_value: Any, *, dtype: Any = None, **_: Any) -> Any:
    return _filled(size, dtype or promoted(fill_value), fill_value)


@translation("scalar_tensor")
def scalar_tensor(s: Any, *, dtype: Any = None, **_: Any) -> Any:
    return _filled((), dtype or promoted(s), s)


@translation("full_like")
def full_like(self: Any, fill_value: Any, *, dtype: Any = None, **_: Any) -> Any:
    return _filled(self.shape, dtype or self.dtype, fill_value)


@translation("new_full")
def new_full(
    self: Any, size: Sequence[int], fill_value: Any, *, dtype: Any = None, **_: Any
) -> Any:
    return _filled(size, dtype or self.dtype, fill_value)


def _of(value: float) -> tuple[Callable[..., Any], ...]:
    def plain(size: Sequence[int], *, dtype: Any = None, **_: Any) -> Any:
        return _filled(size, dtype, value)

    def like(self: Any, *, dtype: Any = None, **_: Any) -> Any:
        return _filled(self.shape, dtype or self.dtype, value)

    def new(self: Any, size: Sequence[int], *_: Any, dtype: Any = None, **__: Any) -> Any:
        return _filled(size, dtype or self.dtype, value)

    return plain, like, new


# What is left empty holds zeros here.
for _kind, _value in (("zeros", 0.0), ("ones", 1.0), ("empty", 0.0)):
    TABLE[_kind], TABLE[f"{_kind}_like"], TABLE[f"new_{_kind}"] = _of(_value)
TABLE["empty_strided"] = TABLE["empty"]


@translation("randn")
def randn(size: Sequence[int], *, dtype: torch.dtype, **_: Any) -> Pair:
    """A variance of one in both parts together, as PyTorch has it."""
    part = real_of(dtype)
    return Pair(torch.randn(size, dtype=part), torch.randn(size, dtype=part)).scaled(0.5**0.5)


@translation("rand")
def rand(size: Sequence[int], *, dtype: torch.dtype, **_: Any) -> Pair:
    part = real_of(dtype)
    return Pair(torch.rand(size, dtype=part), torch.rand(size, dtype=part))


@translation("randn_like")
def randn_like(self: Any, *, dtype: Any = None, **_: Any) -> Pair:
    return randn(self.shape, dtype=dtype or self.dtype)


@translation("rand_like")
def rand_like(self: Any, *, dtype: Any = None, **_: Any) -> Pair:
    return rand(self.shape, dtype=dtype or self.dtype)


@translation("eye")
def eye(n: int, m: int | None = None, *, dtype: torch.dtype, **_: Any) -> Pair:
    real = torch.eye(n, n if m is None else m, dtype=real_of(dtype))
    return Pair(real, torch.zeros_like(real))
