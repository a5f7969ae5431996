# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Histograms, pieces whose lengths are data, and the places of what is not zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import Case, check, values
from torch import Tensor, nn

import tessera as ts

FLOATS = [torch.float32, torch.float64]
BAG = torch.tensor([4, 1, 1, 0, 4, 4, 2])
STARTS = torch.tensor([0, 3, 3, 5])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_histograms(dtype: torch.dtype) -> None:
    x, weight = values(500, dtype=dtype), values(500, dtype=dtype, seed=1)
    x[7], x[9] = torch.nan, torch.inf
    flat = values(6, 10, dtype=dtype)
    edges = torch.tensor([-3.0, -1.0, -0.5, 0.25, 2.0], dtype=dtype)
    calls: dict[str, Callable[..., Any]] = {
        "histc": lambda x, w, f: torch.histc(x, 10, -2, 2),
        "histc of its range": lambda x, w, f: torch.histc(f, 7),
        "histc of one value": lambda x, w, f: torch.histc(f * 0 + 1.5, 4),
        "histc one bin": lambda x, w, f: torch.histc(f, 1, -1, 1),
        "counts": lambda x, w, f: torch.histogram(f, 8),
        "range": lambda x, w, f: torch.histogram(x, 8, range=(-1.0, 2.5)),
        "weight": lambda x, w, f: torch.histogram(x, 5, range=(-2.0, 2.0), weight=w),
        "density": lambda x, w, f: torch.histogram(f, 5, density=True),
        "edges": lambda x, w, f: torch.histogram(f, edges),
        "edges, density": lambda x, w, f: torch.histogram(f, edges, density=True),
        "of one value": lambda x, w, f: torch.histogram(f[0, 0], 3),
        "of nothing": lambda x, w, f: torch.histogram(f[:0], 4),
        "histc of nothing": lambda x, w, f: torch.histc(f[:0], 4),
    }
    check(
        [
            Case(name, call, [x, weight, flat], exact=True, rtol=1e-5, atol=1e-5)
            for name, call in calls.items()
        ]
    )


@pytest.mark.parametrize("reduce", ["sum", "mean", "max", "min", "prod"])
def test_segments(reduce: str) -> None:
    x, lengths = values(12, 5), torch.tensor([3, 0, 4, 5])
    rows = torch.tensor([[2, 3, 0], [5, 0, 0]])
    table = values(2, 5, 3)
    offsets = torch.tensor([0, 3, 3, 7, 12])
    check(
        [
            Case("lengths", lambda x, n: torch.segment_reduce(x, reduce, lengths=n), [x, lengths]),
            Case("offsets", lambda x, n: torch.segment_reduce(x, reduce, offsets=n), [x, offsets]),
            Case(
                "initial",
                lambda x, n: torch.segment_reduce(x, reduce, lengths=n, initial=1.0),
                [x, lengths],
            ),
            Case(
                "axis",
                lambda x, n: torch.segment_reduce(x, reduce, lengths=n, axis=1),
                [table, rows],
            ),
        ]
    )


def test_elements_behind_the_last_segment() -> None:
    def total(x: Tensor, lengths: Tensor) -> Tensor:
        return torch.segment_reduce(x, "sum", lengths=lengths, unsafe=True)

    check([Case("unsafe", total, [values(7, 3), torch.tensor([2, 0, 3])])])


def test_repeats_that_are_data() -> None:
    x, repeats = values(3, 4), torch.tensor([1, 0, 3])
    calls: dict[str, Callable[..., Any]] = {
        "rows": lambda x, r: x.repeat_interleave(r, 0, output_size=4),
        "flat": lambda x, r: x[:, 0].repeat_interleave(r, output_size=4),
        "one for all": lambda x, r: x.repeat_interleave(r[2:], 1, output_size=12),
        "places": lambda x, r: torch.repeat_interleave(r, output_size=4),
    }
    check([Case(name, call, [x, repeats]) for name, call in calls.items()])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags(mode: str) -> None:
    weight, sample = values(5, 6), values(7, seed=3)

    def bag(**options: Any) -> Callable[..., Tensor]:
        return lambda w, i, o: F.embedding_bag(i, w, o, mode=mode, **options)

    last = torch.tensor([0, 3, 3, 5, 7])
    cases = [
        Case("offsets", bag(), [weight, BAG, STARTS]),
        Case("padding", bag(padding_idx=4), [weight, BAG, STARTS]),
        Case("padding from the end", bag(padding_idx=-1), [weight, BAG, STARTS]),
        Case("last offset", bag(include_last_offset=True), [weight, BAG, last]),
        Case("int32", bag(), [weight, BAG.int(), STARTS.int()]),
        Case(
            "matrix",
            lambda w, i: F.embedding_bag(i, w, mode=mode),
            [weight, torch.tensor([[0, 1, 4], [2, 2, 0]])],
        ),
        Case("half", bag(), [weight.bfloat16(), BAG, STARTS], exact=True, rtol=2e-2, atol=2e-2),
    ]
    if mode == "sum":
        cases.append(
            Case(
                "weighted",
                lambda w, i, o, s: F.embedding_bag(i, w, o, mode="sum", per_sample_weights=s),
                [weight, BAG, STARTS, sample],
            )
        )
    check(cases)


def test_a_bag_as_a_module() -> None:
    module = nn.EmbeddingBag(20, 8, mode="mean", padding_idx=3).eval()
    ids, starts = torch.randint(0, 20, (30,)), torch.tensor([0, 4, 4, 11, 29])
    with torch.no_grad():
        converted = ts.from_pytorch(module, example_inputs=(ids, starts), strict=True)
        torch.testing.assert_close(converted(ids, starts), module(ids, starts))
        other = torch.tensor([0, 1, 2, 3, 30])
        torch.testing.assert_close(converted(ids, other), module(ids, other))
        with pytest.raises(IndexError, match="index out of range"):
            converted(ids + 1 + (ids == 19), starts)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_equal_bags_are_rows(mode: str) -> None:
    """The indices of a matrix need no search for the bag of each, and no scattered sums."""
    cases = []
    index = torch.tensor([[1, 3, 0], [3, 3, 3], [19, 3, 2]])
    for options in ({}, {"padding_idx": 3}):
        module = nn.EmbeddingBag(20, 40, mode=mode, **options).eval()
        tess = ts.from_pytorch(module, example_inputs=(index,), strict=True)
        assert [row.kind for row in tess.report.kernels if row.kind == "library"] == []
        cases.append(Case(f"{mode} {options}", module, [index]))
    factors = values(3, 3)
    if mode == "sum":
        weight = values(20, 40)
        cases.append(
            Case(
                "factors",
                lambda w, i, s: F.embedding_bag(i, w, mode="sum", per_sample_weights=s),
                [weight, index, factors],
            )
        )
    check(cases)


def test_renormalized_embeddings() -> None:
    ids = torch.tensor([[1, 3], [3, 0]])
    check(
        [
            Case(
                f"norm {order}",
                lambda w, i, p=order: torch.ops.aten.embedding_renorm(w, i, 1.5, p),
                [values(6, 4), ids],
                exact=True,
            )
            for order in (1.0, 2.0, 3.0)
        ]
    )


def test_places_of_what_is_not_zero() -> None:
    x = values(4, 5, dtype=torch.int32, low=-2, high=2)
    calls: dict[str, Callable[[Tensor], Any]] = {
        "enough": lambda x: torch.nonzero_static(x, size=20),
        "too few": lambda x: torch.nonzero_static(x, size=3),
        "filled": lambda x: torch.nonzero_static(x[0], size=9, fill_value=-7),
        "none": lambda x: torch.nonzero_static(x, size=0),
        "of nothing": lambda x: torch.nonzero_static(x[:0], size=2),
        "cube": lambda x: torch.nonzero_static(x.reshape(2, 2, 5) > 0, size=11),
    }
    check([Case(name, call, [x]) for name, call in calls.items()])
