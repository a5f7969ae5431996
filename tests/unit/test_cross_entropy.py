# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Losses that read one element of each row of a log_softmax."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import tessera as ts


class Loss(nn.Module):
    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.options = options

    def forward(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(x, target, **self.options)


@pytest.mark.parametrize(
    "options", [{}, {"reduction": "none"}, {"reduction": "sum", "ignore_index": 3}], ids=str
)
def test_rows_are_not_written(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    x, target = torch.randn(70, 501) * 30, torch.randint(0, 501, (70,))
    target[5] = options.get("ignore_index", -100)
    model = Loss(options).eval()
    tess = ts.from_pytorch(model, example_inputs=(x, target), strict=True)
    wanted = model(x.double(), target)
    error = (tess(x, target) - wanted).abs().max()
    assert error <= max(2 * (model(x, target) - wanted).abs().max(), 1e-5 * wanted.abs().max())
    assert "log_softmax" not in tess.ir("graph")


def test_rows_without_a_largest_number() -> None:
    x, target = torch.randn(4, 9), torch.tensor([1, 2, 3, 4])
    x[1], x[2, 3], x[3, 0] = -float("inf"), float("inf"), float("nan")
    model = Loss({"reduction": "none"}).eval()
    tess = ts.from_pytorch(model, example_inputs=(x, target), strict=True)
    torch.testing.assert_close(tess(x, target), model(x, target), equal_nan=True)
    with pytest.raises(IndexError):
        tess(x, torch.tensor([1, 2, 3, 9]))
