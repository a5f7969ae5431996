# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Arithmetic and comparisons. A real operand is a complex one without imaginary part, as to
PyTorch: what infinities make of that is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera.lowering.complexes.pairs import TABLE, Pair, Part, pairs, translation


def is_zero(value: Pair) -> Part:
    return (value.re == 0) & (value.im == 0)


def magnitude(value: Pair) -> Part:
    """Without overflow on the way."""
    return torch.hypot(value.re, value.im)


def phase(value: Pair) -> Part:
    return torch.atan2(value.im, value.re)


def quotient(a: Pair, b: Pair) -> Pair:
    """a / b in the steps PyTorch takes (Smith's), so that infinities, zeros and what overflows on
    the way give what they give there."""
    across, up = b.re.abs(), b.im.abs()
    wide = across >= up
    large, small = torch.where(wide, b.re, b.im), torch.where(wide, b.im, b.re)
    ratio = small / large
    scale = 1 / (large + small * ratio)
    re = torch.where(wide, a.re + a.im * ratio, a.re * ratio + a.im) * scale
    im = torch.where(wide, a.im - a.re * ratio, a.im * ratio - a.re) * scale
    zero = (across == 0) & (up == 0)
    return Pair(torch.where(zero, a.re / across, re), torch.where(zero, a.im / up, im))


def choose(condition: Part, a: Pair, b: Pair) -> Pair:
    return Pair(torch.where(condition, a.re, b.re), torch.where(condition, a.im, b.im))


@translation("add")
def add(self: Any, other: Any, *, alpha: Any = 1) -> Pair:
    a, b = pairs(self, other)
    return a + (b if alpha == 1 else b * pairs(b, alpha)[1])


@translation("sub", "subtract")
def sub(self: Any, other: Any, alpha: Any = 1) -> Pair:
    a, b = pairs(self, other)
    return a - (b if alpha == 1 else b * pairs(b, alpha)[1])


@translation("rsub")
def rsub(self: Any, other: Any, alpha: Any = 1) -> Pair:
    return sub(other, self, alpha=alpha)


@translation("mul", "multiply")
def mul(self: Any, other: Any) -> Pair:
    a, b = pairs(self, other)
    return a * b


@translation("div", "divide", "true_divide")
def div(self: Any, other: Any, *, rounding_mode: str | None = None) -> Pair:
    if rounding_mode is not None:
        raise ValueError("complex numbers are not rounded")
    return quotient(*pairs(self, other))


@translation("addcmul")
def addcmul(self: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Pair:
    x, a, b, factor = pairs(self, tensor1, tensor2, value)
    return x + (a * b if value == 1 else factor * a * b)


@translation("addcdiv")
def addcdiv(self: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Pair:
    x, a, b, factor = pairs(self, tensor1, tensor2, value)
    return x + quotient(a if value == 1 else factor * a, b)


@translation("lerp")
def lerp(self: Any, end: Any, weight: Any) -> Pair:
    a, b, w = pairs(self, end, weight)
    # From the nearer end, as PyTorch does.
    near = magnitude(w) < 0.5
    rest = Pair(1 - w.re, -w.im)
    return choose(near, a + w * (b - a), b - (b - a) * rest)


@translation("square")
def square(self: Pair) -> Pair:
    return self * self


@translation("reciprocal")
def reciprocal(self: Pair) -> Pair:
    return quotient(pairs(1.0, self)[0], self)


@translation("abs", "absolute")
def abs_(self: Pair) -> Part:
    return magnitude(self)


@translation("angle")
def angle(self: Pair) -> Part:
    return phase(self)


@translation("sgn", "sign")
def sgn(self: Pair) -> Pair:
    size = magnitude(self)
    zero = size == 0
    return Pair(
        torch.where(zero, 0.0, self.re / size).to(self.re.dtype),
        torch.where(zero, 0.0, self.im / size).to(self.re.dtype),
    )


# --- comparisons -----------------------------------------------------------------------------


@translation("eq")
def eq(self: Any, other: Any) -> Part:
    a, b = pairs(self, other)
    return (a.re == b.re) & (a.im == b.im)


@translation("ne", "not_equal")
def ne(self: Any, other: Any) -> Part:
    a, b = pairs(self, other)
    return (a.re != b.re) | (a.im != b.im)


@translation("isnan")
def isnan(self: Pair) -> Part:
    return self.re.isnan() | self.im.isnan()


@translation("isinf")
def isinf(self: Pair) -> Part:
    return self.re.isinf() | self.im.isinf()


@translation("isfinite")
def isfinite(self: Pair) -> Part:
    return self.re.isfinite() & self.im.isfinite()


@translation("isreal")
def isreal(self: Pair) -> Part:
    return self.im == 0


@translation("isclose")
def isclose(
    self: Pair, other: Pair, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Part:
    same = eq(self, other)
    if equal_nan:
        same = same | (isnan(self) & isnan(other))
    distance = magnitude(self - other)
    return same | (distance.isfinite() & (distance <= atol + (rtol * magnitude(other)).abs()))


def truth(value: Any) -> Part:
    return ~is_zero(value) if isinstance(value, Pair) else value != 0


@translation("logical_not")
def logical_not(self: Pair) -> Part:
    return is_zero(self)


def _logical(function: Callable[[Part, Part], Part]) -> Callable[[Any, Any], Part]:
    return lambda self, other: function(truth(self), truth(other))


for _name in ("and", "or", "xor"):
    TABLE[f"logical_{_name}"] = _logical(getattr(torch, f"logical_{_name}"))
