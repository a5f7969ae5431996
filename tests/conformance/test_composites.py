# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Composites beyond one sample of PyTorch's lists: distances, recurrences, transforms, strides."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from harness import Case, check, values
from op_samples import Sample
from torch import Tensor, nn
from verdict import PASS, judge


def test_distances() -> None:
    x, y = values(3, 40, 7), values(3, 30, 7, seed=1)
    check(
        [Case(f"cdist {p}", lambda a, b, p=p: torch.cdist(a, b, p=p), [x, y])
         for p in (0.0, 1.0, 1.5, 2.0, float("inf"))]
        + [
            # Enough of them for a product of matrices, whose difference of squares rounds.
            Case("cdist many", torch.cdist, [values(300, 64), values(300, 64, seed=2)], atol=1e-4),
            Case("cdist of nothing", torch.cdist, [values(3, 0), values(4, 0)]),
            Case("bilinear", F.bilinear,
                 [values(2, 5, 3), values(2, 5, 4), values(6, 3, 4), values(6)]),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("rows", [1, 2, 3, 90])
def test_all_pairs(rows: int) -> None:
    """The rows of each pair come from a root, which rounds."""
    check([Case("pdist", F.pdist, [values(rows, 3)])])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(5, 6, num_layers=2, bidirectional=True),
        nn.LSTM(5, 6, proj_size=3, batch_first=True),
        nn.GRU(5, 6, num_layers=2, bias=False, bidirectional=True),
        nn.RNN(5, 6, nonlinearity="relu", batch_first=True),
    ],
    ids=["lstm", "projected", "gru", "rnn"],
)
def test_recurrences(module: nn.Module, dtype: torch.dtype) -> None:
    verdict = judge(Sample("", module.to(dtype).eval(), (values(4, 3, 5, dtype=dtype),)))
    assert verdict.status == PASS, verdict.reason


def test_recurrences_of_too_many_steps_are_refused() -> None:
    verdict = judge(Sample("", nn.GRU(2, 2), (values(5000, 1, 2),)), hybrid=False)
    assert verdict.status == "refused"
    assert "5000 steps" in verdict.reason


class _Statistics(nn.Module):
    def __init__(self, norm: str) -> None:
        super().__init__()
        self.norm = norm
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("variance", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        function = getattr(F, self.norm)
        return function(x, self.mean, self.variance, None, None, True, momentum=0.3)


@pytest.mark.parametrize("norm", ["batch_norm", "instance_norm"])
def test_statistics_that_a_norm_is_given_are_updated(norm: str) -> None:
    """Their operators do not say in their schema that they write."""
    verdict = judge(Sample("", _Statistics(norm), (values(4, 3, 8),)))
    assert verdict.status == PASS, verdict.reason


def test_transforms_to_real_numbers() -> None:
    x = values(3, 5, 6)
    check(
        [
            Case("irfft", torch.fft.irfft, [x]),
            Case("odd", lambda x: torch.fft.irfft(x, 7, dim=1, norm="ortho"), [x]),
            Case("longer", lambda x: torch.fft.irfft(x, 20), [x]),
            Case("irfft2", lambda x: torch.fft.irfft2(x, s=(4, 9)), [x]),
            Case("irfftn", torch.fft.irfftn, [x]),
            Case("hfft", torch.fft.hfft, [x]),
            Case("hfftn", lambda x: torch.fft.hfftn(x, norm="forward"), [x]),
        ]
    )


def test_strides_are_those_of_the_source() -> None:
    x = values(4, 6)
    check(
        [
            Case("as_strided", lambda x: x.as_strided((3, 2), (4, 5), 2), [x]),
            Case("of a transposed", lambda x: x.t().as_strided((6, 4), (1, 6)), [x]),
            Case("computed", lambda x: (x.t() * 2).as_strided((5, 2), (3, 1), 1), [x]),
            Case("written", lambda x, y: torch.as_strided_scatter(x, y, (2, 3), (7, 2)),
                 [x, values(2, 3, seed=1)]),
        ]
    )  # fmt: skip
