# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators called by their names in ATen that PyTorch's fake tensors say something else of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from calling import Calling
from torch import Tensor

import tessera as ts
from tessera.errors import StrictCaptureError

aten: Any = torch.ops.aten
X = torch.linspace(-2, 3, 24).reshape(2, 3, 4)
HALF = torch.bfloat16


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """PyTorch warns of every out= that it gives another size."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*was resized.*")
        yield


def _both(function: Callable[..., Any], *given: Tensor, strict: bool = True) -> tuple[Any, Any]:
    """What a call gives and leaves in its arguments: converted, and in PyTorch."""
    converted = ts.from_pytorch(
        Calling(function), tuple(item.clone() for item in given), strict=strict
    )
    mine, theirs = ([item.clone() for item in given] for _ in range(2))
    return (converted(*mine), *mine), (function(*theirs), *theirs)


NORMS: dict[str, Callable[..., Any]] = {
    "native": lambda x, w, m, v: aten.native_batch_norm.default(x, w, w, m, v, False, 0.1, 1e-5),
    "packet": lambda x, w, m, v: aten.native_batch_norm(x, w, w, m, v, False, 0.1, 1e-5),
    "torch": lambda x, w, m, v: torch.native_batch_norm(x, w, w, m, v, False, 0.1, 1e-5),
    "no_stats": lambda x, w, m, v: aten._native_batch_norm_legit.no_stats(x, w, w, True, 0.1, 1e-5),
    "no_stats packet": lambda x, w, m, v: aten._native_batch_norm_legit(x, w, w, True, 0.1, 1e-5),
    "functional": lambda x, w, m, v: aten._native_batch_norm_legit_functional.default(
        x, w, w, m, v, True, 0.1, 1e-5
    ),
    "with_update": lambda x, w, m, v: aten._batch_norm_with_update_functional.default(
        x, w, w, m, v, 0.1, 1e-5
    ),
    "no_update": lambda x, w, m, v: aten._batch_norm_no_update.default(x, w, w, m, v, 0.1, 1e-5),
}


@pytest.mark.parametrize("of", [torch.float32, HALF])
@pytest.mark.parametrize("name", NORMS)
def test_statistics_have_the_dtype_of_parameters(name: str, of: torch.dtype) -> None:
    state = [torch.tensor(values).to(of) for values in ([1.0, 2, 3], [0.5, 1, 0], [1.0, 2, 1])]
    mine, theirs = _both(NORMS[name], X.to(HALF), *state)
    torch.testing.assert_close(mine, theirs)


def _legit(x: Tensor, m: Tensor, v: Tensor) -> Any:
    out, mean, deviation = (torch.empty(shape) for shape in ((2, 3, 4), (3,), (3,)))
    return aten._native_batch_norm_legit.out(
        x, m, m, m, v, True, 0.1, 1e-5, out=out, save_mean=mean, save_invstd=deviation
    )


def test_results_that_would_be_taken_for_one_another() -> None:
    state = (torch.tensor([0.5, 1, 0]), torch.tensor([1.0, 2, 1]))
    torch.testing.assert_close(*_both(_legit, X, *state, strict=False))
    with pytest.raises(StrictCaptureError, match="out="):
        _both(_legit, X, *state)


@pytest.mark.parametrize("function", [aten.normal.Tensor_float_out, aten.normal, torch.normal])
def test_normal_numbers_in_the_shape_of_out(function: Any) -> None:
    mine, theirs = _both(lambda x: function(x, 0.0, out=torch.empty(2, 3, 4)), X[0])
    torch.testing.assert_close(mine, theirs)


def test_signbit_is_a_bool() -> None:
    torch.testing.assert_close(*_both(torch.ops.prims.signbit, X))


RESIZING: dict[str, Callable[..., Any]] = {
    "add": lambda x, out: aten.add.out(x, x, out=out),
    "abs": lambda x, out: torch.abs(x, out=out),
    "used": lambda x, out: torch.abs(x, out=out) * 2,
}


@pytest.mark.parametrize("size", [0, 30, 4])
@pytest.mark.parametrize("name", RESIZING)
def test_out_of_another_size_is_resized(name: str, size: int) -> None:
    torch.testing.assert_close(*_both(RESIZING[name], X[0], torch.zeros(size, size)))


CHANGES: dict[str, Callable[..., Any]] = {
    "unsqueeze": lambda x: x.unsqueeze_(0) + 1,
    "squeeze": lambda x: x.squeeze_(0) + 1,
    "transpose": lambda x: x.t_() + 1,
    "resize": lambda x: x.resize_(2) + 1,
    "out": lambda x: torch.ones(2, 3, 4, out=x) * 2,
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_shape_for_an_argument_is_named(name: str) -> None:
    given = torch.ones(1, 3)
    torch.testing.assert_close(*_both(CHANGES[name], given, strict=False))
    with pytest.raises(StrictCaptureError, match="changes the shape of its argument 'given"):
        _both(CHANGES[name], given)
