# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Objects that carry tensors through calls: what forward() does to them, eager PyTorch does too."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import tessera as ts
from tessera.errors import ArgumentError, InputMismatchError


class Layer:
    def __init__(self) -> None:
        self.rows: Tensor | None = None
        self.total = torch.zeros(3)

    def add(self, x: Tensor) -> Tensor:
        self.rows = x if self.rows is None else torch.cat([self.rows, x])
        self.total += x.sum(0)
        return self.rows


class Cache:
    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.names: dict[str, Tensor] = {}
        self.kind = torch.float32

    def layer(self, index: int) -> Layer:
        while len(self.layers) <= index:
            self.layers.append(Layer())
        return self.layers[index]


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor, cache: Cache | None = None) -> dict[str, Any]:
        cache = Cache() if cache is None else cache
        first = cache.layer(0).add(self.linear(x))
        second = cache.layer(1).add(first.mean(0, keepdim=True))
        cache.names["last"] = second * 2
        return {"y": first.sum() + second, "cache": cache, "layer": cache.layers[0]}


def state(value: Any) -> Any:
    """Everything in an object, to compare."""
    if isinstance(value, (Cache, Layer)):
        return {name: state(item) for name, item in vars(value).items()}
    if isinstance(value, dict):
        return {name: state(item) for name, item in value.items()}
    if isinstance(value, list):
        return [state(item) for item in value]
    return 0 if value is torch.float32 else value


def check(tess: Any, model: nn.Module, x: Tensor, ours: Cache | None, theirs: Cache | None) -> Any:
    with torch.no_grad():
        got = tess(x, cache=ours) if ours is not None else tess(x)
        wanted = model(x, theirs) if theirs is not None else model(x)
    torch.testing.assert_close(got["y"], wanted["y"])
    torch.testing.assert_close(state(got["cache"]), state(wanted["cache"]))
    return got


def test_a_new_object_is_returned() -> None:
    model, x = Model(), torch.randn(4, 3)
    tess = ts.from_pytorch(model, (x,), strict=True)
    got = check(tess, model, x, None, None)
    assert isinstance(got["cache"], Cache)
    assert got["cache"] is not check(tess, model, x, None, None)["cache"]


def test_what_is_given_is_changed_and_returned() -> None:
    model, x = Model(), torch.randn(4, 3)
    ours, theirs, example = Cache(), Cache(), Cache()
    with torch.no_grad():
        for cache in (ours, theirs, example):
            model(x, cache)
    before = state(copy.deepcopy(example))
    tess = ts.from_pytorch(model, (x, example), strict=True)
    torch.testing.assert_close(state(example), before)  # conversion leaves it alone
    layers, first, total = ours.layers, ours.layers[0], ours.layers[0].total
    got = check(tess, model, x, ours, theirs)
    assert got["cache"] is ours
    assert ours.layers is layers
    assert got["layer"] is layers[0] is first
    assert first.total is total


def test_an_empty_one_is_filled() -> None:
    model, x = Model(), torch.randn(4, 3)
    example = Cache()
    tess = ts.from_pytorch(model, (x, example), strict=True)
    assert not example.layers
    ours = Cache()
    got = check(tess, model, x, ours, Cache())
    assert got["cache"] is ours
    assert len(ours.layers) == 2
    # It is another form by now.
    with pytest.raises(InputMismatchError, match="compiled for"):
        tess(x, ours)


def test_forms_of_a_wrapped_module() -> None:
    model, x = Model(), torch.randn(4, 3)
    tess = ts.compat.wrap(model)
    ours, theirs = Cache(), Cache()
    for _ in range(4):
        assert check(tess, model, x, ours, theirs)["cache"] is ours


def test_a_number_in_an_object_is_part_of_the_form() -> None:
    class Scale:
        def __init__(self) -> None:
            self.by = 2.0

    class Scaled(nn.Module):
        def forward(self, x: Tensor, scale: Scale) -> Tensor:
            return x * scale.by

    scale, x = Scale(), torch.randn(3)
    tess = ts.from_pytorch(Scaled(), (x, scale))
    torch.testing.assert_close(tess(x, scale), x * 2)
    scale.by = 3.0
    with pytest.raises(InputMismatchError, match=r"scale\.by"):
        tess(x, scale)


@dataclass
class Pair:
    left: Tensor
    right: Tensor


def test_a_dataclass_that_is_changed() -> None:
    class Swap(nn.Module):
        def forward(self, pair: Pair) -> Tensor:
            pair.left, pair.right = pair.right, pair.left + 1
            return pair.left * pair.right

    left, right = torch.randn(3), torch.randn(3)
    tess = ts.from_pytorch(Swap(), (Pair(left, right),), strict=True)
    ours, theirs = Pair(left, right), Pair(left, right)
    torch.testing.assert_close(tess(ours), Swap()(theirs))
    assert ours.left is right
    torch.testing.assert_close(ours.right, theirs.right)


@pytest.mark.filterwarnings("ignore")
def test_python_forward_gets_the_callers_object() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Model()

        def forward(self, x: Tensor, cache: Cache) -> Any:
            if x.sum() > 0:
                x = x * 2
            return self.inner(x, cache)

    model, x = Branching(), torch.randn(4, 3)
    example = Cache()
    tess = ts.from_pytorch(model, (x, example))
    assert not example.layers
    ours = Cache()
    assert check(tess, model, x, ours, Cache())["cache"] is ours


@pytest.mark.filterwarnings("ignore")
def test_an_opaque_child_gets_the_callers_object() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Model()

        def forward(self, x: Tensor, cache: Cache) -> Any:
            return self.inner(x.relu(), cache)

    model, x = Outer(), torch.randn(4, 3)
    model.inner.register_forward_hook(lambda *_: None)
    tess = ts.from_pytorch(model, (x, Cache()))
    ours = Cache()
    check(tess, model, x, ours, Cache())


def test_a_dataclass_comes_back_where_something_is_written() -> None:
    class Writes(nn.Module):
        def forward(self, x: Tensor) -> Pair:
            y = x * 2
            y += 1
            return Pair(y, x.sin())

    x = torch.randn(3)
    got = ts.from_pytorch(Writes(), (x,), strict=True)(x)
    torch.testing.assert_close([got.left, got.right], [x * 2 + 1, x.sin()])


def test_beside_dynamic_sizes() -> None:
    class Adding(nn.Module):
        def forward(self, cache: Layer, x: Tensor) -> Tensor:
            cache.total += x.sum(0)
            return x * cache.total

    batch = torch.export.Dim("batch", min=2, max=9)
    ours, theirs = Layer(), Layer()
    tess = ts.from_pytorch(
        Adding(), (Layer(), torch.randn(4, 3)), strict=True, dynamic_shapes=(None, {0: batch})
    )
    for size in (4, 7, 2):
        x = torch.randn(size, 3)
        torch.testing.assert_close(tess(ours, x), Adding()(theirs, x))
        torch.testing.assert_close(ours.total, theirs.total)
    with pytest.raises(ArgumentError, match="an object of type Layer"):
        ts.from_pytorch(
            Adding(), (Layer(), torch.randn(4, 3)), dynamic_shapes=({0: batch}, {0: batch})
        )
