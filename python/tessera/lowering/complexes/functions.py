# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of one complex number, and powers.

Branch cuts are C99's. The inverse functions are Kahan's ("Branch cuts for complex elementary
functions", 1987): the obvious formulas lose every digit near the cuts.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from tessera.lowering.complexes.elementwise import (
    choose,
    is_zero,
    magnitude,
    phase,
    quotient,
    reciprocal,
)
from tessera.lowering.complexes.pairs import Pair, Part, is_number, pair, pairs, translation


@translation("exp")
def exp(self: Pair) -> Pair:
    size = torch.exp(self.re)
    # Where the exponential alone overflows, its product with a sine need not.
    half = torch.exp(self.re / 2)
    large = torch.isinf(size)

    def turned(share: Part) -> Part:
        return torch.where(large, half * (half * share), size * share)

    # Of a real number the imaginary part is zero also where the exponential overflows. What an
    # infinite real part makes vanish or unbounded is so at an angle that is no number as well.
    anyhow = torch.isinf(self.re) & ~torch.isfinite(self.im)
    cosine = torch.where(anyhow, size, turned(torch.cos(self.im)))
    sine = torch.where(anyhow & (size == 0), size, turned(torch.sin(self.im)))
    return Pair(cosine, torch.where(self.im == 0, self.im, sine))


@translation("exp2", "special_exp2")
def exp2(self: Pair) -> Pair:
    return exp(self.scaled(math.log(2)))


@translation("expm1", "special_expm1")
def expm1(self: Pair) -> Pair:
    # e^x cos y - 1 without the difference of two numbers near one.
    half = torch.sin(self.im / 2)
    sine = torch.exp(self.re) * torch.sin(self.im)
    return Pair(torch.expm1(self.re) * torch.cos(self.im) - 2 * half * half, sine)


@translation("log")
def log(self: Pair) -> Pair:
    return Pair(torch.log(magnitude(self)), phase(self))


@translation("log2")
def log2(self: Pair) -> Pair:
    return log(self).scaled(1 / math.log(2))


@translation("log10")
def log10(self: Pair) -> Pair:
    return log(self).scaled(1 / math.log(10))


@translation("log1p", "special_log1p")
def log1p(self: Pair) -> Pair:
    x, y = self.re, self.im
    # |1 + z|² - 1, where the sum of squares is not far above one.
    small = (x.abs() < 0.5) & (y.abs() < 0.5)
    near = torch.log1p(torch.where(small, x * (2 + x) + y * y, 0.0).to(x.dtype)) / 2
    far = torch.log(torch.hypot(1 + x, y))
    return Pair(torch.where(small, near, far), torch.atan2(y, 1 + x))


@translation("sqrt")
def sqrt(self: Pair) -> Pair:
    x, y = self.re, self.im
    # Halved before they are added: the sum may overflow.
    root = torch.sqrt(x.abs() / 2 + magnitude(self) / 2)
    other = torch.where(root == 0, 0.0, y.abs() / (2 * root)).to(x.dtype)
    re, im = torch.where(x >= 0, root, other), torch.where(x >= 0, other, root)
    unbounded = torch.isinf(y)
    return Pair(
        torch.where(unbounded, y.abs(), re), torch.copysign(torch.where(unbounded, y, im), y)
    )


@translation("rsqrt")
def rsqrt(self: Pair) -> Pair:
    return reciprocal(sqrt(self))


def _sinh_cosh(x: Part) -> tuple[Part, Part]:
    return torch.sinh(x), torch.cosh(x)


@translation("sinh")
def sinh(self: Pair) -> Pair:
    s, c = _sinh_cosh(self.re)
    imaginary = torch.where(self.im == 0, self.im, c * torch.sin(self.im))
    return Pair(s * torch.cos(self.im), imaginary)


@translation("cosh")
def cosh(self: Pair) -> Pair:
    s, c = _sinh_cosh(self.re)
    flat = (self.im == 0) | (self.re == 0)
    imaginary = torch.where(flat, self.im * self.re, s * torch.sin(self.im))
    return Pair(c * torch.cos(self.im), imaginary)


@translation("tanh")
def tanh(self: Pair) -> Pair:
    # Beyond 20 the real part is one, and the imaginary one vanishes.
    x, y = self.re.clamp(-20, 20), self.im
    s, c = _sinh_cosh(x)
    cosine = torch.cos(y)
    size = s * s + cosine * cosine
    return Pair(s * c / size, torch.sin(y) * cosine / size)


@translation("sin")
def sin(self: Pair) -> Pair:
    return sinh(self.times_i()).over_i()


@translation("cos")
def cos(self: Pair) -> Pair:
    return cosh(self.times_i())


@translation("tan")
def tan(self: Pair) -> Pair:
    return tanh(self.times_i()).over_i()


def _one_minus(value: Pair) -> Pair:
    return Pair(1 - value.re, -value.im)


def _one_plus(value: Pair) -> Pair:
    return Pair(1 + value.re, value.im)


@translation("acos", "arccos")
def acos(self: Pair) -> Pair:
    low, high = sqrt(_one_minus(self)), sqrt(_one_plus(self))
    return Pair(2 * torch.atan2(low.re, high.re), torch.asinh((high.conjugate() * low).im))


@translation("asin", "arcsin")
def asin(self: Pair) -> Pair:
    low, high = sqrt(_one_minus(self)), sqrt(_one_plus(self))
    return Pair(torch.atan2(self.re, (low * high).re), torch.asinh((low.conjugate() * high).im))


@translation("acosh", "arccosh")
def acosh(self: Pair) -> Pair:
    low, high = sqrt(Pair(self.re - 1, self.im)), sqrt(_one_plus(self))
    return Pair(torch.asinh((low.conjugate() * high).re), 2 * torch.atan2(low.im, high.re))


@translation("asinh", "arcsinh")
def asinh(self: Pair) -> Pair:
    return asin(self.times_i()).over_i()


@translation("atanh", "arctanh")
def atanh(self: Pair) -> Pair:
    x, y = self.re.abs(), self.im
    rest = 1 - x
    # From the pole; not squared, which would vanish close to it and overflow far away.
    distance = torch.hypot(rest, y)
    far = torch.isinf(distance)
    near = torch.log(torch.hypot(1 + x, y)) / 2 - torch.log(distance) / 2
    # Odd in the real part; of a negative one the logarithm would be of a difference.
    real = torch.where(distance < 0.1, near, torch.log1p(4 * x / distance / distance) / 4)
    real = torch.where(far | (x == 0), 0.0, real).to(x.dtype)
    quarter = torch.copysign(torch.full_like(y, math.pi / 2), y) + torch.where(y.isnan(), y, 0.0)
    angle = torch.atan2(2 * y, rest * (1 + x) - y * y) / 2
    return Pair(torch.copysign(real, self.re), torch.where(far, quarter, angle).to(x.dtype))


@translation("atan", "arctan")
def atan(self: Pair) -> Pair:
    return atanh(self.times_i()).over_i()


@translation("sigmoid", "special_expit")
def sigmoid(self: Pair) -> Pair:
    return reciprocal(_one_plus(exp(-self)))


@translation("silu")
def silu(self: Pair) -> Pair:
    return quotient(self, _one_plus(exp(-self)))


@translation("sinc", "special_sinc")
def sinc(self: Pair) -> Pair:
    angle = self.scaled(math.pi)
    ratio = quotient(sin(angle), angle)
    one = Pair(torch.ones_like(self.re), torch.zeros_like(self.im))
    return choose(is_zero(self), one, ratio)


# --- powers ----------------------------------------------------------------------------------


@translation("float_power")
def float_power(self: Any, exponent: Any) -> Pair:
    wide = [item if is_number(item) else pair(item, torch.float64) for item in (self, exponent)]
    return pow_(*wide)


@translation("pow")
def pow_(self: Any, exponent: Any) -> Pair:
    base, power = pairs(self, exponent)
    if (is_number(exponent) and exponent == 0) or (is_number(self) and self == 1):
        shape = power.shape if is_number(self) else base.shape
        one = torch.ones(shape, dtype=base.re.dtype)
        return Pair(one, torch.zeros_like(one))
    if is_number(exponent):
        whole = complex(exponent)
        if whole == 0.5:
            return sqrt(base)
        if whole.imag == 0 and whole.real in (-1, 1, 2, 3, 4, -2):
            count = int(abs(whole.real))
            result = base
            for _ in range(count - 1):
                result = result * base
            return reciprocal(result) if whole.real < 0 else result
    return exp(power * log(base))
