# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Results come back in the types the model gives them: sizes, dataclasses, named tuples."""

from __future__ import annotations

import collections
import copy
import dataclasses
import typing

import pytest
import torch
from torch import nn

import tessera as ts

Pair = collections.namedtuple("Pair", ["first", "second"])


class Typed(typing.NamedTuple):
    value: torch.Tensor
    shape: torch.Size


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    label: str = "none"
    parts: typing.Any = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    value: torch.Tensor
    shape: torch.Size


@dataclasses.dataclass(slots=True)
class Slotted:
    value: torch.Tensor
    late: int = dataclasses.field(init=False)


@dataclasses.dataclass
class Counted:
    """What __post_init__ makes of it must not be made twice."""

    value: dataclasses.InitVar[torch.Tensor]
    doubled: torch.Tensor = dataclasses.field(init=False)

    def __post_init__(self, value):
        self.doubled = value * 2
        self.note = "kept"


def same(got, want):
    """Equal with exactly the same types, all the way down."""
    assert type(got) is type(want)
    if isinstance(want, torch.Tensor):
        torch.testing.assert_close(got, want)
    elif dataclasses.is_dataclass(want):
        names = [f.name for f in dataclasses.fields(want) if hasattr(want, f.name)]
        assert names == [f.name for f in dataclasses.fields(got) if hasattr(got, f.name)]
        for name in dict.fromkeys([*names, *getattr(want, "__dict__", {})]):
            same(getattr(got, name), getattr(want, name))
    elif isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            same(got[key], want[key])
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        for left, right in zip(got, want, strict=True):
            same(left, right)
    else:
        assert got == want


class Returns(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.make = make

    def forward(self, x):
        return self.make(self.fc(x))


def slotted(y):
    result = Slotted(y)
    result.late = 3
    return result


RESULTS = {
    "size": lambda y: y.shape,
    "size among others": lambda y: (y, y.shape, y.size(0), [y[0].shape]),
    "empty size": lambda y: (y, y.sum().shape),
    "named tuple": lambda y: Pair(y, y.shape),
    "typing.NamedTuple": lambda y: Typed(y, y.shape),
    "return type": lambda y: y.max(dim=0),
    "ordered dict": lambda y: collections.OrderedDict(b=y, a=y.shape),
    "default dict": lambda y: collections.defaultdict(list, b=[y], a=[y + 1]),
    "dataclass": lambda y: Output(y),
    "dataclass in a dict": lambda y: {"out": Output(y, "named", {"shape": y.shape, "more": [y]})},
    "dataclass in a dataclass": lambda y: Output(y, parts=Output(y + 1, parts=(y.shape,))),
    "frozen dataclass": lambda y: Frozen(y, y.shape),
    "slots": lambda y: slotted(y),
    "slots without a value": lambda y: Slotted(y),
    "post init": lambda y: Counted(y),
}


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS.keys())
def test_results_have_the_models_types(make):
    model, x = Returns(make).eval(), torch.randn(3, 4)
    tess = ts.from_pytorch(model, (x,), strict=True)
    assert tess.report.mode == "compiled"
    for _ in range(3):
        with torch.no_grad():
            same(tess(x), model(x))


def test_every_call_gives_its_own_object():
    model, x = Returns(RESULTS["dataclass in a dict"]).eval(), torch.randn(3, 4)
    tess = ts.from_pytorch(model, (x,))
    first, second = tess(x), tess(x)
    first["out"].parts["more"].append("changed")
    assert first["out"] is not second["out"]
    assert len(tess(x)["out"].parts["more"]) == 1


def test_native_tensors_inside_of_dataclasses():
    model, x = Returns(RESULTS["dataclass"]).eval(), torch.randn(3, 4)
    tess = ts.from_pytorch(model, (x,))
    result = tess(ts.from_dlpack(x))
    assert isinstance(result, Output)
    assert isinstance(result.logits, ts.Tensor)
    with torch.no_grad():
        torch.testing.assert_close(result.logits.torch(), model(x).logits)


class Parent(nn.Module):
    """Uses what a child returns, and gives it on."""

    def __init__(self):
        super().__init__()
        self.child = Returns(lambda y: Output(y, parts={"shape": y.shape}))

    def forward(self, x):
        out = self.child(x)
        return out, out.logits.reshape(out.parts["shape"].numel()), out.parts["shape"]


@pytest.mark.parametrize("native", [False, True])
def test_replaced_children_may_return_dataclasses(native):
    class Child(ts.Module):
        def forward(self, x):
            return Output(ts.ops.mul(x, 2.0), parts={"shape": torch.Size(x.shape)})

    class Double(nn.Module):
        def forward(self, x):
            return Output(x * 2, parts={"shape": x.shape})

    model, x = Parent().eval(), torch.randn(3, 4)
    tess = ts.from_pytorch(model, (x,))
    if native:
        tess.child = Child()
        model.child = Double()
    else:
        tess.child = ts.compat.wrap(model.child)
    for _ in range(2):
        with torch.no_grad():
            same(tess(x), model(x))


class TakesSize(nn.Module):
    def forward(self, x, sizes):
        first, rest = sizes["first"], sizes["rest"]
        assert type(first) is torch.Size
        return x.reshape(first.numel(), -1), rest[0].numel(), first


@pytest.mark.parametrize("convert", [True, False])
def test_sizes_as_arguments_stay_sizes(convert):
    x, sizes = torch.randn(6, 4), {"first": torch.Size([2, 3]), "rest": [torch.Size([4])]}
    model = TakesSize()
    tess = ts.from_pytorch(model, (x, sizes)) if convert else ts.compat.wrap(model)
    for _ in range(2):
        same(tess(x, sizes), model(x, sizes))
    if convert:
        with pytest.raises(ts.errors.InputMismatchError, match=r"sizes\['first'\]"):
            tess(x, {"first": torch.Size([3, 2]), "rest": [torch.Size([4])]})
        same(copy.deepcopy(tess)(x, sizes), model(x, sizes))


def test_python_forwards_give_native_results_in_their_types():
    """A module that PyTorch runs, called with ts.Tensor."""

    class Branches(nn.Module):
        def forward(self, x):
            return Output(x + 1 if float(x.sum()) > 0 else x - 1, parts=x.shape)

    x = torch.ones(2, 2)
    tess = ts.from_pytorch(Branches(), (x,))
    assert tess.report.mode == "pytorch"
    result = tess(ts.from_dlpack(x))
    assert isinstance(result.logits, ts.Tensor)
    assert type(result.parts) is torch.Size
