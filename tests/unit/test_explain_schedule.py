# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``explain(level="schedule")``: kernels, what is in them and what is not, and their points."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from test_tuning_store import entry
from torch import nn

import tessera as ts
from tessera import _core
from tessera.tuning import stored
from tessera.tuning.point import Point
from tessera.tuning.store import Store


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(16, 64), nn.Linear(64, 16)

    def forward(self, x):
        return torch.softmax(self.down(torch.tanh(self.up(x))), -1)


@pytest.fixture
def converted():
    return ts.from_pytorch(Small().eval(), (torch.randn(8, 16),), tune="off")


def test_it_says_what_is_in_each_kernel_and_why_not_more(converted, capsys):
    converted.explain(level="schedule")
    text = capsys.readouterr().out
    assert "1. contraction of up" in text
    assert "fused: unpack, matmul, add, tanh" in text
    assert "2. contraction of down" in text
    assert "apart from tanh: this class of kernels reads its operands from memory" in text
    assert "apart from add in down: a row is whole only when all of its tiles are in memory" in text
    assert text.count("chosen by the rules (default)") == 3
    assert f"predicted: {2 * 8 * 16 * 64 / 1e6 + 2 * 8 * 64 / 1e6:.3f} MFLOP" in text


def test_equal_kernels_are_one_paragraph(capsys):
    model = nn.Sequential(*[nn.Linear(16, 16) for _ in range(3)]).eval()
    ts.from_pytorch(model, (torch.randn(4, 16),)).explain(level="schedule")
    assert "3 times" in capsys.readouterr().out


def test_it_says_where_a_point_came_from(converted, monkeypatch, capsys, tmp_path):
    own = Store(str(tmp_path))
    for module in ("tessera.tuning.stored", "tessera.tuning.api"):
        monkeypatch.setattr(f"{module}.store", lambda: own)
    monkeypatch.setattr(stored, "_made", ({}, None))
    kernel = _core.tunable_kernels(converted._current.program.compiled)[0]
    better = Point.default(kernel).changed(unroll="4")
    found = entry(
        key=kernel.key, point=str(better), default_point=kernel.standard, default_us=12.0,
        best_us=10.0, build=_core.host_info().compiler_build, created=1.75e9,
    )  # fmt: skip
    own.put([found])
    tuned = ts.from_pytorch(converted._torch, (torch.randn(8, 16),))
    tuned.explain(level="schedule")
    text = capsys.readouterr().out
    assert f"point: {better}" in text
    assert "tuned in this process (quick), 1.20x faster, in place of the rules' " in text
    assert kernel.standard in text
    own.added.clear()
    tuned.explain(level="schedule")
    assert "cached: tuned on 2025-06-15 (quick), 1.20x faster" in capsys.readouterr().out
    row = tuned.report.kernels[0]
    assert (row.schedule, row.standard, row.tuned) == (str(better), kernel.standard, kernel.key)
    assert dataclasses.asdict(row)["fused"] == ["unpack", "matmul", "add", "tanh"]


def test_other_levels_are_refused(converted):
    with pytest.raises(ValueError, match="level is 'tile'"):
        converted.explain(level="tile")


def test_functions_and_hybrid_models_are_explained(capsys):
    function = ts.jit(lambda x: ts.ops.softmax(x * 2, -1))
    function(torch.randn(4, 8))
    function.explain(level="schedule")
    assert "fused: mul, softmax" in capsys.readouterr().out

    class Data(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Small()

        def forward(self, x):
            return self.inner(x) if x.sum().item() > 0 else -x

    hybrid = ts.from_pytorch(Data().eval(), (torch.rand(8, 16),))
    hybrid(torch.rand(8, 16))
    hybrid.explain(level="schedule")
    assert "contraction of" in capsys.readouterr().out
