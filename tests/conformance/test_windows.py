# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pooling against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import Case, check, values
from torch import Tensor

POOLS: dict[str, Callable[[Tensor], Any]] = {
    "max": lambda x: F.max_pool2d(x, 3),
    "max stride": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max uneven": lambda x: F.max_pool2d(x, (2, 3), (1, 2), (1, 0)),
    "max dilated": lambda x: F.max_pool2d(x, 2, 1, 0, 2),
    "max ceil": lambda x: F.max_pool2d(x, 3, 2, 1, 1, True),
    "max whole": lambda x: F.max_pool2d(x, (9, 11)),
    "max 1d": lambda x: F.max_pool1d(x[0], 3, 2),
    "max 3d": lambda x: F.max_pool3d(x, 2),
    "average": lambda x: F.avg_pool2d(x, 3),
    "average stride": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "average inside": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "average ceil": lambda x: F.avg_pool2d(x, 4, 3, 1, True),
    "average ceil inside": lambda x: F.avg_pool2d(x, 4, 3, 1, True, False),
    "average divisor": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "average 1d": lambda x: F.avg_pool1d(x[0], 4, 2, 1),
    "average 3d": lambda x: F.avg_pool3d(x, 2),
    "adaptive to one": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive none": lambda x: F.adaptive_avg_pool2d(x, (None, 2)),
    "adaptive 1d": lambda x: F.adaptive_avg_pool1d(x[0], 3),
    "adaptive same": lambda x: F.adaptive_avg_pool2d(x, (9, 11)),
    "unbatched": lambda x: F.avg_pool2d(x[0], 2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_pools(dtype: torch.dtype) -> None:
    x = values(2, 3, 9, 11, dtype=dtype)
    atol = 1e-2 if dtype == torch.bfloat16 else 2e-6
    # torch has no average over volumes in half precision.
    skipped = {"average 3d"} if dtype == torch.bfloat16 else set()
    check(
        [
            Case(name, function, [x], atol=atol)
            for name, function in POOLS.items()
            if name not in skipped
        ]
    )


def test_pools_of_special_values() -> None:
    x = values(1, 2, 6, 6)
    x[0, 0, 2, 2], x[0, 1, 0, 0], x[0, 1, 5, 5] = torch.nan, -torch.inf, torch.inf
    names = ["max", "max stride", "max dilated", "average"]
    check([Case(name, POOLS[name], [x], exact=True) for name in names])
