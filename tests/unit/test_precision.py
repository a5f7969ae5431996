# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``precision="bf16"``: models of float32 whose products run on rounded operands."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hardware import HAS_DOT
from torch import nn
from torch.nn import functional as F

import tessera as ts
from tessera.errors import ArgumentError


class Layer(nn.Module):
    """Attention and an MLP, with norms and residuals."""

    def __init__(self, width: int = 48, heads: int = 3) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.first(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.second(x))))


class Pixels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.deep = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.wide = nn.Conv2d(16, 33, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wide(F.silu(self.deep(F.relu(self.norm(self.stem(x))))))


def make(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    if name == "layer":
        return Layer().eval(), torch.randn(2, 37, 48)
    return Pixels().eval(), torch.randn(2, 3, 19, 21)


def error(model: nn.Module, result: torch.Tensor, *inputs: torch.Tensor) -> float:
    exact = copy.deepcopy(model).double()(*[x.double() for x in inputs])
    return float((result.double() - exact).abs().max())


@pytest.mark.parametrize("name", ["layer", "pixels"])
@torch.no_grad()
def test_errors_are_those_of_bfloat16(name: str) -> None:
    model, x = make(name)
    tess = ts.from_pytorch(model, (x,), precision="bf16", strict=True)
    result = tess(x)
    assert result.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        eager = model(x)
    ours, theirs = error(model, result, x), error(model, eager, x)
    plain = error(model, ts.from_pytorch(model, (x,), strict=True)(x), x)
    assert 10 * plain < ours <= 2 * theirs


@torch.no_grad()
def test_rounding_happens_where_values_are_made() -> None:
    """No kernel does nothing but round, and what goes from product to product is stored rounded."""
    model, x = make("layer")
    plain, tess = (ts.from_pytorch(model, (x,), precision=p, strict=True) for p in (None, "bf16"))
    kinds = [[kernel.kind for kernel in t.report.kernels] for t in (plain, tess)]
    assert kinds[0] == kinds[1]
    graph = tess.ir("graph")
    assert graph.count("graph.matmul") == 4
    assert "graph.layer_norm" in graph
    if HAS_DOT:
        assert tess.ir("asm").count("vdpbf16ps") > 0
        assert "pairs" in tess.ir("schedule")


def test_it_is_told() -> None:
    model, x = make("layer")
    tess = ts.from_pytorch(model, (x,), precision="bf16")
    assert tess.report.precision == "bf16"
    assert "products in bf16" in str(tess.report)
    assert "products in bf16" in repr(tess)
    assert tess.report.to_dict()["precision"] == "bf16"
    assert ts.from_pytorch(model, (x,), precision="fp32").report.precision == "fp32"


@pytest.mark.parametrize("wrong", ["bfloat16", "fp16", torch.bfloat16, 16])
def test_other_precisions_are_refused(wrong: Any) -> None:
    model, x = make("layer")
    with pytest.raises(ArgumentError, match='precision must be "bf16", "fp32" or None'):
        ts.from_pytorch(model, (x,), precision=wrong)
    with pytest.raises(ArgumentError, match=r"wrap: precision must be"):
        ts.compat.wrap(model, precision=wrong)


@torch.no_grad()
def test_the_other_front_doors() -> None:
    model, x = make("layer")
    want = ts.from_pytorch(model, (x,), precision="bf16")(x)
    wrapped = ts.compat.wrap(model, precision="bf16")
    assert torch.equal(wrapped(x), want)
    assert ts.compat.wrap(wrapped, precision="bf16") is wrapped
    assert ts.compat.wrap(wrapped) is not wrapped
    compiled = torch.compile(model, backend="tessera", options={"precision": "bf16"})
    assert torch.equal(compiled(x), want)
    torch.compiler.reset()
    tuned = ts.tune(model, x, precision="bf16", seconds=0.01, progress=False)
    assert tuned.module.report.precision == "bf16"
    assert error(model, tuned.module(x), x) <= 2 * error(model, want, x)
    with pytest.raises(ArgumentError, match="precision='bf16' came too late"):
        ts.tune(wrapped, x, precision="bf16")


@torch.no_grad()
def test_few_channels_a_group_are_no_products() -> None:
    """The kernel for them gains nothing from rounded operands, so they keep their bits."""
    model, x = nn.Conv2d(64, 64, 3, padding=1, groups=8).eval(), torch.randn(1, 64, 14, 14)
    plain, tess = (ts.from_pytorch(model, (x,), precision=p, strict=True) for p in (None, "bf16"))
    assert torch.equal(tess(x), plain(x))


@torch.no_grad()
def test_native_code() -> None:
    """A function over ts.ops computes what a converted model of the same operators does."""
    weight, x = torch.randn(96, 64), torch.randn(8, 64)

    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x @ weight.T)

    @ts.jit(precision="bf16", strict=True)
    def product(x: Any) -> Any:
        return ts.ops.relu(ts.ops.matmul(x, weight.T))

    want = ts.from_pytorch(Product(), (x,), precision="bf16")(x)
    assert torch.equal(product(x), want)
    assert product.report.precision == "bf16"
    assert not torch.equal(ts.jit(product._function)(x), want)
    with pytest.raises(ArgumentError, match="jit: precision must be"):
        ts.jit(product, precision="half")


@torch.no_grad()
def test_sizes_that_change() -> None:
    model, x = make("layer")
    sizes = {"x": {1: torch.export.Dim("length", min=2, max=64)}}
    tess = ts.from_pytorch(model, (x,), precision="bf16", dynamic_shapes=sizes, strict=True)
    for length in (5, 37, 64):
        given = torch.randn(2, length, 48)
        with torch.autocast("cpu", torch.bfloat16):
            eager = model(given)
        assert error(model, tess(given), given) <= 2 * error(model, eager, given)


@torch.no_grad()
def test_weights_that_change() -> None:
    model, x = make("layer")
    tess = ts.from_pytorch(model, (x,), precision="bf16", strict=True)
    tess(x)
    model.up.weight.mul_(-1)
    want = ts.from_pytorch(model, (x,), precision="bf16", strict=True)(x)
    assert torch.equal(tess(x), want)


@torch.no_grad()
def test_positions_are_not_rounded() -> None:
    """Rotary embeddings multiply positions by frequencies, as a product of depth one."""

    class Rotary(nn.Module):
        def forward(self, positions: torch.Tensor) -> torch.Tensor:
            frequencies = 1.0 / 10000 ** (torch.arange(0, 64, 2) / 64)
            return (
                (frequencies[None, :, None] @ positions[:, None, :].float()).transpose(1, 2).cos()
            )

    positions = torch.arange(1000, 1100)[None]
    model = Rotary()
    tess = ts.from_pytorch(model, (positions,), precision="bf16", strict=True)
    torch.testing.assert_close(tess(positions), model(positions))


@torch.no_grad()
def test_verify_compares_with_rounded_products() -> None:
    model, x = make("layer")
    tess = ts.from_pytorch(model, (x,), precision="bf16")
    found = tess.verify(x)
    assert found
    check = found.modules[-1]
    assert 0 < check.error <= 2 * check.torch_error
    # The same model in float32 is held to float32's errors.
    assert ts.from_pytorch(model, (x,)).verify(x).modules[-1].allowed < check.error


@torch.no_grad()
def test_models_in_bfloat16_are_not_rounded_twice() -> None:
    model, x = make("layer")
    half = copy.deepcopy(model).bfloat16()
    given = x.bfloat16()
    tess = ts.from_pytorch(half, (given,), strict=True)
    assert error(half, tess(given), given) <= 2 * error(half, half(given), given)
    asked = ts.from_pytorch(half, (given,), precision="bf16", strict=True)
    assert torch.equal(asked(given), tess(given))
