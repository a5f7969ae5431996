# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Long runs that only move are copied as bytes, of every element type, from and to any place."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tessera as ts

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


class Moves(nn.Module):
    def forward(self, x, y):
        grown = torch.cat([x, y], 1)
        shifted = grown[:, 3:].clone()
        twice = torch.cat([shifted, shifted], 0)
        return grown, shifted, twice, torch.stack([x, x])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_long_copies(dtype, threads):
    x, y = torch.randn(3, 700, 65).mul(3).to(dtype), torch.randn(3, 1, 65).mul(3).to(dtype)
    tess = ts.from_pytorch(Moves(), (x, y), threads=threads, strict=True)
    assert "memcpy" in tess.ir("target")
    for given in (x, torch.flip(x, [0]), x.transpose(0, 1).contiguous().transpose(0, 1)):
        for result, expected in zip(tess(given, y), Moves()(given, y), strict=True):
            assert torch.equal(result, expected)
    # The inputs stay as they were, and what was returned does as well.
    first = tess(x, y)[0]
    kept = first.clone()
    tess(torch.zeros_like(x), y)
    assert torch.equal(first, kept)
