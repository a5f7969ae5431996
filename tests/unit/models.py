# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Small models the tests of the front door share."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


@torch.library.custom_op("tests::foreign", mutates_args=())
def foreign(x: torch.Tensor) -> torch.Tensor:
    """An operator that only PyTorch knows."""
    return x.flip(-1) + 1


foreign.register_fake(torch.empty_like)


class Block(nn.Module):
    """The guide's Mini-Transformer block."""

    def __init__(self, d: int, nhead: int, mlp: int = 4) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(d)
        self.attn = nn.MultiheadAttention(d, nhead, batch_first=True)
        self.ln2 = nn.LayerNorm(d)
        self.ffn = nn.Sequential(nn.Linear(d, mlp * d), nn.GELU(), nn.Linear(mlp * d, d))

    def forward(self, x: torch.Tensor, attn_mask: Any = None) -> torch.Tensor:
        h = self.ln1(x)
        a, _ = self.attn(h, h, h, attn_mask=attn_mask, need_weights=False)
        x = x + a
        h = self.ln2(x)
        return x + self.ffn(h)


class Mutating(nn.Module):
    """Writes to a buffer and to its input, and returns views of both and of a result."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))
        self.scale = torch.ones(3)

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        self.count += 1
        x.mul_(2)
        row = x[0]
        row.add_(1)
        fresh = x * 3
        return {
            "input": x,
            "views": (x.t(), row),
            "buffer": self.count,
            "fresh": fresh,
            "of_fresh": fresh.t(),
            "constant": torch.tensor([1.0, 2.0, 3.0]) * self.scale,
            "plain": (None, 3, "text", x.shape[0]),
        }


class Tied(nn.Module):
    """Two names for one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(index))


class Branching(nn.Module):
    """Cannot be captured: a Python if on data."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:  # the line the messages must name
            return self.linear(x)
        return x


class BranchingInside(nn.Module):
    """Its middle child cannot be captured."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.middle = Branching()
        self.last = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.middle(self.first(x)))


@torch.library.custom_op("tessera_tests::kept", mutates_args=())
def kept(x: torch.Tensor) -> torch.Tensor:
    """An operator that no lowering knows, now or later."""
    return x.flip(0)


@kept.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


class Unconverted(nn.Module):
    """Two operators without a lowering, apart from one another, among others that have one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x)
        factor = torch.linalg.ldl_factor(y @ y.t() + torch.eye(4)).LD
        spectrum = foreign(factor.relu())
        return self.linear(spectrum.abs())
