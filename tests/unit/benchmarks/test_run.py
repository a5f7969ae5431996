# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""benchmarks/run.py and zoo.py: what is timed computes the case."""

from __future__ import annotations

import pytest
import torch
from benchmarks import mobilenet, peers, run, zoo
from benchmarks.architectures import settle

import tessera as ts


def test_a_result_of_another_shape_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.PEERS, "empty", lambda *_: lambda: torch.empty(0, 10))
    case = next(case for case in zoo.MODELS if case.name == "tiny mlp 1x64")
    row = run.measure_case(case, ["eager", "empty"], 1, 1)
    assert list(row.round.series) == ["eager"]
    assert row.missing["empty"] == "wrong: a result of (0, 10)"


def test_mobilenet_has_the_sizes_of_its_paper() -> None:
    model = mobilenet.MobileNetV3()
    assert sum(p.numel() for p in model.parameters()) == 5_483_032  # 5.4 M in the paper


def test_mobilenet_computes_what_float64_does() -> None:
    torch.manual_seed(0)
    model = mobilenet.MobileNetV3(mobilenet.LARGE[2:6] + mobilenet.LARGE[10:13], classes=7)
    x = torch.randn(2, 3, 64, 64)
    settle(model, {"x": x})
    model.eval()
    compiled = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    result = compiled(x)
    with torch.no_grad():
        expected = model.double()(x.double())
    torch.testing.assert_close(result.double(), expected, rtol=1e-4, atol=1e-5)
