# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""torch.autocast around and inside of converted models: the precision PyTorch would compute in."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tessera as ts

STATES = [None, torch.bfloat16, torch.float16]


def cast_to(dtype):
    return torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None)


class Mixed(nn.Module):
    """Layers that autocast lowers, that it does not, and one that no kernel is for."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(8, 16), nn.LayerNorm(16)
        self.conv = nn.Conv1d(1, 2, 3, padding=1)

    def forward(self, x):
        hidden = self.norm(nn.functional.gelu(self.first(x)))
        return self.conv(hidden[:, None]).softmax(-1), x @ x.T


def check(converted, model, *args, **kwargs):
    """As PyTorch in dtypes; in value as far from float64 as the lower precision is."""
    with torch.no_grad():
        got, want = converted(*args, **kwargs), model(*args, **kwargs)
    torch.testing.assert_close(got, want, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("converted_in", STATES)
def test_a_converted_model_follows(converted_in):
    model, x = Mixed().eval(), torch.randn(4, 8)
    with cast_to(converted_in):
        tess = ts.from_pytorch(model, (x,))
    for _ in range(3):
        for dtype in STATES:
            with cast_to(dtype):
                check(tess, model, x)
    # One program a precision, each kept.
    assert len(tess._programs) == 3


def test_the_quick_ways_follow():
    """Plain tensors by position and by keyword, after the first calls."""
    model, x = nn.Linear(8, 8).eval(), torch.randn(2, 8)
    tess, wrapped = ts.from_pytorch(model, (x,)), ts.compat.wrap(model)
    for _ in range(3):
        for dtype in STATES:
            with cast_to(dtype):
                for module in (tess, wrapped):
                    assert module(x).dtype == module(input=x).dtype == (dtype or torch.float32)
                    check(module, model, x)
                    check(module, model, input=x)
                    check(module, model, nn.Parameter(x, requires_grad=False))


def test_reports_name_the_users_lines():
    model, x = Mixed().eval(), torch.randn(4, 8)
    tess = ts.from_pytorch(model, (x,))
    with cast_to(torch.bfloat16):
        tess(x)
        rows = {row.op: row for row in tess.report.nodes}
    assert rows["aten.linear.default"].fqn == "first"
    assert tess.report.mode == "compiled"


class Region(nn.Module):
    """A region of its own around a child that may be replaced."""

    def __init__(self):
        super().__init__()
        self.child = nn.Linear(8, 8)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = self.child(x)
        return inside, self.child(x)


# Not float16: PyTorch itself mixes the two precisions up there.
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_replaced_children_see_the_state_of_their_place(dtype):
    model, x = Region().eval(), torch.randn(2, 8)
    tess = ts.from_pytorch(model, (x,))
    tess.child = ts.compat.wrap(model.child)
    with cast_to(dtype):
        check(tess, model, x)
        check(tess, model, x)


class Branching(nn.Module):
    """Its forward stays Python."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        return self.left(x) if float(x.sum()) > 0 else self.right(x)


@pytest.mark.parametrize("dtype", STATES)
def test_module_wise(dtype):
    model, x = Branching().eval(), torch.ones(2, 8)
    tess = ts.from_pytorch(model, (x,))
    with cast_to(dtype):
        check(tess, model, x)
        check(tess, model, -x)
    check(tess, model, x)


def test_disabled_regions_stay_in_float32():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            with torch.autocast("cpu", enabled=False):
                return self.fc(x), (self.fc(x) @ x.T)

    model, x = Careful().eval(), torch.randn(2, 8)
    tess = ts.from_pytorch(model, (x,))
    with cast_to(torch.bfloat16):
        check(tess, model, x)
        assert tess(x)[0].dtype == torch.float32


def test_functions_compute_in_their_operands_dtype():
    """ts.ops and ts.nn have no autocast, whether Tessera computes or PyTorch does."""
    image, kernel = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    with cast_to(torch.bfloat16):
        assert ts.ops.matmul(image, image).dtype == torch.float32
        assert ts.nn.conv2d(image, kernel).dtype == torch.float32
