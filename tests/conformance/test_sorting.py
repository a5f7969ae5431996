# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rows in order and places in them, against PyTorch: values, positions, ties, NaN, layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from harness import FLOATS, INTEGERS, Case, check, layouts, special, values
from torch import Tensor

#: Functions of a matrix whose positions are the same whatever PyTorch does inside.
FUNCTIONS: dict[str, Callable[[Tensor], Any]] = {
    "sort": lambda x: torch.sort(x, stable=True),
    "sort dim 0": lambda x: torch.sort(x, dim=0, stable=True),
    "sort descending": lambda x: torch.sort(x, dim=1, descending=True, stable=True),
    "argsort": lambda x: torch.argsort(x, dim=0, descending=True, stable=True),
    "unstable": torch.sort,
    "unstable descending": lambda x: torch.sort(x, dim=0, descending=True),
    "unstable argsort": torch.argsort,
    "msort": torch.msort,
    "cummax": lambda x: torch.cummax(x, 1),
    "cummax dim 0": lambda x: torch.cummax(x, 0),
    "cummin": lambda x: torch.cummin(x, -1),
    "mode": lambda x: torch.mode(x, 1),
    "mode kept": lambda x: torch.mode(x, 0, keepdim=True),
}
#: The same, without bool.
NUMERIC: dict[str, Callable[[Tensor], Any]] = {
    "topk": lambda x: torch.topk(x, 3),
    "topk dim 0": lambda x: torch.topk(x, 2, dim=0),
    "topk smallest": lambda x: torch.topk(x, 3, largest=False),
    "topk unsorted": lambda x: torch.topk(x, 4, sorted=False),
    "topk none": lambda x: torch.topk(x, 0),
    "topk all": lambda x: torch.topk(x, x.shape[1]),
    "kthvalue": lambda x: torch.kthvalue(x, 3),
    "kthvalue kept": lambda x: torch.kthvalue(x, 2, dim=0, keepdim=True),
    "median": lambda x: torch.median(x, 1),
    "median kept": lambda x: torch.median(x, 0, keepdim=True),
    "median of all": torch.median,
    "nanmedian": lambda x: torch.nanmedian(x, 1),
    "nanmedian of all": torch.nanmedian,
}


def _cases(x: Tensor, *tables: dict[str, Callable[[Tensor], Any]]) -> list[Case]:
    return [
        Case(name, function, [x], exact=True)
        for table in tables
        for name, function in table.items()
    ]


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, torch.bool], ids=str)
def test_types_and_ties(dtype: torch.dtype) -> None:
    """Few distinct values: every position is a choice among equals."""
    x = values(7, 90, dtype=dtype, low=-4, high=4)
    if dtype.is_floating_point:
        x = x.round()
    check(_cases(x, FUNCTIONS) if dtype == torch.bool else _cases(x, FUNCTIONS, NUMERIC))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_special_values(dtype: torch.dtype) -> None:
    line = special(dtype)
    x = torch.stack([line, line.flip(0), line.roll(5), torch.full_like(line, torch.nan)])
    # PyTorch's mode does not know what to do with NaN.
    functions = {name: call for name, call in FUNCTIONS.items() if not name.startswith("mode")}
    check(_cases(x, functions, NUMERIC))
    check(_cases(x.nan_to_num(1.0), {"mode": FUNCTIONS["mode"]}))


def test_the_sign_of_zero_survives() -> None:
    x = torch.tensor([0.0, -0.0, 0.0, -0.0])
    check([Case("signs", lambda x: torch.copysign(torch.ones(4), x.sort()[0]), [x], exact=True)])


@pytest.mark.parametrize("name", layouts())
def test_layouts(name: str) -> None:
    x = layouts()[name]
    table: dict[str, Callable[[Tensor], Any]] = {
        "sort": lambda x: torch.sort(x, stable=True),
        "argsort": lambda x: torch.argsort(x, dim=0, descending=True, stable=True),
        "cummin": lambda x: torch.cummin(x, -1),
    }
    if x.numel():
        table |= {
            "topk": lambda x: torch.topk(x, 1),
            "median": lambda x: torch.median(x, 0),
            "median of all": torch.median,
            "mode": lambda x: torch.mode(x, -1),
            "kthvalue": lambda x: torch.kthvalue(x, 1, dim=0),
        }
    check(_cases(x, table))


@pytest.mark.parametrize("length", [1, 2, 3, 17, 383, 384, 5000])
def test_lengths(length: int) -> None:
    """Short rows are compared, long ones counted by digits; topk takes a heap or partitions."""
    rows = {
        torch.float32: values(3, length),
        torch.float64: values(2, length, dtype=torch.float64),
        torch.int64: values(2, length, dtype=torch.int64, low=-(2**40), high=2**40),
        torch.int32: values(3, length, dtype=torch.int32, low=0, high=5),
        torch.uint8: values(3, length, dtype=torch.uint8, high=255),
    }
    cases = []
    for dtype, x in rows.items():
        table: dict[str, Callable[[Tensor], Any]] = {
            "sort": lambda x: torch.sort(x, stable=True),
            "descending": lambda x: torch.sort(x, descending=True, stable=True),
            "unstable": lambda x: torch.sort(x),
            "topk": lambda x: torch.topk(x, max(length // 100, 1)),
            "half": lambda x: torch.topk(x, (length + 1) // 2, largest=False),
            "kth": lambda x: torch.kthvalue(x, (length + 1) // 2),
            "median": lambda x: torch.median(x, 1),
            "mode": lambda x: torch.mode(x, 1),
        }
        cases += [Case(f"{dtype} {name}", call, [x], exact=True) for name, call in table.items()]
    check(cases)


def test_long_vectors_of_integers() -> None:
    """PyTorch sorts them by digits."""
    check(
        [
            Case(
                f"{size} {dtype} {descending}",
                lambda x, d=descending: torch.sort(x, descending=d),
                [values(size, dtype=dtype, low=0, high=100)],
                exact=True,
            )
            for size in (32767, 32768)
            for dtype in (torch.int64, torch.uint8, torch.float32)
            for descending in (False, True)
        ]
    )


def test_of_scalars_and_nothing() -> None:
    scalar, empty = torch.tensor(2.5), torch.empty(3, 0)
    check(
        [
            Case("sort 0-d", lambda x: torch.sort(x), [scalar]),
            Case("topk 0-d", lambda x: torch.topk(x, 1), [scalar]),
            Case("kthvalue 0-d", lambda x: torch.kthvalue(x, 1), [scalar]),
            Case("median 0-d", lambda x: torch.median(x, 0), [scalar]),
            Case("mode 0-d", lambda x: torch.mode(x), [scalar]),
            Case("cummax 0-d", lambda x: torch.cummax(x, 0), [scalar]),
            Case("sort empty", lambda x: torch.sort(x), [empty]),
            Case("topk empty", lambda x: torch.topk(x, 0), [empty]),
            Case("topk no rows", lambda x: torch.topk(x, 2, dim=0), [empty]),
            Case("median no rows", lambda x: torch.median(x, 0), [empty]),
            Case("cummin empty", lambda x: torch.cummin(x, 1), [empty]),
        ]
    )


def test_positions_feed_other_kernels() -> None:
    x, table = values(6, 40), values(40, 8)
    check(
        [
            Case("gather", lambda x, t: t[x.argsort(1)[:, :3]].sum(1), [x, table]),
            Case("ranks", lambda x, t: x.argsort(1).argsort(1) + 1, [x, table]),
            Case("between", lambda x, t: (x.exp().sort(1)[0] * 2).softmax(1), [x, table]),
            Case("top mask", lambda x, t: x * (x >= x.topk(5, 1)[0][:, -1:]), [x, table]),
        ]
    )


# --- quantiles -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantiles(how: str) -> None:
    x = values(6, 11)
    x[2, 3] = x[4, 0] = torch.nan
    x[5] = torch.nan
    several = torch.tensor([0.0, 0.13, 0.5, 0.77, 1.0])
    cases = []
    for name, function in {"quantile": torch.quantile, "nanquantile": torch.nanquantile}.items():
        calls: dict[str, Callable[..., Any]] = {
            "one": lambda x, f=function: f(x, 0.3, dim=1, interpolation=how),
            "all": lambda x, f=function: f(x[:2], 0.61, interpolation=how),
            "all kept": lambda x, f=function: f(x, 0.5, keepdim=True, interpolation=how),
            "kept": lambda x, f=function: f(x, 0.9, dim=0, keepdim=True, interpolation=how),
            "several": lambda x, f=function: f(x, several, dim=1, interpolation=how),
            "several kept": lambda x, f=function: f(
                x, several, dim=0, keepdim=True, interpolation=how
            ),
            "vector": lambda x, f=function: f(x[0], several, interpolation=how),
        }
        cases += [Case(f"{name} {part}", call, [x], exact=True) for part, call in calls.items()]
    check(cases)


# --- places in sequences ---------------------------------------------------------------------


def test_searching() -> None:
    rows, wanted = values(4, 30).sort(1)[0], values(4, 7, seed=1)
    line, nan = rows[0].clone(), float("nan")
    order = values(30).argsort()
    shuffled = torch.empty(30).scatter(0, order, line)
    tail = torch.tensor([1.0, 2.0, 2.0, nan, nan])
    odd = torch.tensor([0.0, 2.0, 5.0, nan, float("inf"), -float("inf")])
    exact = values(4, 7, dtype=torch.int64, high=9)
    steps = torch.arange(0, 9, 2)
    check(
        [
            Case("rows", torch.searchsorted, [rows, wanted]),
            Case("rows right", lambda s, v: torch.searchsorted(s, v, right=True), [rows, wanted]),
            Case("side", lambda s, v: torch.searchsorted(s, v, side="right"), [rows, wanted]),
            Case("own elements", lambda s, v: torch.searchsorted(s, s), [rows, wanted]),
            Case("line", torch.searchsorted, [line, wanted]),
            Case("number", lambda s: torch.searchsorted(s, 0.25), [line]),
            Case("int32", lambda s, v: torch.searchsorted(s, v, out_int32=True), [line, wanted]),
            Case(
                "sorter",
                lambda s, v, o: torch.searchsorted(s, v, sorter=o),
                [shuffled, wanted, order],
            ),
            Case("nan", torch.searchsorted, [tail, odd], exact=True),
            Case(
                "nan right",
                lambda s, v: torch.searchsorted(s, v, right=True),
                [tail, odd],
                exact=True,
            ),
            Case("integers", torch.searchsorted, [steps, exact]),
            Case("bucketize", torch.bucketize, [wanted, line]),
            Case("bucketize right", lambda v, s: torch.bucketize(v, s, right=True), [exact, steps]),
            Case("transposed", lambda s, v: torch.bucketize(v.t(), s), [line, wanted]),
            Case("no boundaries", lambda s, v: torch.bucketize(v, s[:0]), [line, wanted]),
            Case("no values", lambda s, v: torch.bucketize(v[:0], s), [line, wanted]),
        ]
    )
