# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kernels are cut so that threads end at about the same time."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import tessera as ts

#: What one of two threads may be left with, of a kernel's work.
LARGEST_SHARE = 0.6


def _largest_share(units: int, grain: int) -> float:
    """Of two threads that take chunks in turn."""
    work = [0, 0]
    for begin in range(0, units, grain):
        work[work[0] > work[1]] += min(grain, units - begin)
    return max(work) / units


def _ranges(model: nn.Module, kind: str, *inputs: torch.Tensor) -> list[tuple[int, int]]:
    """Units and grain of the kernels of a class, of a program for two threads."""
    text = ts.from_pytorch(model.eval(), inputs, threads=2, tune="off").ir("target")
    found = re.findall(rf"target\.kernel @{kind}_\w+ units (\d+) grain (\d+)", text)
    return [(int(units), int(grain)) for units, grain in found]


@pytest.mark.parametrize(
    ("rows", "columns", "depth"),
    [
        (3136, 144, 24),  # a few panels of many rows
        (196, 80, 240),
        (196, 672, 112),
        (49, 160, 960),  # few of both
        (1, 240, 960),  # takes as long as its weights take to arrive
    ],
)
def test_products_are_shared_out_evenly(rows: int, columns: int, depth: int) -> None:
    linear = nn.Linear(depth, columns)
    [(units, grain)] = _ranges(linear, "contraction", torch.randn(rows, depth))
    assert _largest_share(units, grain) <= LARGEST_SHARE


def test_panels_packed_on_the_way_are_shared_out_evenly() -> None:
    class Gated(nn.Module):
        def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
            return x @ w

    tensors = torch.randn(3136, 144), torch.randn(144, 24)
    [(units, grain)] = _ranges(Gated(), "contraction", *tensors)
    assert _largest_share(units, grain) <= 0.55


@pytest.mark.parametrize(("channels", "size"), [(16, 112), (240, 28), (960, 7)])
def test_depthwise_convolutions_are_shared_out_evenly(channels: int, size: int) -> None:
    layer = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
    [(units, grain)] = _ranges(layer, "depthwise", torch.randn(1, channels, size, size))
    assert _largest_share(units, grain) <= LARGEST_SHARE


def test_a_convolution_to_few_channels_is_cut_into_rows() -> None:
    layer = nn.Conv2d(3, 16, 3, stride=2, padding=1)
    [(units, grain)] = _ranges(layer, "convolution", torch.randn(1, 3, 224, 224))
    assert units // grain >= 8
    assert _largest_share(units, grain) <= LARGEST_SHARE
