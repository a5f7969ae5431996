# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Changes of the PyTorch model after its conversion are never answered with the old model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import tessera as ts


class Net(nn.Module):
    """`result` chooses the way a call takes: "plain", "nested" or "hybrid"."""

    def __init__(self, result: str) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.act = nn.ReLU()
        self.last = nn.Linear(6, 4)
        self.register_buffer("scale", torch.full((4,), 2.0))
        self.result = result

    def forward(self, x: torch.Tensor) -> Any:
        y = self.last(self.act(self.first(x))) * self.scale
        if self.result == "hybrid" and y.sum() > 1e9:
            return x
        return {"y": [y]} if self.result == "nested" else y


def new_parameter(model: Net) -> None:
    model.first.weight = nn.Parameter(torch.randn(6, 6))


def assigned_state(model: Net) -> None:
    state = {name: torch.randn_like(value) for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)


def new_buffer(model: Net) -> None:
    model.scale = torch.full((4,), 5.0)


def new_child(model: Net) -> None:
    model.last = nn.Linear(6, 4)


def new_child_without_parameters(model: Net) -> None:
    model.act = nn.GELU()


def new_hook(model: Net) -> None:
    model.last.register_forward_hook(lambda module, args, result: result * 3)


def new_root_hook(model: Net) -> None:
    model.register_forward_pre_hook(lambda module, args: (args[0] + 1,))


CHANGES = [
    new_parameter,
    assigned_state,
    new_buffer,
    new_child,
    new_child_without_parameters,
    new_hook,
    new_root_hook,
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("result", ["plain", "nested", "hybrid"])
@pytest.mark.parametrize("change", CHANGES)
def test_change_is_followed(change: Callable[[Net], None], result: str) -> None:
    torch.manual_seed(0)
    model = Net(result).eval()
    x = torch.randn(3, 6)
    converted = ts.from_pytorch(model, example_inputs=(x,))
    with torch.no_grad():
        before = model(x)
        for _ in range(3):
            torch.testing.assert_close(converted(x), before, rtol=1e-4, atol=1e-5)
        change(model)
        after = model(x)
        for _ in range(3):
            torch.testing.assert_close(converted(x), after, rtol=1e-4, atol=1e-5)
    assert converted.last._torch is model.last
    assert list(map(id, converted.parameters())) == list(map(id, model.parameters()))


def test_wrapped_modules_follow_too() -> None:
    model = Net("plain").eval()
    wrapped = ts.compat.wrap(model)
    x = torch.randn(3, 6)
    for _ in range(3):
        wrapped(x)
    new_parameter(model)
    torch.testing.assert_close(wrapped(x), model(x).detach(), rtol=1e-4, atol=1e-5)


def test_replacement_outlives_a_change() -> None:
    model = Net("plain").eval()
    x = torch.randn(3, 6)
    converted = ts.from_pytorch(model, example_inputs=(x,))
    other = nn.Linear(6, 4)
    converted.last = ts.compat.wrap(other)
    converted(x)
    new_child(model)
    new_parameter(model)
    wanted = other(torch.relu(model.first(x))) * model.scale
    torch.testing.assert_close(converted(x), wanted.detach(), rtol=1e-4, atol=1e-5)


def test_refresh_reads_plain_attributes_again() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.LeakyReLU(0.1)).eval()
    x = torch.randn(3, 6)
    converted = ts.from_pytorch(model, example_inputs=(x,))
    converted(x)
    model[1].negative_slope = 0.7
    converted.refresh()
    torch.testing.assert_close(converted(x), model(x).detach(), rtol=1e-4, atol=1e-5)


def test_writes_into_tensors_compile_nothing() -> None:
    model = Net("plain").eval()
    x = torch.randn(3, 6)
    converted = ts.from_pytorch(model, example_inputs=(x,))
    execution = converted._execution()
    for _ in range(3):
        with torch.no_grad():
            model.first.weight.mul_(2)
            model.scale += 1
            torch.testing.assert_close(converted(x), model(x), rtol=1e-4, atol=1e-5)
    assert converted._execution() is execution


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize("fused", [False, True])
def test_steps_of_optimizers_are_seen(kind: type[torch.optim.Optimizer], fused: bool) -> None:
    model = Net("plain").eval()
    x = torch.randn(3, 6)
    converted = ts.from_pytorch(model, example_inputs=(x,))
    optimizer = kind(model.parameters(), lr=0.1, fused=fused)
    for _ in range(3):
        model(x).sum().backward()
        optimizer.step()
        torch.testing.assert_close(converted(x), model(x).detach(), rtol=1e-4, atol=1e-4)


def test_changes_by_another_thread_end_in_an_old_or_a_new_answer() -> None:
    model = Net("plain").eval()
    x = torch.randn(3, 6)
    converted = ts.from_pytorch(model, example_inputs=(x,))
    weights = [nn.Parameter(torch.randn(6, 6)) for _ in range(2)]
    wanted = []
    for weight in weights:
        model.first.weight = weight
        wanted.append(model(x).detach())
    failures: list[BaseException] = []
    done = threading.Event()

    def call() -> None:
        try:
            while not done.is_set():
                result = converted(x)
                assert any(torch.allclose(result, each, atol=1e-4) for each in wanted)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        model.first.weight = weights[turn % 2]
        time.sleep(0.05)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
