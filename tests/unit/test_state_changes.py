# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models whose state changes after conversion: each change is seen by the next call."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import tessera as ts
from tessera.errors import ArgumentError, InputMismatchError


class Model(nn.Module):
    """Buffers written by forward; compiled, with a size that depends on data, or module-wise."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.fc, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(4), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        self.last.copy_(x.sum(0))
        h = self.norm(self.fc(x)) + self.calls
        if self.kind == "data":
            h = h[h[:, 0] > -1e9]
        if self.kind == "hybrid" and h.sum() > -1e9:
            h = h + 1
        return h


def _load(model: Model) -> None:
    model.load_state_dict({k: torch.full_like(v, 2) for k, v in model.state_dict().items()})


def _load_assign(model: Model) -> None:
    state = {k: torch.full_like(v, 2) for k, v in model.state_dict().items()}
    model.load_state_dict(state, assign=True)


def _data(model: Model) -> None:
    model.fc.weight.data = model.fc.weight.data * 3


def _data_transposed(model: Model) -> None:
    model.fc.weight.data = torch.arange(16.0).reshape(4, 4).t()


def _parameter(model: Model) -> None:
    model.fc.weight = nn.Parameter(torch.ones(4, 4))


def _no_bias(model: Model) -> None:
    model.fc.bias = None


def _child(model: Model) -> None:
    model.fc = nn.Linear(4, 4, bias=False)


def _identity(model: Model) -> None:
    model.norm = nn.Identity()


def _write(model: Model) -> None:
    with torch.no_grad():
        model.fc.bias.fill_(7)


def _frozen(model: Model) -> None:
    model.requires_grad_(False)
    model.fc.weight.copy_(torch.ones(4, 4))


def _buffers(model: Model) -> None:
    model.last, model.calls = torch.ones(4), torch.tensor(5.0)


def _optimizer(model: Model) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.SGD(model.parameters(), lr=0.5).step()


def _hook(model: Model) -> None:
    model.fc.register_forward_hook(lambda module, args, result: result * 2)


def _there_and_back(model: Model) -> None:
    model.half().float()


def _parametrized(model: Model) -> None:
    torch.nn.utils.parametrizations.weight_norm(model.fc)


CHANGES: list[Callable[[Model], None]] = [
    _load, _load_assign, _data, _data_transposed, _parameter, _no_bias, _child, _identity, _write,
    _frozen, _buffers, _optimizer, _hook, _there_and_back, _parametrized,
]  # fmt: skip
KINDS = ("plain", "data", "hybrid")


def _same(tess: Any, eager: nn.Module, x: torch.Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(tess(x), eager(x))
    for one, other in zip(tess._torch.buffers(), eager.buffers(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_seen(kind: str, change: Callable[[Model], None]) -> None:
    torch.manual_seed(0)
    model = Model(kind).eval()
    eager = copy.deepcopy(model)
    x = torch.randn(3, 4)
    tess = ts.from_pytorch(model, (x,))
    assert model.calls == 0, "a conversion writes no buffer"
    for _ in range(2):
        _same(tess, eager, x)
    for each in (model, eager):
        torch.manual_seed(1)
        change(each)
    for _ in range(2):
        _same(tess, eager, x)


@pytest.mark.parametrize("kind", KINDS)
def test_another_dtype_is_another_form(kind: str) -> None:
    model = Model(kind).eval()
    x = torch.randn(3, 4)
    tess = ts.from_pytorch(model, (x,))
    tess(x)
    model.double()
    with pytest.raises(InputMismatchError, match="float64"):
        tess(x.double())


@pytest.mark.parametrize("kind", KINDS)
def test_copies_have_state_of_their_own(kind: str) -> None:
    torch.manual_seed(0)
    model, x = Model(kind).eval(), torch.randn(3, 4)
    tess = ts.from_pytorch(model, (x,))
    tess(x)
    stream = io.BytesIO()
    torch.save(tess, stream)
    stream.seek(0)
    copies = [
        copy.deepcopy(tess),
        pickle.loads(pickle.dumps(tess)),
        torch.load(stream, weights_only=False),
    ]
    eagers = [copy.deepcopy(model) for _ in copies]
    with torch.no_grad():
        model.fc.weight.zero_()
    for other, eager in zip(copies, eagers, strict=True):
        for _ in range(2):
            _same(other, eager, x)


def test_the_method_behind_a_call_is_copied_by_name() -> None:
    call = ts.from_pytorch(nn.Linear(2, 2), (torch.randn(1, 2),)).__class__.__call__
    assert pickle.loads(pickle.dumps(call)) is call
    assert copy.deepcopy(call) is call


class Casting(nn.Module):
    """Computes in the type its first layer has, however many layers there are."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.rest = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rest(self.fc(x.to(self.fc.weight.dtype)).float())


def _wider(model: Casting) -> None:
    model.fc, model.rest = nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 2))


def _pop(model: Casting) -> None:
    model.rest.pop(0)


def _append(model: Casting) -> None:
    model.rest.append(nn.Linear(4, 3))


def _first_double(model: Casting) -> None:
    model.fc.double()


def _first_smaller(model: Casting) -> None:
    for parameter in (model.fc.weight, model.rest[0].weight):
        parameter.data = parameter.data[:1] if parameter is model.fc.weight else torch.ones(4, 1)
    model.fc.bias.data = model.fc.bias.data[:1]


def _another_forward(model: Casting) -> None:
    model.rest.forward = lambda x: x * 3  # type: ignore[method-assign]


def _untouched(model: Casting) -> None:
    pass


MAKE: dict[str, Callable[[nn.Module, torch.Tensor], Any]] = {
    "static": lambda model, x: ts.from_pytorch(model, (x,)),
    "sized": lambda model, x: ts.from_pytorch(
        model, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},)
    ),
    "wrapped": lambda model, x: ts.compat.wrap(model),
}
ASKED: dict[str, Callable[[Any, torch.Tensor], Any]] = {
    "call": lambda tess, x: tess(x),
    "report": lambda tess, x: (str(tess.report), tess.report.to_json()),
    "profile": lambda tess, x: str(tess.profile(x)),
    "verify": lambda tess, x: bool(tess.verify(x)) or pytest.fail(str(tess.verify(x))),
    "repr": lambda tess, x: repr(tess),
    "state": lambda tess, x: tess.load_state_dict(tess.state_dict()),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "change",
    [_wider, _pop, _append, _first_double, _first_smaller, _another_forward, _untouched],
    ids=lambda change: change.__name__,
)
@pytest.mark.parametrize("made", MAKE)
def test_whatever_is_asked_first_follows(
    made: str, change: Callable[[Casting], None], asked: str
) -> None:
    torch.manual_seed(0)
    model, x = Casting().eval(), torch.randn(3, 4)
    tess = MAKE[made](model, x)
    if change is not _untouched:
        tess(x)
    change(model)
    # What is written into parameters is seen by the call only.
    seen = change not in (_first_double, _first_smaller)
    if made == "wrapped" and asked == "report" and seen:
        with pytest.raises(ArgumentError, match="call it once"):
            ASKED[asked](tess, x)
    else:
        ASKED[asked](tess, x)
    with torch.no_grad():
        torch.testing.assert_close(tess(x), model(x))
        torch.testing.assert_close(copy.deepcopy(tess)(x), model(x))


@pytest.mark.parametrize("made", MAKE)
def test_children_changed_before_the_first_call(made: str) -> None:
    model, x = Casting().eval(), torch.randn(3, 4)
    tess = MAKE[made](model, x)
    _wider(model)
    assert tess.state_dict().keys() == model.state_dict().keys()
    assert tess.state_dict()["fc.weight"].shape == (6, 4)
    with torch.no_grad():
        torch.testing.assert_close(tess(x), model(x))


@pytest.mark.parametrize("made", MAKE)
def test_what_the_model_refuses_after_a_change_is_its_own_error(made: str) -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval(), torch.randn(3, 4)
    tess = MAKE[made](model, x)
    tess(x)
    model.double()
    for ask in ("call", "profile", "verify"):
        with pytest.raises(RuntimeError, match="must have the same dtype") as caught:
            ASKED[ask](tess, x)
        assert type(caught.value) is RuntimeError
    model.float()
    with torch.no_grad():
        torch.testing.assert_close(tess(x), model(x))


def test_jit_follows_another_dtype_there_and_back() -> None:
    layer = ts.nn.Linear(4, 4)
    run = ts.jit(lambda x: layer(x.to(layer.weight.dtype)))
    x = torch.randn(3, 4)
    for dtype in (torch.float32, torch.float64, torch.float32, torch.float64):
        for parameter in layer.parameters():
            parameter.data = parameter.data.to(dtype)
        assert run(x).dtype == dtype
