# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Special functions against PyTorch in float64, over their ranges and at the ends of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from harness import Case, check, special, values
from torch import Tensor
from torch import special as sp

#: function, and where it is smooth
UNARY: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "bessel_j0": (sp.bessel_j0, -4.0, 4.0),
    "bessel_j1": (sp.bessel_j1, -4.0, 4.0),
    "bessel_y0": (sp.bessel_y0, 0.3, 4.0),
    "bessel_y1": (sp.bessel_y1, 0.3, 4.0),
    "digamma": (torch.digamma, 0.5, 20.0),
    "digamma below": (torch.digamma, -0.9, -0.1),
    "erfcx": (sp.erfcx, -2.0, 30.0),
    "i0": (torch.i0, -12.0, 12.0),
    "i0e": (sp.i0e, -60.0, 60.0),
    "i1": (sp.i1, -12.0, 12.0),
    "i1e": (sp.i1e, -60.0, 60.0),
    "k0": (sp.modified_bessel_k0, 0.1, 9.0),
    "k0e": (sp.scaled_modified_bessel_k0, 0.1, 90.0),
    "k1": (sp.modified_bessel_k1, 0.1, 9.0),
    "k1e": (sp.scaled_modified_bessel_k1, 0.1, 90.0),
    "lgamma": (torch.lgamma, 0.1, 30.0),
    "log_ndtr": (sp.log_ndtr, -30.0, 5.0),
    "multigammaln": (lambda x: sp.multigammaln(x, 3), 1.5, 20.0),
    "ndtri": (sp.ndtri, 0.001, 0.999),
    "polygamma 1": (lambda x: torch.polygamma(1, x), 0.2, 20.0),
    "polygamma 3": (lambda x: torch.polygamma(3, x), 0.5, 20.0),
    "spherical_bessel_j0": (sp.spherical_bessel_j0, -20.0, 20.0),
}


def _tolerance(dtype: torch.dtype) -> dict[str, float]:
    # Some of PyTorch's own are only so good in float64.
    return {"rtol": 2e-7, "atol": 2e-7} if dtype == torch.float64 else {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_unary(dtype: torch.dtype) -> None:
    cases = []
    for name, (function, low, high) in UNARY.items():
        x = values(4, 37, dtype=torch.float32, low=low, high=high).to(dtype)
        # Not every function of PyTorch takes half precision, but all take what it widens to.
        wide = (lambda f: lambda x: f(x.float()).bfloat16())(function)
        chosen = wide if dtype == torch.bfloat16 else function
        cases.append(Case(name, chosen, [x], **_tolerance(dtype)))
    check(cases)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_numbers(dtype: torch.dtype) -> None:
    a = values(5, 19, dtype=dtype, low=0.1, high=9.0)
    x = values(5, 1, dtype=dtype, low=0.1, high=9.0, seed=1)
    tolerance = _tolerance(dtype)
    check(
        [
            Case("igamma", torch.igamma, [a, x], **tolerance),
            Case("igammac", torch.igammac, [a, x], **tolerance),
            Case("zeta", sp.zeta, [a + 1.1, x], **tolerance),
            Case("nextafter", torch.nextafter, [a, x], exact=True),
            Case("large igamma", torch.igamma, [a * 1e5, a * 1e5 + x], rtol=1e-3, atol=1e-4),
        ]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_polynomials(dtype: torch.dtype) -> None:
    kinds = ["chebyshev", "shifted_chebyshev"]
    names = [f"{kind}_polynomial_{letter}" for kind in kinds for letter in "tuvw"]
    names += ["hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l"]
    names += ["legendre_polynomial_p"]
    x = values(4, 11, dtype=dtype, low=-0.95, high=0.95)
    n = torch.randint(-1, 12, (11,)).to(dtype)
    check(
        [
            Case(name, getattr(sp, name), [x, n], rtol=1e-4 if dtype == torch.float32 else None)
            for name in names
        ]
        + [Case("degree 3", lambda x: sp.legendre_polynomial_p(x, 3), [x])]
    )


def test_ends_of_the_domain() -> None:
    x = special(torch.float64)
    poles = torch.tensor([0.0, -0.0, -1.0, -2.0, math.inf, -math.inf, math.nan, 1.0])
    check(
        [
            Case("lgamma", torch.lgamma, [x]),
            Case("digamma", torch.digamma, [poles]),
            Case("zeta", lambda q: sp.zeta(2.0, q), [poles]),
            Case("erfcx", sp.erfcx, [x]),
            Case("ndtri", sp.ndtri, [poles]),
            Case("log_ndtr", sp.log_ndtr, [x]),
            Case("i0e", sp.i0e, [x]),
            Case("igamma", lambda a: torch.igamma(a, a.new_tensor(2.0)), [poles]),
            Case("igammac", lambda a: torch.igammac(a, a.new_tensor(0.0)), [poles]),
        ]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_parts_of_numbers(dtype: torch.dtype) -> None:
    x = torch.cat([special(dtype), values(20, dtype=dtype, low=-1e4, high=1e4)])
    check([Case("frexp", torch.frexp, [x], exact=True)])


@pytest.mark.parametrize("towards", [math.inf, -math.inf, 0.0])
def test_neighbours_in_float16(towards: float) -> None:
    x = special(torch.float16)
    more = torch.tensor([1.0, -1.0, 1.5, 65504.0, -65504.0, 6e-8, -6e-8, 6.1e-5, 1024.0]).half()
    x = torch.cat([x, more])
    check([Case("nextafter", torch.nextafter, [x, torch.full_like(x, towards)], exact=True)])


def test_neighbours_in_bfloat16() -> None:
    x = torch.tensor([1.0, 1.0, -1.0, 0.0, 0.0, 3.0, 2.0, math.inf, math.nan]).bfloat16()
    y = torch.tensor([2.0, 0.0, 0.0, -1.0, 1.0, 3.0, math.inf, 0.0, 0.0]).bfloat16()
    check([Case("nextafter", torch.nextafter, [x, y], exact=True)])
