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
from tessera.errors import InputMismatchError


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
