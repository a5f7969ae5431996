# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rows of intermediate results that lie with gaps: whoever reads them reads the rows alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tessera as ts
from tessera import _core
from tessera.tuning.bench import Bench


class Wide(nn.Module):
    """Rows of 4 KB that products, norms, attention, reductions and elementwise ops read."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.mix, self.down = (
            nn.Linear(24, 1024),
            nn.Linear(1024, 1024),
            nn.Linear(1024, 24),
        )
        self.norm = nn.LayerNorm(1024)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h = F.gelu(self.up(x))
        y = self.norm(h + self.mix(h))
        heads = y.unflatten(-1, (16, 64)).transpose(-3, -2)
        z = F.scaled_dot_product_attention(heads, heads, heads).transpose(-3, -2).flatten(-2)
        return self.down(z), h.sum(-2), (y[..., 3:700:2] * 2).flatten(-2)


@pytest.mark.parametrize("rows", [(9,), (3, 17)])
def test_readers_of_padded_rows(rows: tuple[int, ...]) -> None:
    model, x = Wide().eval(), torch.randn(*rows, 24)
    compiled = ts.from_pytorch(model, example_inputs=(x,))
    assert "1040" in compiled.ir("schedule")
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)


def test_padded_rows_of_any_number() -> None:
    model = Wide().eval()
    rows = torch.export.Dim("rows", max=64)
    x = torch.randn(12, 24)
    compiled = ts.from_pytorch(model, example_inputs=(x,), dynamic_shapes=({0: rows},))
    for count in (1, 7, 8, 12, 33):
        x = torch.randn(count, 24)
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)


def test_tuning_compares_rows_without_gaps() -> None:
    model = nn.Sequential(nn.Linear(32, 1024), nn.GELU(), nn.Linear(1024, 32)).eval()
    compiled = ts.from_pytorch(model, example_inputs=(torch.randn(64, 32),), tune="off")
    kernels = _core.tunable_kernels(compiled._current.program.compiled)
    benches = [Bench(kernel, 1, cold=False) for kernel in kernels]
    assert any("1040" in kernel.module for kernel in kernels)
    assert [kernel.shape for kernel in kernels] == [
        "64x32 · 1024x32 float32",
        "64x1024 · 32x1024 float32",
    ]
    shapes = {tuple(result.shape) for bench in benches for result in bench._expected}
    assert shapes == {(64, 1024), (64, 32)}
