# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Numbers that a program reads from tensors and computes with: item() in the middle of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from calling import Calling
from torch import Tensor

import tessera as ts
from tessera.errors import ConversionError

X = torch.linspace(-2, 3, 12).reshape(3, 4)
CALLS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "mul": lambda x, y: x * y.item(),
    "rsub": lambda x, y: y.item() - x.abs(),
    "pow": lambda x, y: x.abs().float() ** y.item(),
    "alpha": lambda x, y: torch.add(x.float(), x.float(), alpha=y.item()),
    "where": lambda x, y: torch.where(x > 0, x, y.item()),
    "full": lambda x, y: torch.full((2,), y.item()),
    "clamp": lambda x, y: x.clamp(max=y.item()),
    "compare": lambda x, y: x > y.item(),
    "arithmetic": lambda x, y: x * (y.item() * 2 - 1) / (3 + y.item()),
    "two": lambda x, y: x * (y.item() + x.max().item()),
    "division": lambda x, y: x * (y.item() // 2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.int8])
@pytest.mark.parametrize("of", [torch.float32, torch.float64, torch.int64])
def test_a_number_is_as_weak_as_pythons(dtype: torch.dtype, of: torch.dtype) -> None:
    x = X.to(dtype)
    converted = ts.from_pytorch(
        Calling(lambda x, y: [call(x, y) for call in CALLS.values()]),
        (x, torch.tensor(3, dtype=of)),
        strict=True,
    )
    for number in (3.0, 1.75):
        y = torch.tensor(number).to(of)
        wanted = [call(x, y) for call in CALLS.values()]
        torch.testing.assert_close(converted(x, y), wanted)


def test_what_needs_the_number_itself_says_so() -> None:
    def function(x: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(x, x.max().item())

    with pytest.raises(ConversionError, match="as a Python number"):
        ts.from_pytorch(Calling(function), (X,), strict=True)
    torch.testing.assert_close(ts.from_pytorch(Calling(function), (X,))(X), function(X))
