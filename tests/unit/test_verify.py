# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""tess.verify(x): names the module, operator and line that diverge, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

import tessera as ts
from tessera.errors import ArgumentError
from tessera.verification.reference import WideReplay


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        return torch.sinh(x) + 1


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16))
        self.inner = Inner()
        self.last = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.inner(self.first(x))).softmax(-1)


@contextmanager
def wrong_sinh(factor: float = 1.01) -> Iterator[None]:
    """A lowering that is off by one percent."""

    @ts.compat.register_aten("sinh")
    def sinh(node: Any, ctx: Any) -> Any:
        (x,) = ctx.get_inputs(node)
        return ctx.emit("sinh", [x]) * factor

    try:
        yield
    finally:
        ts.compat.unregister(sinh)


def test_agrees() -> None:
    tess = ts.from_pytorch(Model().eval(), example_inputs=(torch.randn(3, 8),))
    found = tess.verify(torch.randn(3, 8))
    assert found
    assert found.first is None
    assert {"first.2", "inner", "last", ""} <= {check.module for check in found.modules}
    assert "agree" in str(found)


def test_names_the_line() -> None:
    x = torch.randn(3, 8)
    with wrong_sinh():
        tess = ts.from_pytorch(Model().eval(), example_inputs=(x,))
        found = tess.verify(x)
    lines, start = inspect.getsourcelines(Inner.forward)
    wanted = start + next(i for i, line in enumerate(lines) if "sinh" in line)
    assert not found
    assert found.first is not None
    assert found.first.module == "inner"
    assert found.operator is not None
    assert "sinh" in found.operator.op
    assert (found.operator.source, found.operator.line) == (f"test_verify.py:{wanted}", wanted)
    assert "inner" in str(found)
    assert found.to_dict()["ok"] is False


def test_what_enters_a_module() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(torch.sinh(x))

    with wrong_sinh():
        x = torch.randn(3, 8)
        found = ts.from_pytorch(Scaled().eval(), example_inputs=(x,)).verify(x)
    assert found.operator is not None
    assert found.operator.op == "aten.sinh.default"


def test_tolerances() -> None:
    x = torch.randn(3, 8)
    with wrong_sinh():
        tess = ts.from_pytorch(Model().eval(), example_inputs=(x,))
        assert tess.verify(x, rtol=0.5)


def test_island_and_integers() -> None:
    class Mixed(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            values = torch.linalg.eigvalsh(x @ x.mT)
            return values.exp().argmax(-1), values

    x = torch.randn(2, 5, 5)
    tess = ts.from_pytorch(Mixed(), example_inputs=(x,))
    assert tess.verify(x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_dtypes(dtype: torch.dtype) -> None:
    x = torch.randn(3, 8, dtype=dtype)
    tess = ts.from_pytorch(Model().eval().to(dtype), example_inputs=(x,))
    assert tess.verify(x)


def test_not_finite() -> None:
    class Log(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.log(x) / x

    x = torch.tensor([1.0, 0.0, -1.0, float("inf")])
    assert ts.from_pytorch(Log(), example_inputs=(x,)).verify(x)


def test_modulewise() -> None:
    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.other = Inner(), nn.Linear(16, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x) if x.sum().item() > 0 else self.other(x)

    x = torch.ones(2, 16)
    with wrong_sinh():
        tess = ts.from_pytorch(Branch().eval(), example_inputs=(x,))
        found = tess.verify(x)
    assert found.first is not None
    assert found.first.module == "inner"
    assert any("other" in note for note in found.notes)


def test_replaced_and_hooked_submodules() -> None:
    x = torch.randn(3, 8)
    model = Model().eval()
    model.first.register_forward_hook(lambda module, args, result: result + 1)
    tess = ts.from_pytorch(model, example_inputs=(x,))
    tess.last = ts.compat.wrap(model.last)
    found = tess.verify(x)
    assert found.ok
    assert "last was replaced by" in str(found)
    assert "taken as it is" in str(found)
    assert "inner" in {check.module for check in found.modules}
    assert tess.last.programs == 1  # no program for another precision was made
    with wrong_sinh():
        tess = ts.from_pytorch(model, example_inputs=(x,))
        tess.last = ts.compat.wrap(model.last)
        found = tess.verify(x)
        assert not found.ok
        assert found.first is not None
        assert found.first.module == "inner"


def test_dropout_that_does_not_drop() -> None:
    class Attends(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            attended = nn.functional.scaled_dot_product_attention(x, x, x)
            return nn.functional.dropout(attended, 0.5, False)

    x = torch.randn(2, 3, 4, 8)
    for module in (Attends(), nn.Sequential(nn.Dropout(0.5), nn.RReLU()).eval()):
        assert ts.from_pytorch(module, (x,)).verify(x).ok
    assert ts.from_pytorch(nn.Dropout(0.0), (x,)).verify(x).ok


def test_random_is_refused() -> None:
    tess = ts.from_pytorch(
        nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).train(), example_inputs=(torch.randn(2, 4),)
    )
    with pytest.raises(ArgumentError, match="random"):
        tess.verify(torch.randn(2, 4))


def test_reference_computes_what_looks_at_bits() -> None:
    class Bits(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp().view(torch.int32) + 1

    program = torch.export.export(Bits(), (torch.ones(3),)).run_decompositions({})
    nodes = list(program.graph.nodes)
    replay = WideReplay(program.graph_module, nodes[1:-1])
    values = replay.replay({nodes[0]: torch.ones(3)})
    assert values[nodes[1]].dtype == torch.float64
    assert torch.equal(values[nodes[-2]], Bits()(torch.ones(3)))


class Exported(nn.Module):
    """Says something else when it is captured."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sin() if isinstance(x, FakeTensor) else x.cos()


def test_a_forward_that_is_another_one_when_captured() -> None:
    x = torch.randn(3, 8)
    found = ts.from_pytorch(Exported(), (x,)).verify(x)
    assert not found
    assert "another result when Python" in str(found)
    assert "aten.sin" in str(found.first)
