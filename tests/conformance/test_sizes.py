# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One conversion of an operator for all sizes: a slice of the sweep of `make conformance`."""

from __future__ import annotations

import pytest
import torch
from op_samples import Sample, operator_samples
from sizes import dynamic_dims, families, other_sizes, resized
from verdict import PASS
from verdict_sizes import judge_sizes

#: One or two of each family of operators, and what once failed.
NAMES = (
    "add", "argwhere", "bmm", "cat", "cumsum", "fft.irfft2", "gather", "linalg.cholesky_ex",
    "masked_select", "nn.functional.conv2d", "nn.functional.interpolate.bilinear",
    "nn.functional.layer_norm", "nn.functional.max_pool1d", "nn.functional.pad.replicate_negative",
    "nn.functional.scaled_dot_product_attention", "reshape", "softmax", "sort", "sum",
    "torch.ops.aten._safe_softmax.default",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_operator(name: str) -> None:
    # The largest family, of which most can change.
    family = max(families(operator_samples(name, torch.float32)), key=_freedom)
    verdict = judge_sizes(family)
    assert verdict.status == PASS, verdict.reason


def _freedom(family: list[Sample]) -> tuple[int, int]:
    return sum(map(len, dynamic_dims(family[0])["tensors"])), len(family)


def test_sizes_that_belong_together_change_together() -> None:
    family = families(operator_samples("bmm", torch.float32))[0]
    for sample in other_sizes(family[0]):
        left, right = sample.args
        assert left.shape[0] == right.shape[0]
        assert left.shape[2] == right.shape[1]


def test_a_grown_matrix_stays_regular() -> None:
    matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    assert torch.linalg.cholesky_ex(resized(matrix, (5, 5))).info == 0
    assert resized(torch.tensor([3, 4]), (5,)).tolist() == [3, 4, 3, 4, 3]
