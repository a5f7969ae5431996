# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Steps of decoding: attention that extends the cache of keys and values it reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tessera as ts


class Step(nn.Module):
    """Attention of new queries over a cache and the rows behind it."""

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, k1: Tensor, v1: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        k, v = torch.cat((k, k1), dim=-2), torch.cat((v, v1), dim=-2)
        grouped = q.shape[-3] != k.shape[-3]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=grouped)
        return y, k, v


def make(
    heads: int, shared: int, queries: int, keys: int, new: int, depth: int, columns: int
) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    sizes = ((heads, queries, depth), (shared, keys, depth), (shared, keys, columns))
    sizes += ((shared, new, depth), (shared, new, columns))
    return tuple(torch.randn(2, *size) for size in sizes)


def convert(arguments: tuple[Any, ...]) -> ts.Module:
    return ts.from_pytorch(Step().eval(), example_inputs=arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("mask", ["none", "added", "bool"])
@pytest.mark.parametrize(
    "sizes",
    [
        (12, 12, 1, 300, 1, 64, 64),
        (8, 2, 1, 37, 1, 64, 64),
        (4, 2, 2, 50, 3, 40, 48),
        (4, 4, 1, 3, 5, 64, 32),
        (2, 2, 3, 20, 2, 16, 192),
    ],
)
def test_one_kernel_extends_and_reads(
    sizes: tuple[int, ...], mask: str, dtype: torch.dtype
) -> None:
    arguments = tuple(t.to(dtype) for t in make(*sizes))
    shape = sizes[2], sizes[3] + sizes[4]
    if mask != "none":
        added = torch.randn(shape)
        arguments += (added > -1 if mask == "bool" else added.to(dtype),)
    model = convert(arguments)
    y, k, v = model(*arguments)
    exact = Step()(*(t.double() if t.is_floating_point() else t for t in arguments))
    eager = Step()(*arguments)
    assert torch.equal(k, eager[1])
    assert torch.equal(v, eager[2])
    error = (eager[0].double() - exact[0]).abs().max().item()
    assert (y.double() - exact[0]).abs().max().item() <= 2 * error + 1e-6
    kernels = model.ir("schedule").split("schedule.kernel ")
    assert [k.partition("(")[0] for k in kernels if "graph.concat" in k] == ["attention"]


def test_caches_past_the_processor_s() -> None:
    arguments = make(8, 8, 1, 2500, 1, 64, 64)
    model = convert(arguments)
    assert "stream = true" in model.ir("schedule")
    for threads in (1, 2):
        before = ts.get_num_threads()
        ts.set_num_threads(threads)
        y, k, v = model(*arguments)
        ts.set_num_threads(before)
        eager = Step()(*arguments)
        assert torch.equal(k, eager[1])
        assert torch.equal(v, eager[2])
        torch.testing.assert_close(y, eager[0])
