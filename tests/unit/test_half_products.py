# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Products and attention of bf16 and f16, against float64.

Small whole numbers make products and sums exact, so that the result is the exact one, rounded.
"""

from __future__ import annotations

import copy
import itertools
import random
from typing import Any

import pytest
import torch
from hardware import HAS_AVX512, HAS_DOT
from torch import nn
from torch.nn import functional as F

import tessera as ts
from tessera import _core

CPUS = ["", "avx2"] + (["avx512"] if HAS_AVX512 else [])
HALVES = [torch.bfloat16, torch.float16]


@pytest.fixture(params=CPUS)
def cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Compiles for this machine, and for baselines that have no product of pairs."""
    original = _core.compile

    def compile_for(module: Any, **options: Any) -> Any:
        return original(module, **{**options, "cpu": request.param})

    monkeypatch.setattr(_core, "compile", compile_for)
    return str(request.param)


class Product(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b


class Attention(nn.Module):
    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)


def whole(shape: tuple[int, ...], dtype: torch.dtype, rng: random.Random) -> torch.Tensor:
    """Small whole numbers, in a layout of their own."""
    generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
    x = torch.randint(-3, 4, shape, generator=generator).to(dtype)
    kind = rng.choice(["plain", "swapped", "sliced"])
    if kind == "swapped":
        return x.mT.contiguous().mT
    if kind == "sliced":
        return torch.cat([x, x], dim=-1)[..., : shape[-1]]
    return x


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("first", range(0, 24, 8))
def test_products_are_exact(first: int, dtype: torch.dtype, cpu: str) -> None:
    for seed in range(first, first + 8):
        rng = random.Random(seed)
        batch = rng.choice([(), (3,), (2, 2)])
        m, k, n = (rng.choice([1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 65, 70, 97]) for _ in "mkn")
        a, b = whole((*batch, m, k), dtype, rng), whole((*batch, k, n), dtype, rng)
        tess = ts.from_pytorch(Product(), (a, b), strict=True)
        want = (a.double() @ b.double()).to(dtype)
        torch.testing.assert_close(
            tess(a, b), want, rtol=0, atol=0, msg=lambda t, s=seed: f"{s} {t}"
        )


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(
    "size", [(1, 129, 100), (7, 64, 33), (40, 31, 64), (96, 2305, 48)], ids=str
)
def test_layers_are_exact(size: tuple[int, int, int], dtype: torch.dtype, cpu: str) -> None:
    m, k, n = size
    rng = random.Random(0)
    layer = nn.Linear(k, n).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(whole((n, k), dtype, rng))
        layer.bias.copy_(whole((1, n), dtype, rng)[0])
        x = whole((m, k), dtype, rng)
        want = F.linear(x.double(), layer.weight.double(), layer.bias.double()).to(dtype)
        tess = ts.from_pytorch(layer.eval(), (x,), strict=True)
        torch.testing.assert_close(tess(x), want, rtol=0, atol=0)


@pytest.mark.parametrize("where", [*itertools.product([0, 8], [0, 15, 16])], ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_number_spreads(where: tuple[int, int], value: float, cpu: str) -> None:
    """An odd depth ends in half a pair: what lies behind it in memory takes no part."""
    row, column = where
    a = torch.ones(9, 17, dtype=torch.bfloat16)
    a[row, column] = value
    b = torch.ones(17, 40, dtype=torch.bfloat16)
    tess = ts.from_pytorch(Product(), (a, b), strict=True)
    want = (a.double() @ b.double()).to(torch.bfloat16)
    torch.testing.assert_close(tess(a, b), want, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize(
    "sizes", [(33, 33, 40), (5, 5, 3), (64, 64, 64), (17, 77, 24), (9, 5000, 16)], ids=str
)
def test_attention(sizes: tuple[int, int, int], dtype: torch.dtype, causal: bool, cpu: str) -> None:
    queries, keys, width = sizes
    torch.manual_seed(0)
    q = torch.randn(2, 3, queries, width).to(dtype)
    k, v = (torch.randn(2, 3, keys, width).to(dtype) for _ in "kv")
    model = Attention(causal)
    tess = ts.from_pytorch(model, (q, k, v), strict=True)
    exact = model(q.double(), k.double(), v.double())
    ours = (tess(q, k, v).double() - exact).abs().max()
    eager = (model(q, k, v).double() - exact).abs().max()
    assert ours <= 2 * eager


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_convolutions(dtype: torch.dtype, cpu: str) -> None:
    """Windows are gathered, behind a mask at the border."""
    rng = random.Random(0)
    layer = nn.Conv2d(5, 6, 3, stride=2, padding=1, bias=False).to(dtype)
    x = whole((2, 5, 9, 11), dtype, rng)
    with torch.no_grad():
        layer.weight.copy_(whole((6, 5, 3, 3), dtype, rng))
        want = copy.deepcopy(layer).double()(x.double()).to(dtype)
        tess = ts.from_pytorch(layer.eval(), (x,), strict=True)
        torch.testing.assert_close(tess(x), want, rtol=0, atol=0)


@pytest.mark.skipif(not HAS_DOT, reason="this machine multiplies no pairs of bf16")
def test_pairs_are_multiplied_as_such() -> None:
    x = torch.randn(16, 64).to(torch.bfloat16)
    tess = ts.from_pytorch(nn.Linear(64, 64).to(torch.bfloat16).eval(), (x,), strict=True)
    assembly = tess.ir("asm")
    assert "vdpbf16ps" in assembly
    assert "vfmadd" not in assembly


class Rounded(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.bfloat16)


@pytest.mark.parametrize("denormals", [0, 1, 1000])
def test_rounding_keeps_denormals(denormals: int, cpu: str) -> None:
    """Any bits, with denormals in no vector, in one and in most: they take a way of their own."""
    generator = torch.Generator().manual_seed(denormals)
    bits = torch.randint(-(1 << 31), 1 << 31, (16411,), generator=generator, dtype=torch.int64)
    bits = bits.to(torch.int32)
    bits[bits & 0x7F800000 == 0] = 0
    where = torch.randperm(len(bits), generator=generator)[:denormals]
    bits[where] = torch.randint(1, 1 << 23, (denormals,), generator=generator, dtype=torch.int32)
    x = bits.view(torch.float32)
    got = ts.from_pytorch(Rounded(), example_inputs=(x,), strict=True)(x)
    wanted = x.to(torch.bfloat16)
    assert torch.equal(got.isnan(), wanted.isnan())
    numbers = ~wanted.isnan()
    assert torch.equal(got.view(torch.int16)[numbers], wanted.view(torch.int16)[numbers])
