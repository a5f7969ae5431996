# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What tess.profile(x) says about where the time goes."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import nn

import tessera as ts

LIBRARY = torch.library.Library("tessera_hotspots", "DEF")
LIBRARY.define("slow(Tensor x) -> Tensor")
LIBRARY.impl("slow", lambda x: torch.linalg.matrix_power(x, 40), "CompositeExplicitAutograd")
torch.library.register_fake("tessera_hotspots::slow", lambda x: torch.empty_like(x), lib=LIBRARY)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x):
        return self.last(torch.ops.tessera_hotspots.slow(self.inner(x)))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.much = nn.Sequential(*[nn.Linear(256, 256) for _ in range(4)])
        self.little = nn.Linear(256, 2)

    def forward(self, x):
        x = self.much(x)
        return self.little(x) if x.sum() > 0 else self.little(-x)


def test_islands_and_what_promoting_them_saves():
    x = torch.randn(64, 64)
    tess = ts.from_pytorch(Model().eval(), (x,))
    assert tess.report.hotspots == []
    report = tess.profile(x)
    first, *_, last = report.hotspots
    assert re.match(
        r"\d+ % of the time \([\d.]+ .s\) is in PyTorch for tessera_hotspots.slow.default, which "
        r"promoting it would save at most: register a lowering",
        first,
    )
    assert re.search(r"is the contraction kernel of (inner|last)", last)
    assert first in str(report)
    assert json.loads(report.to_json())["hotspots"] == report.hotspots


def test_replaced_submodules_are_not_in_pytorch():
    model = Model().eval()
    x = torch.randn(64, 64)
    tess = ts.from_pytorch(model, (x,))
    tess.inner = ts.compat.wrap(model.inner)
    lines = tess.profile(x).hotspots
    assert any(line.endswith("is in the submodule inner, which was replaced") for line in lines)


def test_a_forward_that_stays_python_names_its_submodules():
    x = torch.randn(512, 256)
    tess = ts.from_pytorch(Branching().eval(), (x,))
    assert tess.report.mode == "hybrid"
    tess(x)
    report = tess.profile(x)
    assert report.children["much"].timings["call"] > 0
    assert re.search(r"% of the time \(.*\) is in much", report.hotspots[0])
    assert report.hotspots[-1].endswith("is forward() itself, which stays Python")
    torch.testing.assert_close(tess(x), Branching.forward(tess._torch, x), rtol=1e-4, atol=1e-4)


class Selecting(nn.Module):
    """A size that depends on data; with `slow`, from an operator that only PyTorch has."""

    def __init__(self, ask: str = "mask") -> None:
        super().__init__()
        self.ask, self.first, self.last = ask, nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.first(x)
        if self.ask == "island":
            x = torch.ops.tessera_hotspots.slow(x[:, :8][:8])
        chosen = x[x[:, 0] > 0] if self.ask != "unique" else x.unique_consecutive(dim=0)
        return self.last(chosen)


@pytest.mark.parametrize("ask", ["mask", "island", "unique"])
def test_every_row_of_a_size_that_depends_on_data_is_measured(ask):
    model = Selecting(ask).eval()
    x = torch.randn(8, 8)
    tess = ts.from_pytorch(model, (x,), strict=False)
    # The second one has another size than the example.
    for given in (x, torch.randn(8, 8)):
        report = tess.profile(given)
        rows = [*report.kernels, *report.islands]
        assert all(row.measured_us is not None for row in rows), str(report)
        assert any("last" in row.fqns for row in report.kernels)
        assert len({row.id for row in report.islands}) == len(report.islands)
        assert report.hotspots
        assert report.timings["call"] > 0
        assert json.loads(report.to_json())["kernels"][0]["measured_us"] is not None
        with torch.no_grad():
            torch.testing.assert_close(tess(given), model(given), rtol=1e-3, atol=1e-3)


def test_submodules_of_a_python_forward_are_measured_kernel_by_kernel():
    x = torch.randn(512, 256)
    tess = ts.from_pytorch(Branching().eval(), (x,))
    assert "compiled when it calls them" in str(tess.report)
    report = tess.profile(x)
    for child in report.children.values():
        assert child.kernels
        assert all(row.measured_us for row in child.kernels)
    spent = sum(child.timings["call"] for child in report.children.values())
    assert 0 < spent <= report.timings["call"]


def test_what_runs_uncompiled_says_where_the_report_is():
    for name in ("report", "explain", "profile", "ir"):
        with pytest.raises(AttributeError, match=r"ts\.jit\(module\)"):
            getattr(ts.nn.Linear(2, 2), name)
    for native in (ts.nn.Linear(2, 2), ts.jit(ts.nn.Linear(2, 2)), ts.jit(ts.ops.relu)):
        with pytest.raises(AttributeError, match="compares a converted PyTorch model"):
            _ = native.verify
