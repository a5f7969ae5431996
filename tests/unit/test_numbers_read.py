# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Numbers that a program reads from tensors and computes with: item() in the middle of a model."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from calling import Calling
from torch import Tensor, nn

import tessera as ts
from tessera.capture.ladder import RUNG_CODE
from tessera.errors import ConversionError, StrictCaptureError

X = torch.linspace(-2, 3, 12).reshape(3, 4)
CALLS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "mul": lambda x, y: x * y.item(),
    "rsub": lambda x, y: y.item() - x.abs(),
    "pow": lambda x, y: x.abs().float() ** y.item(),
    "alpha": lambda x, y: torch.add(x.float(), x.float(), alpha=y.item()),
    "where": lambda x, y: torch.where(x > 0, x, y.item()),
    "full": lambda x, y: torch.full((2,), y.item()),
    "clamp": lambda x, y: x.clamp(max=y.item()),
    "compare": lambda x, y: x > y.item(),
    "arithmetic": lambda x, y: x * (y.item() * 2 - 1) / (3 + y.item()),
    "two": lambda x, y: x * (y.item() + x.max().item()),
    "division": lambda x, y: x * (y.item() // 2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.int8])
@pytest.mark.parametrize("of", [torch.float32, torch.float64, torch.int64])
def test_a_number_is_as_weak_as_pythons(dtype: torch.dtype, of: torch.dtype) -> None:
    x = X.to(dtype)
    converted = ts.from_pytorch(
        Calling(lambda x, y: [call(x, y) for call in CALLS.values()]),
        (x, torch.tensor(3, dtype=of)),
        strict=True,
    )
    for number in (3.0, 1.75):
        y = torch.tensor(number).to(of)
        wanted = [call(x, y) for call in CALLS.values()]
        torch.testing.assert_close(converted(x, y), wanted)


def test_what_needs_the_number_itself_says_so() -> None:
    def function(x: Tensor) -> Tensor:
        return torch.nn.functional.leaky_relu(x, x.max().item())

    with pytest.raises(ConversionError, match="as a Python number"):
        ts.from_pytorch(Calling(function), (X,), strict=True)
    torch.testing.assert_close(ts.from_pytorch(Calling(function), (X,))(X), function(X))


#: What only the code shows: Python's own numbers, made of tensors.
NUMBERS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "int": lambda x, y: int(y) + 3,
    "float": lambda x, y: float(y) * 2,
    "bool": lambda x, y: bool((y > 2).any()),
    "comparison": lambda x, y: int(y) < 7,
    "root": lambda x, y: math.sqrt(int(y)),
    "ceil": lambda x, y: math.ceil(float(y) / 2),
    "several": lambda x, y: (int(y), x * float(y), [int(y) - 1]),
    "row": lambda x, y: x[int(y)],
    "last row": lambda x, y: x[-int(y)],
    "slice": lambda x, y: x[: int(y)] * 2,
    "range": lambda x, y: torch.arange(int(y)),
    "size": lambda x, y: torch.zeros(int(y), 2) + x[0, 0],
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_pythons_own(name: str) -> None:
    function = NUMBERS[name]
    converted = ts.from_pytorch(Calling(function), (X, torch.tensor(1)), strict=True)
    assert converted.report.capture[-1].rung == RUNG_CODE
    for number in (1, 2):
        y = torch.tensor(number)
        got, wanted = converted(X, y), function(X, y)
        assert type(got) is type(wanted)
        torch.testing.assert_close(got, wanted)


def test_a_row_that_is_not_there() -> None:
    converted = ts.from_pytorch(Calling(NUMBERS["row"]), (X, torch.tensor(1)), strict=True)
    for row in (3, -4):
        with pytest.raises(IndexError, match="out of"):
            converted(X, torch.tensor(row))


class Counting(nn.Module):
    """Reads a number, and counts in an attribute: only a run shows that it does."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.linear = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        self.seen.append(len(self.seen))
        return self.norm(self.linear(x)) * int(y)


def test_state_is_not_lost() -> None:
    model = Counting()
    with pytest.raises(StrictCaptureError):
        ts.from_pytorch(model, (X, torch.tensor(1)), strict=True)
    assert (model.seen, int(model.norm.num_batches_tracked)) == ([], 0)
    converted = ts.from_pytorch(model, (X, torch.tensor(1)))
    reference = copy.deepcopy(model)
    for number in (1, 2):
        torch.testing.assert_close(
            converted(X, torch.tensor(number)), reference(X, torch.tensor(number))
        )
    assert len(reference.seen) == 2


class Weighted(nn.Module):
    """Parameters, buffers that are written and submodules, around a number."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, *, scale: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        y = self.parts(x)
        return {"y": y * math.floor(float(scale)), "calls": self.calls * 2}


def test_a_model_captured_by_its_code() -> None:
    model = Weighted()
    reference = copy.deepcopy(model)
    converted = ts.from_pytorch(
        model, (X,), example_kwargs={"scale": torch.tensor(1.5)}, strict=True
    )
    for number in (2.5, 3.75):
        got, wanted = (m(X, scale=torch.tensor(number)) for m in (converted, reference))
        torch.testing.assert_close(got, wanted)
        torch.testing.assert_close(dict(model.named_buffers()), dict(reference.named_buffers()))
    assert {row.fqn for row in converted.report.nodes} == {"", "parts.0", "parts.1"}


#: Python's own questions about a bool that is read from a tensor.
BOOLS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "branch": lambda x, b: x + 1 if b.item() != 0 else x - 1,
    "not zero": lambda x, b: x * (b.item() != 0),
    "not true": lambda x, b: x * (b.item() != True),  # noqa: E712
    "is one": lambda x, b: x * (b.item() == 1),
    "is false": lambda x, b: x * (b.item() == False),  # noqa: E712
    "reflected": lambda x, b: x * (0 != b.item()),  # noqa: SIM300
    "of no bool": lambda x, b: x * (b.item() == 0.5) + (b.item() != 5),
    "number": lambda x, b: x * (b.item() == (x.sum() * 0).item()),
    "other bool": lambda x, b: x * ((x.sum() > 0).item() != b.item()),
    "result": lambda x, b: (b.item() == 0, b.item()),
    "fill": lambda x, b: torch.full((2,), b.item() != 0),
    "arithmetic": lambda x, b: x * (int(b.item()) + 1),
    "truth": lambda x, b: x * 2 if bool(b) and not b.any().item() else x * 3,
}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", BOOLS)
def test_a_bool_equals_the_number_it_is(name: str, first: bool) -> None:
    function = BOOLS[name]
    converted = ts.from_pytorch(Calling(function), (X, torch.tensor(first)))
    for value in (True, False):
        b = torch.tensor(value)
        torch.testing.assert_close(converted(X, b), function(X, b), rtol=0, atol=0)


def test_comparing_a_bool_to_a_number_is_compiled() -> None:
    function = BOOLS["not zero"]
    converted = ts.from_pytorch(Calling(function), (X, torch.tensor(True)), strict=True)
    assert torch.equal(converted(X, torch.tensor(False)), X * 0)


def _is_float(x: Tensor, b: Tensor) -> Tensor:
    scale = x.sum().item()
    return x * scale if isinstance(scale, (int, float)) else x


def _is_not_false(x: Tensor, b: Tensor) -> Tensor:
    flag = b.item()
    return x + 1 if flag is not False else x - 1


def _is_true(x: Tensor, b: Tensor) -> Tensor:
    return x + 1 if b.any().item() is True else x - 1


def _has_type(x: Tensor, b: Tensor) -> Tensor:
    return x + 1 if type(b.long().item()) is int else x - 1


@pytest.mark.parametrize("function", [_is_float, _is_not_false, _is_true, _has_type])
def test_asking_what_kind_of_number_it_is(function: Callable[..., Any]) -> None:
    """A symbol would give another answer than the number."""
    converted = ts.from_pytorch(Calling(function), (X, torch.tensor(True)))
    for value in (True, False):
        b = torch.tensor(value)
        torch.testing.assert_close(converted(X, b), function(X, b))
    with pytest.raises(StrictCaptureError, match="type or the identity"):
        ts.from_pytorch(Calling(function), (X, torch.tensor(True)), strict=True)


def test_asking_a_number_for_none_is_compiled() -> None:
    def function(x: Tensor) -> Tensor:
        scale = x.sum().item()
        return x * scale if scale is not None and not isinstance(scale, Tensor) else x

    converted = ts.from_pytorch(Calling(function), (X,), strict=True)
    torch.testing.assert_close(converted(X), function(X))


class Replacing(nn.Module):
    """Puts another tensor in the place of a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sum", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.sum = self.sum + int(x.sum())
        return x + self.sum


SEEN: list[int] = []


def _remembers(x: Tensor) -> Tensor:
    SEEN.append(int(x.sum()))
    return x * len(SEEN)


def _checks(x: Tensor) -> Tensor:
    count = int(x.sum())
    assert count >= 0, "none of those"
    return x * count


def _catches(x: Tensor) -> Tensor:
    try:
        return x[int(x[0])]
    except IndexError:
        return -x.sum()


def _is_told(x: Tensor) -> Tensor:
    return x * 0 if torch.compiler.is_compiling() else x * int(x.sum())


@pytest.mark.parametrize("function", [_remembers, _checks, _catches, _is_told])
def test_code_that_does_more_than_compute_runs_in_python(function: Callable[..., Any]) -> None:
    x = torch.tensor([1.0, 2.0, 4.0])
    with pytest.raises(StrictCaptureError):
        ts.from_pytorch(Calling(function), (x,), strict=True)
    converted = ts.from_pytorch(Calling(function), (x,))
    for given in (x, x + 1, x + 9):
        SEEN[:] = [5]
        got = converted(given)
        SEEN[:] = [5]
        torch.testing.assert_close(got, function(given))
    if function is _checks:
        with pytest.raises(AssertionError, match="none of those"):
            converted(-x)


def test_a_replaced_buffer_is_not_lost() -> None:
    x = torch.arange(3.0)
    model = Replacing()
    with pytest.raises(StrictCaptureError):
        ts.from_pytorch(model, (x,), strict=True)
    reference, converted = copy.deepcopy(model), ts.from_pytorch(model, (x,))
    for _ in range(3):
        torch.testing.assert_close(converted(x), reference(x))


def test_memory_put_behind_a_buffer() -> None:
    class Data(Replacing):
        def forward(self, x: Tensor) -> Tensor:
            self.sum.data = self.sum.data + x.sum()
            return x + self.sum

    x = torch.arange(3.0)
    model = Data()
    reference, converted = copy.deepcopy(model), ts.from_pytorch(model, (x,))
    for _ in range(3):
        torch.testing.assert_close(converted(x), reference(x))


@pytest.mark.parametrize(
    "function", [lambda x: x * float(x[0]) ** 0.5, lambda x: x * x[0].item() ** 0.5]
)
def test_a_root_that_is_complex(function: Callable[..., Any]) -> None:
    """In Python it is, of a negative number; a symbol for the number is taken for a real one."""
    converted = ts.from_pytorch(Calling(function), (torch.tensor([2.0, 3.0]),))
    for first in (4.0, 9.0, -4.0, 2.0, -1.0):
        x = torch.tensor([first, 1.0])
        torch.testing.assert_close(converted(x), function(x))
