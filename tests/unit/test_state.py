# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models that keep state in plain attributes answer every call as in PyTorch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import tessera as ts
from tessera.errors import CaptureError


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return x * self.count


class Running(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = torch.zeros(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last = self.last + x
        return self.last * 2


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.first is None:
            self.first = x * 2
        return x + self.first


class Listing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[torch.Tensor]] = {"x": []}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen["x"].append(x)
        return x * len(self.seen["x"])


class Noting(nn.Module):
    """Writes attributes, but gives the same answer every time."""

    def __init__(self) -> None:
        super().__init__()
        self.size = -1
        self.seen = None
        self.values = torch.zeros(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.size = x.shape[0]
        self.seen = x * 2
        self.values = x + 1
        return x * self.size


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(self.first(x).relu()) + 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("kind", [Counter, Running, Lazy, Listing, Noting])
def test_every_call_is_as_in_pytorch(kind: type[nn.Module], around: bool) -> None:
    model = Around(kind()) if around else kind()
    reference = copy.deepcopy(model)
    converted = ts.from_pytorch(model, example_inputs=(torch.randn(4),))
    for _ in range(4):
        x = torch.randn(4)
        wanted = reference(x).detach()
        torch.testing.assert_close(converted(x), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [Counter, Running, Lazy, Listing, Noting])
def test_calls_of_all_forms_share_the_state(kind: type[nn.Module]) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.linear, self.count = kind(), nn.Linear(4, 4), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count += 1
            return self.inner(self.linear(x)) * self.count if x.sum() > 0 else x - self.count

    for model in (kind(), Branching()):
        reference = copy.deepcopy(model)
        wrapped = ts.compat.wrap(model)
        for rows in (1, 2, 1, 3, 2):
            wrapped.train(rows != 3)
            for sign in (1, -1):
                x = sign * torch.rand(*([1] * rows), 4)
                wanted = reference(x).detach()
                torch.testing.assert_close(wrapped(x), wanted, rtol=1e-5, atol=1e-6)


def test_only_the_stateful_module_stays_in_pytorch() -> None:
    converted = ts.from_pytorch(Around(Counter()), example_inputs=(torch.randn(4),))
    assert [row.fqn for row in converted.report.islands] == ["inner"]
    assert "self.inner.count" in converted.report.islands[0].reason


def test_attributes_that_are_only_written_do_no_harm() -> None:
    converted = ts.from_pytorch(Noting(), example_inputs=(torch.randn(4),), strict=True)
    assert not converted.report.islands
    # Also where another module stays in PyTorch.
    model = nn.Sequential(Noting(), Counter(), Noting())
    converted = ts.from_pytorch(model, example_inputs=(torch.randn(4),))
    assert [row.fqn for row in converted.report.islands] == ["1"]


@pytest.mark.parametrize("kind", [Counter, Running, Lazy, Listing])
def test_strict_says_what_to_do(kind: type[nn.Module]) -> None:
    with pytest.raises(CaptureError, match="depends on that") as caught:
        ts.from_pytorch(kind(), example_inputs=(torch.randn(4),), strict=True)
    assert "register_buffer" in str(caught.value)
