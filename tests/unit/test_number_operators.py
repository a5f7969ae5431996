# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ATen's operators on numbers, and operators that look at data, called by their names in ATen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from calling import Calling
from torch import Tensor

import tessera as ts

aten = torch.ops.aten

NUMBERS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "add": lambda i, f: (aten.add.int(i.item(), 2), aten.add.float_int(f.item(), i.item())),
    "div": lambda i, f: (aten.div.int(i.item(), 2), aten.div.float(f.item(), 4.0)),
    "floordiv": lambda i, f: aten.floordiv.int(i.item(), 2),
    "remainder": lambda i, f: (aten.remainder.int(i.item(), 2), aten.fmod.float(f.item(), 2.0)),
    "compare": lambda i, f: (aten.gt.int(i.item(), 3), aten.le.float_int(f.item(), i.item())),
    "round": lambda i, f: (aten.ceil.float(f.item()), aten.floor.float(f.item())),
    "sqrt": lambda i, f: (aten.sqrt.int(i.item()), aten.sqrt.float(f.item())),
    "functions": lambda i, f: (aten.exp.float(f.item()), aten.log.int(i.item())),
    "product": lambda i, f: (aten.mul.int(i.item(), 2), aten.neg.float(f.item())),
    "read": lambda i, f: (aten.Int.Tensor(i), aten.Float.Tensor(f), aten.FloatImplicit(f)),
    "truth": lambda i, f: aten.Bool.Tensor(i > 3),
    "made": lambda i, f: (aten.Int.float(f.item()), aten.Float.int(i.item())),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_operators_on_numbers(name: str) -> None:
    function = NUMBERS[name]
    converted = ts.from_pytorch(
        Calling(function), (torch.tensor(3), torch.tensor(2.5)), strict=True
    )
    for i, f in ((3, 2.5), (8, 0.25)):
        given = torch.tensor(i), torch.tensor(f)
        wanted, got = function(*given), converted(*given)
        torch.testing.assert_close(got, wanted)
        for ours, theirs in zip(*map(_several, (got, wanted)), strict=True):
            assert type(ours) is type(theirs)


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


LOOKING: dict[str, Callable[[Tensor], Any]] = {
    "cov": lambda x: aten.cov.default(x),
    "corrcoef": lambda x: aten.corrcoef(x),
    "equal": lambda x: aten.equal.default(x, x * 1),
    "allclose": lambda x: aten.allclose(x, x + 1),
    "combinations": lambda x: aten.combinations(x[0], 2),
    "one_hot": lambda x: aten.one_hot.default(x.abs().to(torch.int64)),
    "narrow": lambda x: aten.narrow.Tensor(x, 1, torch.tensor(1), 2),
    "tensor_split": lambda x: aten.tensor_split.tensor_indices_or_sections(
        x, torch.tensor([1, 3]), 1
    ),
    "shape": lambda x: aten._shape_as_tensor(x),
}


@pytest.mark.parametrize("name", LOOKING)
def test_operators_that_look_at_data(name: str) -> None:
    function, x = LOOKING[name], torch.randn(3, 4)
    converted = ts.from_pytorch(Calling(function), (x,), strict=True)
    torch.testing.assert_close(converted(x), function(x))
