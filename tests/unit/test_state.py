# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models that keep state in plain attributes answer every call as in PyTorch."""

from __future__ import annotations

import copy
from typing import Any

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


class Box:
    """An object that forward methods keep state in."""

    def __init__(self) -> None:
        self.count = 0
        self.last = torch.zeros(4)
        self.seen: list[torch.Tensor] = []


class BoxCounter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.box = Box()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.box.count += 1
        return x * self.box.count


class BoxRunning(BoxCounter):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.box.last = self.box.last + x
        return self.box.last * 2


class BoxWriting(BoxCounter):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.box.last += x.sum()
        return x * self.box.last.sum()


class BoxListing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.boxes = {"a": [Box()]}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.boxes["a"][0].seen.append(x)
        return x * len(self.boxes["a"][0].seen)


class BoxLazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.box: Box | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.box is None:
            self.box = Box()
        self.box.count += 1
        return x * self.box.count


class BoxNoting(nn.Module):
    """Writes into objects, but gives the same answer every time."""

    def __init__(self) -> None:
        super().__init__()
        self.box, self.latest = Box(), Box()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.box.last = x * 2
        self.latest = Box()
        self.latest.last = x + 1
        return x * 3


class BoxBuffer(nn.Module):
    """An object that has a buffer, as the caches of transformers' recipes for export do."""

    def __init__(self) -> None:
        super().__init__()
        self.box = Box()
        self.register_buffer("last", self.box.last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.box.last += x.sum()
        return x * self.last.sum()


STATEFUL = [Counter, Running, Lazy, Listing, BoxCounter, BoxRunning, BoxListing, BoxLazy]
ALL = [*STATEFUL, Noting, BoxNoting, BoxWriting, BoxBuffer]


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(self.first(x).relu()) + 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("kind", ALL)
def test_every_call_is_as_in_pytorch(kind: type[nn.Module], around: bool) -> None:
    model = Around(kind()) if around else kind()
    reference = copy.deepcopy(model)
    converted = ts.from_pytorch(model, example_inputs=(torch.randn(4),))
    for _ in range(4):
        x = torch.randn(4)
        wanted = reference(x).detach()
        torch.testing.assert_close(converted(x), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ALL)
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


@pytest.mark.parametrize("kind", [BoxCounter, BoxRunning, BoxWriting, BoxListing])
def test_objects_of_the_model_are_left_alone(kind: type[nn.Module]) -> None:
    model = kind()
    box = model.box if kind is not BoxListing else model.boxes["a"][0]
    ts.from_pytorch(model, example_inputs=(torch.randn(4),))
    assert (box.count, box.seen) == (0, [])
    assert type(box.last) is torch.Tensor
    assert not box.last.any()


@pytest.mark.parametrize("kind", [Noting, BoxNoting, BoxBuffer])
def test_attributes_that_are_only_written_do_no_harm(kind: type[nn.Module]) -> None:
    converted = ts.from_pytorch(kind(), example_inputs=(torch.randn(4),), strict=True)
    assert not converted.report.islands
    # Also where another module stays in PyTorch.
    model = nn.Sequential(Noting(), Counter(), Noting())
    converted = ts.from_pytorch(model, example_inputs=(torch.randn(4),))
    assert [row.fqn for row in converted.report.islands] == ["1"]


@pytest.mark.parametrize("kind", STATEFUL)
def test_strict_says_what_to_do(kind: type[nn.Module]) -> None:
    with pytest.raises(CaptureError, match="depends on that") as caught:
        ts.from_pytorch(kind(), example_inputs=(torch.randn(4),), strict=True)
    assert "register_buffer" in str(caught.value)


class BoxReader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.box = Box()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.box.count


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("root_too", [False, True])
def test_modules_that_share_an_object(root_too: bool) -> None:
    model = nn.Sequential(BoxCounter(), nn.Linear(4, 4), BoxReader())
    model[2].box = model[0].box
    if root_too:
        model.box = model[0].box
    reference = copy.deepcopy(model)
    converted = ts.from_pytorch(model, example_inputs=(torch.randn(4),))
    for _ in range(3):
        x = torch.randn(4)
        torch.testing.assert_close(converted(x), reference(x).detach(), rtol=1e-5, atol=1e-6)


class Caching(nn.Module):
    """Computes something in its first call and keeps it, as LeViT's attention its biases."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(4))
        self.kept: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if "cpu" not in self.kept:
            self.kept["cpu"] = self.bias[torch.tensor([3, 2, 1, 0])]
        return x + self.kept["cpu"]


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def twelve(kind: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), kind()) for _ in range(12))).eval()


@pytest.mark.parametrize(("kind", "most"), [(Caching, 5), (Branching, 4)])
def test_what_fails_alike_is_found_out_once(
    monkeypatch: pytest.MonkeyPatch, kind: type[nn.Module], most: int
) -> None:
    captures = []
    export = torch.export.export

    def counted(*args: Any, **kwargs: Any) -> Any:
        captures.append(1)
        return export(*args, **kwargs)

    monkeypatch.setattr(torch.export, "export", counted)
    model, x = twelve(kind), torch.randn(2, 4)
    converted = ts.from_pytorch(copy.deepcopy(model), example_inputs=(x,))
    assert len(captures) <= most, len(captures)
    for example in (x, -x):
        torch.testing.assert_close(torch.as_tensor(converted(example)), model(example))
    with pytest.raises(CaptureError) as error:
        ts.from_pytorch(twelve(kind), example_inputs=(x,), strict=True)
    assert all(f"{block}.1" in str(error.value) for block in range(12))
