# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The guide's Mini-Transformer block as a whole: the answer, its kernels, replacement, machines."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hardware import HAS_AVX512
from torch import nn

import tessera as ts
from tessera import _core


class Block(nn.Module):
    """The guide's example, as written."""

    def __init__(self, d: int, nhead: int, mlp: int = 4) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(d)
        self.attn = nn.MultiheadAttention(d, nhead, batch_first=True)
        self.ln2 = nn.LayerNorm(d)
        self.ffn = nn.Sequential(nn.Linear(d, mlp * d), nn.GELU(), nn.Linear(mlp * d, d))

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        h = self.ln1(x)
        a, _ = self.attn(h, h, h, attn_mask=attn_mask, need_weights=False)
        x = x + a
        h = self.ln2(x)
        return x + self.ffn(h)


@pytest.fixture
def block() -> Block:
    torch.manual_seed(0)
    return Block(64, 4).eval()


def error(block: Block, got: torch.Tensor, *args: Any) -> tuple[float, float]:
    """Largest error against float64: of `got`, and of PyTorch's own float32."""
    with torch.no_grad():
        wide = [a.double() if torch.is_tensor(a) and a.is_floating_point() else a for a in args]
        exact = copy.deepcopy(block).double()(*wide)
        eager = block(*args)
    return (got - exact).abs().max().item(), (eager - exact).abs().max().item()


@pytest.mark.parametrize("shape", [(2, 32, 64), (1, 1, 64), (3, 37, 64), (2, 130, 64)])
def test_equals_pytorch(block: Block, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    tess = ts.from_pytorch(block, example_inputs=(x,), strict=True)
    with torch.no_grad():
        ours, eager = error(block, tess(x), x)
    # One rounding of the largest result either way, for shapes with few elements.
    assert ours <= 1.5 * eager + 2.4e-7


@pytest.mark.parametrize("kind", ["boolean", "additive"])
def test_masks(block: Block, kind: str) -> None:
    x = torch.randn(2, 33, 64)
    mask = torch.ones(33, 33).triu(1).bool()
    if kind == "additive":
        mask = torch.zeros(33, 33).masked_fill(mask, float("-inf"))
    tess = ts.from_pytorch(block, example_inputs=(x, mask), strict=True)
    with torch.no_grad():
        ours, eager = error(block, tess(x, mask), x, mask)
    assert ours <= 1.5 * eager + 2.4e-7


def test_seven_kernels(block: Block) -> None:
    """Two norms, four products with everything elementwise in their epilogues, one attention that
    reads the fused projection in place: no copies."""
    tess = ts.from_pytorch(block, example_inputs=(torch.randn(2, 32, 64),), strict=True)
    kinds = [kernel.kind for kernel in tess.report.kernels]
    assert sorted(kinds) == sorted(["rows"] * 2 + ["contraction"] * 4 + ["attention"])


def test_threads_do_not_change_the_answer(block: Block) -> None:
    x = torch.randn(2, 64, 64)
    with torch.no_grad():
        one, two = (ts.from_pytorch(block, example_inputs=(x,), threads=n)(x) for n in (1, 2))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


@pytest.mark.parametrize("cpu", ["avx2", "avx512"])
def test_machines(block: Block, cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if cpu == "avx512" and not HAS_AVX512:
        pytest.skip("this machine has no AVX-512")
    original = _core.compile

    def compile_for(module: Any, **options: Any) -> Any:
        return original(module, **{**options, "cpu": cpu})

    monkeypatch.setattr(_core, "compile", compile_for)
    x = torch.randn(2, 37, 64)
    tess = ts.from_pytorch(block, example_inputs=(x,), strict=True)
    assembly = tess.ir("asm")
    assert ("zmm" in assembly) == (cpu == "avx512")
    with torch.no_grad():
        ours, eager = error(block, tess(x), x)
    assert ours <= 1.5 * eager + 2.4e-7


def test_every_level_prints(block: Block) -> None:
    tess = ts.from_pytorch(block, example_inputs=(torch.randn(1, 16, 64),), strict=True)
    for level, sign in {
        "graph": "graph.attention",
        "schedule": "schedule.kernel",
        "tile": "tile.mma",
        "target": "target.launch",
        "llvm": "define",
        "asm": "vfmadd",
    }.items():
        assert sign in tess.ir(level), level


def test_hybrid(block: Block) -> None:
    x = torch.randn(2, 32, 64)
    tess = ts.from_pytorch(block, example_inputs=(x,), strict=False)
    tess.attn = ts.compat.wrap(block.attn, allow_fallback=True)
    tx = ts.from_dlpack(torch.utils.dlpack.to_dlpack(x))
    y = torch.utils.dlpack.from_dlpack(ts.to_dlpack(tess(tx)))
    ours, eager = error(block, y, x)
    assert ours <= 1.5 * eager + 2.4e-7
    assert tess.attn.calls == 1
