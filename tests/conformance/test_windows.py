# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Pooling and the convolutions that are products of matrices, against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import Case, check, values
from torch import Tensor

import tessera as ts

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


def _conv(name: str, function: Callable[..., Any], *inputs: Tensor) -> Case:
    return Case(name, function, inputs, rtol=1e-5, atol=5e-5)


def test_convolutions() -> None:
    image, line = values(2, 6, 12, 15), values(2, 6, 40)
    pixel, patch = values(5, 6, 1, 1), values(8, 6, 4, 3)
    bias5, bias8 = values(5), values(8)
    check(
        [
            _conv("pixelwise", F.conv2d, image, pixel),
            _conv("pixelwise bias", F.conv2d, image, pixel, bias5),
            _conv("pixelwise stride", lambda x, w: F.conv2d(x, w, stride=(2, 3)), image, pixel),
            _conv("pixelwise same", lambda x, w: F.conv2d(x, w, padding="same"), image, pixel),
            _conv("patches", lambda x, w, b: F.conv2d(x, w, b, (4, 3)), image, patch, bias8),
            _conv(
                "patches cut",
                lambda x, w: F.conv2d(x, w, None, (4, 3)),
                image[:, :, :11, :14],
                patch,
            ),
            _conv("patches apart", lambda x, w, b: F.conv2d(x, w, b, (5, 4)), image, patch, bias8),
            _conv(
                "patches valid", lambda x, w: F.conv2d(x, w, None, (4, 4), "valid"), image, patch
            ),
            _conv(
                "one window", lambda x, w: F.conv2d(x, w, None, (4, 3)), image[:, :, :4, :3], patch
            ),
            _conv("unbatched", lambda x, w: F.conv2d(x, w, None, (4, 3)), image[0], patch),
            _conv("1d pixelwise", F.conv1d, line, values(5, 6, 1), bias5),
            _conv("1d patches", lambda x, w: F.conv1d(x, w, stride=5), line, values(5, 6, 5)),
            _conv(
                "3d patches",
                lambda x, w: F.conv3d(x, w, stride=2),
                values(2, 3, 4, 6, 8),
                values(4, 3, 2, 2, 2),
            ),
            _conv(
                "embedding",
                lambda x, w, b: F.conv2d(x, w, b, (4, 3)).flatten(2).transpose(1, 2),
                image,
                patch,
                bias8,
            ),
        ]
    )


def test_other_convolutions_are_islands_with_a_reason() -> None:
    class Model(torch.nn.Module):
        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 8, 3, **options)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.conv(x) + 1)

    x = values(1, 4, 9, 9)
    for options, reason in (
        ({}, "overlapping windows"),
        ({"padding": 1, "stride": 3}, "padding"),
        ({"groups": 2, "stride": 3}, "groups"),
    ):
        model = Model(**options).eval()
        with torch.no_grad():
            converted = ts.from_pytorch(model, example_inputs=(x,))
            torch.testing.assert_close(converted(x), model(x))
        reasons = [row.reason for row in converted.report.nodes if row.status == "island"]
        assert len(reasons) == 1
        assert reason in reasons[0]
