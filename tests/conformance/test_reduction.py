# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reductions, softmax and scans against PyTorch in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from harness import FLOATS, INTEGERS, Case, check, layouts, values
from torch import Tensor

import tessera as ts

REDUCTIONS: dict[str, Callable[[Tensor], Any]] = {
    "sum": torch.sum,
    "sum 0": lambda x: x.sum(0),
    "sum -1": lambda x: x.sum(-1),
    "sum 1 kept": lambda x: x.sum(1, keepdim=True),
    "sum (0, 2)": lambda x: x.sum((0, 2)),
    "sum ()": lambda x: x.sum(()),
    "sum dtype": lambda x: x.sum(1, dtype=torch.float64),
    "mean": torch.mean,
    "mean 1": lambda x: x.mean(1),
    "mean (1, 2) kept": lambda x: x.mean((1, 2), keepdim=True),
    "mean dtype": lambda x: x.mean(0, dtype=torch.float64),
    "prod": lambda x: torch.prod(x[0, 0, :5]),
    "prod 1": lambda x: x[:, :4].prod(1),
    "amax": torch.amax,
    "amax 1": lambda x: x.amax(1),
    "amin (0, 2)": lambda x: x.amin((0, 2), keepdim=True),
    "max": torch.max,
    "min": torch.min,
    "max 1": lambda x: torch.max(x, 1),
    "min 0 kept": lambda x: torch.min(x, 0, keepdim=True),
    "aminmax": lambda x: torch.aminmax(x, dim=2),
    "argmax": torch.argmax,
    "argmax 0": lambda x: x.argmax(0),
    "argmin 2 kept": lambda x: x.argmin(2, keepdim=True),
    "any": lambda x: (x > 2.9).any(),
    "any 1": lambda x: (x > 2).any(1),
    "all (0, 1)": lambda x: (x > -2.9).all(0).all(0),
    "any of numbers": lambda x: x.any(2),
    "all of numbers": lambda x: x.all(),
    "logsumexp": lambda x: torch.logsumexp(x, 1),
    "logsumexp all": lambda x: torch.logsumexp(x, (0, 1, 2), keepdim=True),
    "var": torch.var,
    "var 1": lambda x: x.var(1),
    "var biased": lambda x: x.var(2, unbiased=False),
    "var correction": lambda x: x.var((0, 2), correction=2, keepdim=True),
    "std": torch.std,
    "std 0": lambda x: x.std(0),
    "var_mean": lambda x: torch.var_mean(x, 1),
    "std_mean": lambda x: torch.std_mean(x, (1, 2), correction=0),
    "norm": lambda x: torch.linalg.vector_norm(x),
    "norm 1": lambda x: torch.linalg.vector_norm(x, 1, dim=2),
    "norm 3": lambda x: torch.linalg.vector_norm(x, 3, dim=1),
    "norm inf": lambda x: torch.linalg.vector_norm(x, math.inf, dim=(0, 1)),
    "norm 0": lambda x: torch.linalg.vector_norm(x, 0, dim=0),
    "normalize": lambda x: torch.nn.functional.normalize(x, dim=1),
    "count_nonzero": lambda x: torch.count_nonzero(x.relu(), 1),
    "nansum": lambda x: torch.nansum(x, 1),
    "nanmean": lambda x: torch.nanmean(x, 1),
    "cumsum": lambda x: torch.cumsum(x, 1),
    "cumsum -1": lambda x: torch.cumsum(x, -1),
    "cumsum 0": lambda x: torch.cumsum(x, 0),
    "cumprod": lambda x: torch.cumprod(x[:, :4], 1),
    "logcumsumexp": lambda x: torch.logcumsumexp(x, 1),
    "softmax": lambda x: torch.softmax(x, -1),
    "softmax 0": lambda x: torch.softmax(x, 0),
    "softmax 1": lambda x: torch.softmax(x, 1),
    "softmax dtype": lambda x: torch.softmax(x, -1, dtype=torch.float64),
    "log_softmax": lambda x: torch.log_softmax(x, -1),
    "log_softmax 1": lambda x: torch.log_softmax(x, 1),
    "softmin": lambda x: torch.nn.functional.softmin(x, 1),
    "safe softmax": lambda x: torch._safe_softmax(x.masked_fill(x < 1, -math.inf), 1),
    "centred": lambda x: x - x.mean(-1, keepdim=True),
    "scaled": lambda x: x / (x.std(-1, keepdim=True) + 1e-5),
    "chain": lambda x: (x.exp().sum(-1) + 1).log().mean(),
}

LOOSE: dict[torch.dtype, dict[str, float]] = {
    torch.float32: {"rtol": 5e-6, "atol": 2e-5},
    torch.float64: {},
    torch.float16: {"rtol": 2e-3, "atol": 1e-3},
    torch.bfloat16: {"rtol": 1.6e-2, "atol": 1e-2},
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_reductions(dtype: torch.dtype) -> None:
    x = values(5, 21, 18, dtype=dtype)
    # Running sums of half precision: torch rounds each step or not, as its loop has it.
    unpromised = ("cum", "chain", "prod") if dtype.itemsize == 2 else ()
    check(
        [
            Case(name, function, [x], **LOOSE[dtype])
            for name, function in REDUCTIONS.items()
            if not name.startswith(unpromised or ("!",))
        ]
    )


def test_long_rows() -> None:
    x = values(3, 5000)
    names = ["sum -1", "softmax", "log_softmax", "var_mean", "argmax 0", "sum", "mean", "amax"]
    functions = {name: REDUCTIONS[name] for name in names}
    functions["columns"] = lambda x: x.sum(0)
    functions["max with position"] = lambda x: x.max(1)
    check([Case(name, function, [x], rtol=1e-5, atol=1e-4) for name, function in functions.items()])


def test_layouts() -> None:
    cases = []
    for name, x in layouts().items():
        if x.ndim:
            cases += [
                Case(f"{name}: sum last", lambda x: x.sum(-1), [x], rtol=1e-5),
                Case(f"{name}: sum first", lambda x: x.sum(0), [x], rtol=1e-5),
            ]
            if x.shape[-1]:
                cases.append(Case(f"{name}: softmax", lambda x: torch.softmax(x, -1), [x]))
                cases.append(Case(f"{name}: softmax 0", lambda x: torch.softmax(x, 0), [x]))
        cases.append(Case(f"{name}: sum", torch.sum, [x], rtol=1e-5, atol=1e-4))
        cases.append(Case(f"{name}: mean", torch.mean, [x], rtol=1e-5))
        cases.append(Case(f"{name}: any", lambda x: (x > 0).any(), [x]))
    check(cases)


def test_nothing_to_reduce() -> None:
    x = values(3, 0, 4)
    check(
        [
            Case("sum", lambda x: x.sum(1), [x]),
            Case("sum all", torch.sum, [x]),
            Case("prod", lambda x: x.prod(1), [x]),
            Case("mean", lambda x: x.mean(1), [x]),
            Case("any", lambda x: (x > 0).any(1), [x]),
            Case("all", lambda x: (x > 0).all(1), [x]),
            Case("amax of the others", lambda x: x.amax(2), [x]),
            Case("var", lambda x: x.var(1), [x]),
            Case("var of one", lambda x: x.var(0), [values(1, 4)]),
            Case("softmax", lambda x: torch.softmax(x, 1), [x]),
            Case("logsumexp", lambda x: torch.logsumexp(x, 1), [x]),
            Case("0-d", lambda x: (x.sum(), x.mean(), x.amax(), x.argmax()), [values()]),
            Case("0-d softmax", lambda x: torch.softmax(x, 0), [values()]),
        ]
    )


def test_special_values() -> None:
    nan, inf = math.nan, math.inf
    x = torch.tensor(
        [
            [1.0, nan, 3.0, 2.0],
            [inf, 1.0, -inf, 0.0],
            [-inf, -inf, -inf, -inf],
            [inf, inf, 1.0, 2.0],
            [1e30, -1e30, 1e30, 3.0],
            [-0.0, 0.0, -0.0, 0.0],
            [2.0, 2.0, 2.0, 2.0],
        ]
    )
    functions: dict[str, Callable[[Tensor], Any]] = {
        "amax": lambda x: x.amax(1), "amin": lambda x: x.amin(1), "max": lambda x: x.max(1),
        "min": lambda x: x.min(1), "argmax": lambda x: x.argmax(1), "argmin": lambda x: x.argmin(1),
        "softmax": lambda x: torch.softmax(x, 1), "log_softmax": lambda x: torch.log_softmax(x, 1),
        "logsumexp": lambda x: torch.logsumexp(x, 1), "any": lambda x: x.any(1),
        "all": lambda x: x.all(1), "nansum": lambda x: x.nansum(1), "sum": lambda x: x.sum(1),
        "amax columns": lambda x: x.amax(0), "max columns": lambda x: x.max(0),
    }  # fmt: skip
    check([Case(name, function, [x], exact=True) for name, function in functions.items()])


@pytest.mark.parametrize("dtype", [*INTEGERS, torch.bool], ids=str)
def test_integers(dtype: torch.dtype) -> None:
    x = values(4, 7, 9, dtype=dtype, low=-100, high=100)
    functions: dict[str, Callable[[Tensor], Any]] = {
        "sum": torch.sum, "sum 1": lambda x: x.sum(1), "sum 2": lambda x: x.sum(2, dtype=x.dtype),
        "prod": lambda x: x[0, :3].prod(0), "amax": lambda x: x.amax(1),
        "amin": lambda x: x.amin((0, 2)), "any": lambda x: x.any(1), "all": lambda x: x.all(0),
        "mean": lambda x: x.mean(1, dtype=torch.float32),
        "max": lambda x: x.max(1).values, "count": lambda x: x.count_nonzero(1),
        "cumsum": lambda x: x.cumsum(1),
    }  # fmt: skip
    if dtype != torch.bool:
        functions |= {
            "argmax": lambda x: x.argmax(1), "argmin": lambda x: x.argmin(0),
            "min": lambda x: x.min(2),
            "logsumexp": lambda x: torch.logsumexp(x, 1), "cumprod": lambda x: x[:, :3].cumprod(1),
        }  # fmt: skip
    check([Case(name, function, [x]) for name, function in functions.items()])


SCANS: dict[str, Callable[[Tensor, int], Any]] = {
    "cumsum": torch.cumsum,
    "cumprod": torch.cumprod,
    "cummax": torch.cummax,
    "cummin": torch.cummin,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.int8], ids=str)
def test_partial_results(dtype: torch.dtype) -> None:
    """In torch's order and accumulator, so to the bit, wherever rows lie."""
    wide = values(3, 11, 600, dtype=dtype, low=-2, high=2)
    if dtype.is_floating_point:
        wide.view(-1)[::97] = math.nan
        wide.view(-1)[5::89] = math.inf
        wide.view(-1)[7::83] = -math.inf
    tensors = {
        "whole": wide, "permuted": wide.permute(2, 0, 1), "every other": wide[:, ::2, 1::2],
        "broadcast": wide[:, :1].expand(3, 7, 600), "one row": wide[0, 0],
        "one column": wide[..., :1], "no row": wide[:0], "no column": wide[:, :, :0],
    }  # fmt: skip
    check(
        [
            Case(f"{name} {what} {dim}", lambda x, f=function, d=dim: f(x, d), [x], exact=True)
            for name, function in SCANS.items()
            for what, x in tensors.items()
            for dim in range(x.ndim)
            if x.numel() or not name.startswith("cumm")
        ]
    )


@pytest.mark.parametrize("dim", [0, 1])
def test_long_sums_stay_exact(dim: int) -> None:
    class Sums(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cumsum(x, dim)

    x = torch.rand(*((40_000, 3) if dim == 0 else (3, 40_000)))
    wanted = torch.cumsum(x.double(), dim)
    got = torch.as_tensor(ts.from_pytorch(Sums(), example_inputs=(x,), strict=True)(x))
    assert ((got - wanted).abs() / wanted).max() < 1e-7


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_nan_wins_wherever_it_is(dtype: torch.dtype) -> None:
    x = values(150, 150, dtype=dtype, low=-100, high=100)
    x.fill_diagonal_(math.nan)
    x[:, 75:] += 1000
    functions: dict[str, Callable[[Tensor], Any]] = {
        "amax": lambda x: x.amax(1), "amin": lambda x: x.amin(1),
        "amax columns": lambda x: x.amax(0), "amin columns": lambda x: x.amin(0),
        "max of all": torch.max, "pool": lambda x: torch.max_pool2d(x[None, None], 3, 1, 1),
    }  # fmt: skip
    check([Case(name, function, [x], exact=True) for name, function in functions.items()])
