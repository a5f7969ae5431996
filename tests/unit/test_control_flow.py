# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""torch.cond, while_loop, scan and map: compiled where no jump is needed, islands elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from equality import assert_same
from models import foreign
from torch import nn
from torch._higher_order_ops.map import map as torch_map
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.utils.checkpoint import checkpoint

import tessera as ts
from tessera.lowering.control import MAX_UNROLLED_NODES, RAISING

ROOT = Path(__file__).resolve().parents[2]


class Model(nn.Module):
    """A function as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.linear = nn.Linear(4, 4)

    def forward(self, *args):
        return self.function(self, *args)


def converted(function, *args, compiled=True):
    """The converted function, which gave PyTorch's result on `args`."""
    model = Model(function)
    tess = ts.from_pytorch(model, args, strict=compiled)
    with torch.no_grad():
        assert_same(tess(*args), model(*args), rtol=1e-5, atol=1e-6)
    assert tess.report.mode == "compiled"
    assert tess.report.fully_converted == compiled
    return model, tess


def both_signs(function, x, *rest, compiled=True):
    model, tess = converted(function, x, *rest, compiled=compiled)
    with torch.no_grad():
        for value in (x, -x, x * 0):
            assert_same(tess(value, *rest), model(value, *rest), rtol=1e-5, atol=1e-6)
    return tess


# --- cond -------------------------------------------------------------------------------------


def test_both_branches_of_a_cond_are_computed_and_one_chosen():
    def function(self, x, y):
        picked, extra = torch.cond(
            x.sum() > 0,
            lambda a, b: (self.linear(a) + b, a.sum(0)),
            lambda a, b: (a * b, (a - 1).sum(0)),
            (x, y),
        )
        return picked * 2, extra

    tess = both_signs(function, torch.rand(3, 4), torch.randn(3, 4))
    assert "graph.select" in tess.ir("graph")
    (row,) = [row for row in tess.report.nodes if row.op == "cond"]
    assert row.status == "decomposed"


def test_what_the_branch_not_taken_makes_of_its_operands_does_no_harm():
    def function(self, x):
        return torch.cond(x.sum() > 0, lambda y: y.log(), lambda y: 1 / (y - y), (x,))

    tess = both_signs(function, torch.rand(3, 4) + 0.1)
    assert torch.isfinite(tess(torch.rand(3, 4) + 0.1)).all()


def test_conds_inside_of_conds():
    def inner(y):
        return torch.cond(y.max() > 2, lambda z: z * 3, lambda z: z.relu(), (y,))

    def function(self, x):
        return torch.cond(x.sum() > 0, inner, lambda y: y - 1, (x,))

    both_signs(function, torch.rand(3, 4) * 3)


def test_a_condition_with_one_element():
    def function(self, x):
        return torch.cond((x.sum() > 0).reshape(1), lambda y: y + 1, lambda y: y - 1, (x,))

    both_signs(function, torch.rand(3, 4))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            lambda self, x, i: torch.cond(
                x.sum() > 0, lambda a, b: a[b], lambda a, b: a[:2] * 1, (x, i)
            ),
            "graph.gather may end in an error",
        ),
        (
            lambda self, x, i: torch.cond(
                x.sum() > 0, lambda a, b: b // (b - b + 1), lambda a, b: b * 2, (x, i)
            ),
            "graph.floor_div may end in an error",
        ),
        (
            lambda self, x, i: torch.cond(
                x.sum() > 0, lambda a, b: foreign(a), lambda a, b: a * 2, (x, i)
            ),
            "its true branch needs",
        ),
    ],
)
def test_what_may_only_run_when_it_is_taken_is_an_island(function, reason):
    tess = both_signs(function, torch.rand(3, 4), torch.tensor([0, 2]), compiled=False)
    (row,) = tess.report.unconverted
    assert row.code == "control-flow"
    assert reason in row.reason
    assert row.source.startswith("test_control_flow.py")


def test_the_branch_that_would_fail_does_not_run():
    def function(self, x, i):
        return torch.cond(i.max() < 3, lambda a, b: a[b], lambda a, b: a[:2] * 1, (x, i))

    model, tess = converted(function, torch.randn(3, 4), torch.tensor([0, 2]), compiled=False)
    x, i = torch.randn(3, 4), torch.tensor([0, 7])
    assert_same(tess(x, i), model(x, i))


def test_expensive_branches_are_an_island():
    def function(self, x):
        return torch.cond(x.sum() > 0, lambda y: y @ y @ y, lambda y: y @ y.T, (x,))

    tess = both_signs(function, torch.rand(320, 320), compiled=False)
    assert "only one is needed" in tess.report.unconverted[0].reason


def test_the_ops_that_may_raise_are_those_whose_description_says_so():
    files = sorted((ROOT / "compiler/graph/ir").glob("Graph*.td"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    definitions = re.split(r"^def ", text, flags=re.MULTILINE)[1:]
    raising = {
        re.search(r'<"(\w+)"', item)[1]
        for item in definitions
        if re.search(r"is\s+an\s+error\s+when\s+the\s+program\s+runs", item)
    }
    assert raising == RAISING


# --- loops ------------------------------------------------------------------------------------


def test_scan():
    def function(self, x, h):
        def step(carry, item):
            new = torch.tanh(self.linear(carry)) + item
            return new, (new * 2, item.sum())

        last, (all_of_them, sums) = scan(step, h, x, dim=0)
        return last, all_of_them + 1, sums

    tess = converted(function, torch.randn(6, 2, 4), torch.randn(2, 4))[1]
    assert [row.status for row in tess.report.nodes if row.op == "scan"] == ["decomposed"]


def test_scan_backwards_over_another_dimension():
    def function(self, x, h):
        return scan(lambda c, v: (c * 0.5 + v, c.sin()), h, x, dim=1, reverse=True)

    converted(function, torch.randn(3, 5, 4), torch.randn(3, 4))


def test_long_scans_are_islands():
    length = MAX_UNROLLED_NODES // 2 + 1

    def function(self, x, h):
        return scan(lambda c, v: (c * 0.5 + v, c + 1), h, x, dim=0)

    _, tess = converted(function, torch.randn(length, 2), torch.randn(2), compiled=False)
    assert f"{length} rounds" in tess.report.unconverted[0].reason


def test_map():
    def function(self, x, y):
        return torch_map(lambda a, b: self.linear(a) * b, x, y)

    converted(function, torch.randn(3, 2, 4), torch.randn(4))


@pytest.mark.parametrize("start", [lambda: 0, lambda: torch.tensor(0), lambda: torch.zeros(())])
def test_loops_that_count(start):
    def function(self, x):
        _, value = while_loop(
            lambda i, v: i < 5, lambda i, v: (i + 1, self.linear(v).relu() + v), (start(), x)
        )
        return value

    tess = converted(function, torch.randn(2, 4))[1]
    assert tess.ir("graph").count("graph.matmul") == 5


def test_loops_that_never_run():
    def function(self, x):
        return while_loop(
            lambda i, v: i < 0, lambda i, v: (i + 1, v * 2), (torch.tensor(0), x * 1)
        )[1]

    converted(function, torch.randn(2, 4))


def test_loops_that_depend_on_data_are_islands():
    def function(self, x):
        return while_loop(
            lambda i, v: v.sum() < 50, lambda i, v: (i + 1, v * 2), (torch.tensor(0), x)
        )

    model, tess = converted(function, torch.rand(2, 4), compiled=False)
    x = torch.rand(2, 4) * 9
    assert_same(tess(x), model(x))
    assert "depends on data" in tess.report.unconverted[0].reason


def test_regions_that_are_only_called():
    def function(self, x):
        with torch.no_grad():
            y = x * 2
        return checkpoint(lambda z: self.linear(z).relu(), y, use_reentrant=False) + 1

    converted(function, torch.randn(2, 4))


def test_cond_under_torch_compile():
    def function(x):
        return torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,))

    torch._dynamo.reset()
    fast = torch.compile(function, backend="tessera")
    for x in (torch.ones(3), -torch.ones(3)):
        assert_same(fast(x), function(x))
    assert ts.compat.compiled_graphs()[-1].report.fully_converted
