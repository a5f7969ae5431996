# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise: the special functions, most of which the runtime computes (`graph.special`).

What is a few steps over another function is written over it here.
"""

from __future__ import annotations

import math

import torch

from tessera.lowering.aten.rules import (
    Arith,
    Operand,
    finish,
    is_integral,
    promoted,
    rule,
)
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

#: The runtime's name (runtime/abi/Mathematics.h) of ATen's functions of one tensor.
UNARY: dict[str, tuple[str, ...]] = {
    "airy_ai": ("special_airy_ai",),
    "bessel_j0": ("special_bessel_j0",),
    "bessel_j1": ("special_bessel_j1",),
    "bessel_y0": ("special_bessel_y0",),
    "bessel_y1": ("special_bessel_y1",),
    "digamma": ("digamma", "special_digamma", "special_psi"),
    "erfcx": ("special_erfcx",),
    "i0": ("i0", "special_i0", "special_modified_bessel_i0"),
    "i0e": ("special_i0e",),
    "i1": ("special_i1", "special_modified_bessel_i1"),
    "i1e": ("special_i1e",),
    "k0": ("special_modified_bessel_k0",),
    "k0e": ("special_scaled_modified_bessel_k0",),
    "k1": ("special_modified_bessel_k1",),
    "k1e": ("special_scaled_modified_bessel_k1",),
    "lgamma": ("lgamma", "special_gammaln"),
    "log_ndtr": ("special_log_ndtr",),
    "ndtri": ("special_ndtri",),
}

#: The same for two; polynomials take their argument and their degree.
BINARY: dict[str, tuple[str, ...]] = {
    "igamma": ("igamma", "special_gammainc"),
    "igammac": ("igammac", "special_gammaincc"),
    "zeta": ("special_zeta", "special_zeta.self_scalar", "special_zeta.other_scalar"),
}
for _runtime, _aten in {
    "chebyshev_t": "chebyshev_polynomial_t",
    "chebyshev_u": "chebyshev_polynomial_u",
    "chebyshev_v": "chebyshev_polynomial_v",
    "chebyshev_w": "chebyshev_polynomial_w",
    "hermite_h": "hermite_polynomial_h",
    "hermite_he": "hermite_polynomial_he",
    "laguerre_l": "laguerre_polynomial_l",
    "legendre_p": "legendre_polynomial_p",
    "shifted_chebyshev_t": "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_u": "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_v": "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_w": "shifted_chebyshev_polynomial_w",
}.items():
    BINARY[_runtime] = tuple(
        f"special_{_aten}{overload}" for overload in ("", ".x_scalar", ".n_scalar")
    )


def _register(function: str, names: tuple[str, ...]) -> None:
    @rule(*names)
    def lower(ctx: LoweringContext, *operands: Operand) -> GraphValue:
        values, result = promoted(ctx, *operands, int_to_float=True, wide=True)
        return finish(ctx, ctx.emit("special", values, function=function), result)


for _function, _names in (*UNARY.items(), *BINARY.items()):
    _register(_function, _names)


def _special(ctx: LoweringContext, function: str, *operands: GraphValue) -> GraphValue:
    return ctx.emit("special", operands, function=function)


@rule("polygamma")
def polygamma(ctx: LoweringContext, n: int, self: GraphValue) -> GraphValue:
    (x,), result = promoted(ctx, self, int_to_float=True, wide=True)
    if n < 0:
        raise ValueError(f"[polygamma] the order must not be negative, but is {n}")
    if n < 2:
        return finish(ctx, _special(ctx, "trigamma" if n else "digamma", x), result)
    a = Arith(ctx, x.dtype)
    sign = 1.0 if n % 2 else -1.0
    value = _special(ctx, "zeta", ctx.constant(float(n + 1), x.dtype), x)
    return finish(ctx, a.mul(value, sign * math.exp(math.lgamma(n + 1))), result)


@rule("mvlgamma", "special_multigammaln")
def mvlgamma(ctx: LoweringContext, self: GraphValue, p: int) -> GraphValue:
    if p < 1:
        raise ValueError(f"[mvlgamma] p must be at least one, but is {p}")
    (x,), result = promoted(ctx, self, int_to_float=True, wide=True)
    a = Arith(ctx, x.dtype)
    total = _special(ctx, "lgamma", x)
    for step in range(1, p):
        total = a.add(total, _special(ctx, "lgamma", a.sub(x, 0.5 * step)))
    return finish(ctx, a.add(total, 0.25 * p * (p - 1) * math.log(math.pi)), result)


@rule("special_spherical_bessel_j0")
def spherical_bessel_j0(ctx: LoweringContext, x: GraphValue) -> GraphValue:
    (value,), result = promoted(ctx, x, int_to_float=True, wide=True)
    a = Arith(ctx, value.dtype)
    quotient = a.div(a.unary("sin", value), value)
    quotient = a.select(a.compare("eq", value, 0.0), 1.0, quotient)
    return finish(ctx, a.select(a.unary("isinf", value), 0.0, quotient), result)


@rule("angle")
def angle(ctx: LoweringContext, self: GraphValue) -> GraphValue:
    (x,), result = promoted(ctx, self, int_to_float=True)
    a = Arith(ctx, x.dtype)
    value = a.select(a.compare("lt", x, 0.0), math.pi, 0.0)
    return finish(ctx, a.select(a.unary("isnan", x), x, value), result)


# --- parts of numbers ------------------------------------------------------------------------


@rule("frexp.Tensor")
def frexp(ctx: LoweringContext, self: GraphValue) -> tuple[GraphValue, GraphValue]:
    if is_integral(self.dtype):
        raise TypeError(f"[frexp] is not defined for {self.dtype}; cast to a floating-point dtype")
    (x,), result = promoted(ctx, self, wide=True)
    exponent = ctx.cast(_special(ctx, "exponent", x), torch.int32)
    return finish(ctx, _special(ctx, "mantissa", x), result), exponent


@rule("nextafter")
def nextafter(ctx: LoweringContext, self: GraphValue, other: GraphValue) -> GraphValue:
    (x, y), result = promoted(ctx, self, other, wide=True)
    if is_integral(result):
        raise Unsupported(f"[nextafter] is not compiled for {result}")
    narrow = {torch.bfloat16: "nextafter_bf16", torch.float16: "nextafter_f16"}
    function = narrow.get(result, "nextafter")
    return finish(ctx, _special(ctx, function, x, y), result)
