# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Arguments that are no plain tensors of real numbers: the right answer, or a clear error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import tessera as ts
from tessera.errors import ArgumentError, ConversionError, InputMismatchError


class Fn(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.w = nn.Parameter(torch.arange(12.0).reshape(3, 4))

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


class Doubling(torch.Tensor):
    """A class that changes what an operator computes."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(func, types, args, kwargs or {})
        return result * 2 if func is torch.add else result


class Named(torch.Tensor):
    """A class that changes nothing."""


def numbers() -> torch.Tensor:
    return torch.arange(12.0).reshape(3, 4) + 1


def complex_numbers() -> torch.Tensor:
    return torch.complex(numbers(), numbers().flip(0))


def same(function: Callable[..., Any], make: Callable[[], Any], example: Any = None) -> Any:
    model = Fn(function)
    tess = ts.from_pytorch(model, (make() if example is None else example,))
    with torch.no_grad():
        for _ in range(2):
            result, expected = tess(make()), model(make())
            torch.testing.assert_close(result, expected)
            assert result.is_conj() == expected.is_conj()
    return tess


COMPLEX: dict[str, Callable[..., Any]] = {
    "abs": lambda s, x: x.abs() + 1,
    "mul": lambda s, x: x * 2j,
    "identity": lambda s, x: x,
    "conj": lambda s, x: x.conj(),
    "imag": lambda s, x: x.imag,
    "mixed": lambda s, x: x.abs() @ s.w.t(),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_arguments(name: str) -> None:
    same(COMPLEX[name], complex_numbers)
    same(COMPLEX[name], lambda: complex_numbers().conj())
    same(COMPLEX[name], lambda: complex_numbers().conj(), example=complex_numbers())


COMPLEX_INSIDE: dict[str, Callable[..., Any]] = {
    "result": lambda s, x: torch.fft.fft(x),
    "conjugate_result": lambda s, x: torch.fft.fft(x).conj(),
    "inside": lambda s, x: torch.fft.irfft(torch.fft.rfft(x) * 2) @ s.w.t(),
    "view": lambda s, x: torch.view_as_complex(x.reshape(3, 2, 2)) * 1j,
    "lazy_negation": lambda s, x: torch.fft.fft(x).conj().imag,
}


@pytest.mark.parametrize("name", COMPLEX_INSIDE)
def test_complex_numbers_inside(name: str) -> None:
    same(COMPLEX_INSIDE[name], numbers)


def test_parameters_and_plain_subclasses() -> None:
    for make in (lambda: nn.Parameter(numbers()), lambda: nn.Buffer(numbers())):
        same(lambda s, x: x + s.w, make, example=numbers())
    tess = ts.from_pytorch(Fn(lambda s, x: x + s.w), (numbers(),))
    result = tess(numbers().as_subclass(Named))
    assert torch.equal(result, numbers() + tess._torch.w)


def test_classes_that_compute_themselves_run_in_pytorch() -> None:
    model = Fn(lambda s, x: torch.add(x, 1))
    x = numbers().as_subclass(Doubling)
    tess = ts.from_pytorch(model, (x,))
    assert type(tess(x)) is Doubling
    assert torch.equal(tess(x).as_subclass(torch.Tensor), (numbers() + 1) * 2)
    assert "Doubling" in tess.report.islands[0].reason
    with pytest.raises(ConversionError, match="Doubling"):
        ts.from_pytorch(model, (x,), strict=True)
    plain = ts.from_pytorch(model, (numbers(),))
    with pytest.raises(InputMismatchError, match="__torch_function__"):
        plain(x)


UNUSUAL: dict[str, Callable[[], torch.Tensor]] = {
    "coo": lambda: numbers().to_sparse(),
    "csr": lambda: numbers().to_sparse_csr(),
    "nested": lambda: torch.nested.nested_tensor([numbers(), numbers()[:2]]),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_tensors_of_other_layouts(name: str) -> None:
    make = UNUSUAL[name]
    model = Fn(lambda s, x: x * 2)
    tess = ts.from_pytorch(model, (make(),))
    assert tess.report.mode == "pytorch"
    dense = (lambda t: t.to_padded_tensor(0)) if name == "nested" else (lambda t: t.to_dense())
    assert torch.equal(dense(tess(make())), dense(model(make())))
    tess.train()
    assert torch.equal(dense(tess(make())), dense(model(make())))
    plain = ts.from_pytorch(model, (numbers(),))
    plain(numbers())
    for _ in range(2):
        with pytest.raises(InputMismatchError, match="expected a dense tensor"):
            plain(make())


def test_sparse_tensors_inside_of_a_hybrid_model() -> None:
    """A graph network whose layers get a sparse matrix from a forward that stays Python."""

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor, links: torch.Tensor) -> torch.Tensor:
            return torch.relu(links @ self.fc(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.head = Layer(), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor, links: torch.Tensor) -> torch.Tensor:
            h = self.layer(x, links)
            return self.head(h) if h.sum() > 0 else self.head(-h)

    torch.manual_seed(0)
    model, links = Net(), torch.eye(3).to_sparse()
    tess = ts.from_pytorch(model, (numbers(), links))
    with torch.no_grad():
        torch.testing.assert_close(tess(numbers(), links), model(numbers(), links))
    wrapped = ts.compat.wrap(Layer())
    with torch.no_grad():
        for matrix in (torch.eye(3), links, torch.eye(3)):
            torch.testing.assert_close(
                wrapped(numbers(), matrix), wrapped._torch(numbers(), matrix)
            )


def test_other_devices_are_refused() -> None:
    model = Fn(lambda s, x: x + 1)
    with pytest.raises(ArgumentError, match="on meta"):
        ts.from_pytorch(model, (numbers().to("meta"),))
    tess = ts.from_pytorch(model, (numbers(),))
    with pytest.raises(InputMismatchError, match="on meta"):
        tess(numbers().to("meta"))


MODES = [torch.no_grad, torch.inference_mode, torch.enable_grad]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "function", [lambda s, x: x + s.w, lambda s, x: (x, s.w.t()), lambda s, x: x[x > 3] * 2]
)
def test_modes_of_the_caller(function: Callable[..., Any], mode: Any) -> None:
    model = Fn(function)
    with mode():
        tess = ts.from_pytorch(model, (numbers(),))
    for inner in MODES:
        with inner():
            torch.testing.assert_close(tess(numbers()), model(numbers()))


def test_tensors_made_in_inference_mode() -> None:
    with torch.inference_mode():
        x = numbers()
    same(lambda s, x: x + 1, lambda: x)
    same(lambda s, x: x.view(4, 3), lambda: x)
    same(lambda s, x: x[x > 2], lambda: x)


def test_arguments_that_require_grad() -> None:
    """A program computes no gradients, and says so instead of giving a result without history."""
    x = numbers().requires_grad_()
    tess = ts.from_pytorch(Fn(lambda s, x: x * 2), (x,))
    with pytest.raises(ArgumentError, match="requires grad"):
        tess(x)
    with torch.no_grad():
        assert torch.equal(tess(x), numbers() * 2)
    assert torch.equal(tess(x.detach()), numbers() * 2)
    assert not tess(numbers()).requires_grad
