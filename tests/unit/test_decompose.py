# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators taken apart by decompositions that write in place on the way."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._decomp import decomposition_table

import tessera as ts

LIBRARY = torch.library.Library("tessera_decompose", "FRAGMENT")


def whole(x):
    y = x.clone()
    y.add_(1)
    return y


def part_of_it(x):
    y = x.clone()
    y[0].mul_(3)
    y[:, 1] = 7
    return y


def view_of_a_view(x):
    y = x.clone()
    rows = y.t()[1:]
    rows.sub_(2)
    return y, rows * 2


def into_a_given_tensor(x):
    y = torch.empty_like(x)
    torch.add(x, 1, out=y)
    return y * 2


def unused_write(x):
    y = x.clone()
    z = y * 2
    y.zero_()
    return z


def its_argument(x):
    x.add_(1)
    return x * 2


def define(name, function):
    """A custom operator with `function` as its decomposition."""
    results = "(Tensor, Tensor)" if function is view_of_a_view else "Tensor"
    LIBRARY.define(f"{name}(Tensor x) -> {results}")
    LIBRARY.impl(name, lambda x: function(x.clone()), "CompositeExplicitAutograd")
    operator = getattr(torch.ops.tessera_decompose, name).default
    decomposition_table[operator] = function
    return operator


FUNCTIONS = [whole, part_of_it, view_of_a_view, into_a_given_tensor, unused_write]
OPERATORS = {
    function: define(function.__name__, function) for function in [*FUNCTIONS, its_argument]
}


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return OPERATORS[self.function](x.exp())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_writes_to_tensors_of_its_own_are_kept(function):
    x = torch.randn(3, 4)
    tess = ts.from_pytorch(Calls(function), (x,), strict=True)
    for _ in range(2):
        torch.testing.assert_close(tess(x), function(x.exp()))
    assert "decomposed" in {row.status for row in tess.report.nodes}


def test_a_decomposition_that_writes_to_its_argument_is_not_used():
    """The operator is declared to write nothing, so PyTorch runs it as a whole."""
    x = torch.randn(3, 4)
    tess = ts.from_pytorch(Calls(its_argument), (x,))
    for _ in range(2):
        torch.testing.assert_close(tess(x), OPERATORS[its_argument](x.exp()))
    rows = {row.op: row.status for row in tess.report.nodes}
    assert rows["tessera_decompose.its_argument.default"] == "island"
