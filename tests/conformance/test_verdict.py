# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The judge of the sweep sees what is wrong, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from op_samples import MEANINGS, Sample
from torch import Tensor, nn
from verdict import Mismatch, Wanted

X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


class Giving(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.__dict__["_original"] = self

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def _compare(wanted: Callable[..., Any], given: Callable[..., Any], x: Tensor, **more: Any) -> None:
    sample = Sample("", Giving(wanted), (x,), **more)
    with torch.no_grad():
        Wanted(sample).compare(Giving(given), sample)


SPECIAL = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0])
WRONG: dict[str, tuple[Callable[..., Any], Callable[..., Any], Tensor]] = {
    "a value": (lambda x: x * 2, lambda x: x * 2.001, X),
    "one value of many": (lambda x: x, lambda x: x.clone().index_fill_(1, torch.tensor([2]), 9), X),
    "an integer": (lambda x: x, lambda x: x + 1, torch.tensor([2**62])),
    "the dtype": (lambda x: x, lambda x: x.double(), X),
    "the shape": (lambda x: x, lambda x: x[None], X),
    "strides": (lambda x: x, lambda x: x.t().contiguous().t(), X),
    "NaN for a number": (lambda x: x, lambda x: x.nan_to_num(0), SPECIAL),
    "a number for an infinity": (lambda x: x, lambda x: x.clamp(-9, 9), SPECIAL),
    "the sign of an infinity": (lambda x: x, lambda x: x.abs(), SPECIAL),
    "results": (lambda x: (x, x), lambda x: (x,), X),
    "no tensor": (lambda x: 3, lambda x: 4, X),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str) -> None:
    wanted, given, x = WRONG[name]
    _compare(wanted, wanted, x)
    with pytest.raises(Mismatch):
        _compare(wanted, given, x)


def test_vectors_have_any_sign_and_no_other_direction() -> None:
    def svd(x: Tensor) -> Any:
        return tuple(torch.linalg.svd(x, full_matrices=False))

    def turned(x: Tensor) -> Any:
        left, values, right = svd(x)
        return -left, values, -right

    def flipped(x: Tensor) -> Any:
        left, values, right = svd(x)
        return -left, values, right

    meaning = MEANINGS["linalg.svd"]
    _compare(svd, turned, X, meaning=meaning)
    with pytest.raises(Mismatch):
        _compare(svd, flipped, X, meaning=meaning)
