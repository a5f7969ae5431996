# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What tess.profile(x) says about where the time goes."""

from __future__ import annotations

import json
import re

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
