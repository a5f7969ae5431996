# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Contractions against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers.integrations.moe  # noqa: F401 - registers an operator
from calling import Calling
from harness import FLOATS, INTEGERS, Case, check, run, values

import tessera as ts

#: Sums of K products: the tolerance of one dot product of half precision, K around 64.
DOT: dict[torch.dtype, dict[str, float]] = {
    torch.float32: {"rtol": 1e-5, "atol": 2e-5},
    torch.float64: {},
    torch.float16: {"rtol": 2e-3, "atol": 1e-3},
    torch.bfloat16: {"rtol": 1.6e-2, "atol": 1e-2},
}

MATMUL_SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((7,), (7,)),
    ((7,), (7, 5)),
    ((5, 7), (7,)),
    ((7,), (3, 7, 5)),
    ((3, 5, 7), (7,)),
    ((5, 7), (7, 3)),
    ((1, 7), (7, 1)),
    ((3, 5, 7), (7, 4)),
    ((5, 7), (3, 7, 4)),
    ((3, 5, 7), (3, 7, 4)),
    ((3, 1, 5, 7), (4, 7, 6)),
    ((2, 3, 1, 5, 7), (2, 1, 4, 7, 6)),
    ((33, 65), (65, 17)),
    ((130, 64), (64, 70)),
    ((1, 300), (300, 40)),
    ((48, 1), (1, 48)),
]
EMPTY_SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((0, 7), (7, 3)),
    ((5, 7), (7, 0)),
    ((5, 0), (0, 3)),
    ((0, 5, 7), (7, 3)),
    ((2, 0, 3), (2, 3, 4)),
    ((0,), (0,)),
]


def _matmuls(shapes: Any, dtype: torch.dtype) -> list[Case]:
    return [
        Case(
            f"{a} @ {b}",
            torch.matmul,
            [values(*a, dtype=dtype, low=-1, high=1), values(*b, dtype=dtype, low=-1, high=1)],
            **DOT[dtype],
        )
        for a, b in shapes
    ]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_matmul(dtype: torch.dtype) -> None:
    check(_matmuls(MATMUL_SHAPES, dtype))


def test_matmul_without_elements() -> None:
    check(_matmuls(EMPTY_SHAPES, torch.float32))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_spellings(dtype: torch.dtype) -> None:
    def at(*shape: int, seed: int = 0) -> torch.Tensor:
        return values(*shape, dtype=dtype, low=-1, high=1, seed=seed)

    cases: dict[str, tuple[Callable[..., Any], list[torch.Tensor]]] = {
        "mm": (torch.mm, [at(6, 20), at(20, 9)]),
        "bmm": (torch.bmm, [at(3, 6, 20), at(3, 20, 9)]),
        "mv": (torch.mv, [at(6, 20), at(20)]),
        "dot": (torch.dot, [at(50), at(50, seed=1)]),
        "outer": (torch.outer, [at(6), at(9)]),
        "addmm": (torch.addmm, [at(9), at(6, 20), at(20, 9)]),
        "addmm full": (torch.addmm, [at(6, 9), at(6, 20), at(20, 9)]),
        "addmm scaled": (
            lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2),
            [at(6, 9), at(6, 20), at(20, 9)],
        ),
        "addmm beta 0": (
            lambda c, a, b: torch.addmm(c, a, b, beta=0),
            [torch.full((6, 9), float("nan"), dtype=dtype), at(6, 20), at(20, 9)],
        ),
        "baddbmm": (torch.baddbmm, [at(3, 6, 9), at(3, 6, 20), at(3, 20, 9)]),
        "baddbmm scaled": (
            lambda c, a, b: torch.baddbmm(c, a, b, beta=2, alpha=0.25),
            [at(1, 9), at(3, 6, 20), at(3, 20, 9)],
        ),
        "addbmm": (torch.addbmm, [at(6, 9), at(3, 6, 20), at(3, 20, 9)]),
        "addmv": (torch.addmv, [at(6), at(6, 20), at(20)]),
        "addr": (torch.addr, [at(6, 9), at(6), at(9)]),
        "linear": (F.linear, [at(4, 6, 20), at(9, 20), at(9)]),
        "linear without bias": (F.linear, [at(6, 20), at(9, 20)]),
        "linear of a vector": (F.linear, [at(20), at(9, 20), at(9)]),
        "linear to a number": (F.linear, [at(6, 20), at(20)]),
        "inner": (torch.inner, [at(4, 20), at(5, 20)]),
        "tensordot": (lambda a, b: torch.tensordot(a, b, dims=2), [at(3, 4, 5), at(4, 5, 6)]),
        "tensordot dims": (
            lambda a, b: torch.tensordot(a, b, dims=([0, 2], [1, 0])),
            [at(3, 4, 5), at(5, 3, 6)],
        ),
        "einsum": (lambda a, b: torch.einsum("bij,bkj->bik", a, b), [at(2, 4, 8), at(2, 5, 8)]),
        "einsum heads": (
            lambda a, b: torch.einsum("bqhd,bkhd->bhqk", a, b),
            [at(2, 4, 3, 8), at(2, 5, 3, 8)],
        ),
        "kron": (torch.kron, [at(2, 3), at(4, 5)]),
        "chain": (torch.linalg.multi_dot, [at(3, 8), at(8, 5), at(5, 4)]),
        "bilinear": (F.bilinear, [at(4, 5), at(4, 6), at(3, 5, 6), at(3)]),
    }
    cases["chain"] = (lambda *m: torch.linalg.multi_dot(m), cases["chain"][1])
    # Sums over products of products are not promised by torch either.
    check(
        [
            Case(name, function, inputs, **DOT[dtype])
            for name, (function, inputs) in cases.items()
            if name != "chain" or dtype.itemsize > 2
            if name != "bilinear"
        ]
    )


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers(dtype: torch.dtype) -> None:
    a, b = values(7, 19, dtype=dtype, low=-9, high=9), values(19, 5, dtype=dtype, low=-9, high=9)
    c = values(7, 5, dtype=dtype, low=-9, high=9)
    check(
        [
            Case("matmul", torch.matmul, [a, b]),
            Case("batched", torch.matmul, [a.expand(3, 7, 19), b]),
            Case("transposed", lambda a, b: b.t() @ a.t(), [a, b]),
            Case("addmm", lambda c, a, b: torch.addmm(c, a, b, beta=2, alpha=3), [c, a, b]),
            Case("dot", torch.dot, [a[0], a[1]]),
            Case("outer", torch.outer, [a[0], b[0]]),
        ]
    )


def test_layouts() -> None:
    a, b = values(12, 40, low=-1, high=1), values(40, 24, low=-1, high=1)
    wide = values(12, 80, low=-1, high=1)
    head = values(2, 5, 3, 16, low=-1, high=1)
    check(
        [
            Case("a transposed", lambda a, b: a.t() @ b.t(), [b, a], **DOT[torch.float32]),
            Case(
                "inputs transposed",
                torch.matmul,
                [values(40, 12).t(), values(24, 40).t()],
                atol=1e-4,
            ),
            Case("every other column", lambda a, b: a[:, ::2] @ b, [wide, b], **DOT[torch.float32]),
            Case("strided input", torch.matmul, [wide[:, ::2], b], **DOT[torch.float32]),
            Case("repeated rows", torch.matmul, [a[:1].expand(12, 40), b], **DOT[torch.float32]),
            Case(
                "heads",
                lambda q, k: q.transpose(1, 2) @ k.permute(0, 2, 3, 1),
                [head, head + 0.5],
                **DOT[torch.float32],
            ),
            Case("flattened", lambda a, b: a.reshape(3, 4, 40) @ b, [a, b], **DOT[torch.float32]),
            Case("itself", lambda a: a @ a.t(), [a], **DOT[torch.float32]),
        ]
    )


def test_epilogues() -> None:
    x, w = values(37, 48, low=-1, high=1), values(29, 48, low=-1, high=1, seed=1)
    bias, residual = values(29, seed=2), values(37, 29, seed=3)
    functions: dict[str, Callable[..., Any]] = {
        "bias": lambda x, w, b, r: F.linear(x, w, b),
        "relu": lambda x, w, b, r: F.relu(F.linear(x, w, b)),
        "gelu": lambda x, w, b, r: F.gelu(F.linear(x, w, b)),
        "silu": lambda x, w, b, r: F.silu(F.linear(x, w, b)),
        "residual": lambda x, w, b, r: r + F.linear(x, w, b),
        "scaled": lambda x, w, b, r: F.linear(x, w) * 0.125 + r,
        "gated": lambda x, w, b, r: torch.sigmoid(F.linear(x, w)) * F.linear(x, w, b),
        "column": lambda x, w, b, r: F.linear(x, w) - r[:, :1],
        "cast": lambda x, w, b, r: F.linear(x, w, b).to(torch.float64),
        "used twice": lambda x, w, b, r: (lambda y: (y, y + 1, y.t()))(F.linear(x, w, b)),
        "normalized": lambda x, w, b, r: F.layer_norm(r + F.linear(x, w, b), [29]),
        "of a norm": lambda x, w, b, r: F.linear(F.layer_norm(x, [48]), w, b),
        "softmax": lambda x, w, b, r: torch.softmax(F.linear(x, w), -1),
        "summed": lambda x, w, b, r: F.linear(x, w).sum(0),
        "two": lambda x, w, b, r: F.linear(F.gelu(F.linear(x, w, b)), w.t()),
    }
    check(
        [
            Case(name, function, [x, w, bias, residual], rtol=2e-5, atol=5e-5)
            for name, function in functions.items()
        ]
    )


# --- groups ----------------------------------------------------------------------------------


def _grouped(
    left: tuple[int, ...],
    right: tuple[int, ...],
    ends: list[int],
    dtype: torch.dtype,
    *,
    transposed: bool = False,
) -> Case:
    """A product in groups: of rows, of columns (`left` of rank 3), or of what is summed over."""

    def apart(a: torch.Tensor, b: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        # ATen's operator is traced for bfloat16 only, and for rows of whole 16 bytes.
        if dtype == torch.bfloat16:
            return F.grouped_mm(a, b, offs=offsets)
        return torch.ops.transformers.grouped_mm_fallback(a, b, offsets)

    operands = [values(*shape, dtype=dtype, low=-1, high=1) for shape in (left, right)]
    if transposed:
        operands[1] = operands[1].mT.contiguous().mT
    index = torch.tensor(ends, dtype=torch.int32)
    return Case(f"{left} @ {right} at {ends}", apart, [*operands, index], **DOT[dtype])


def _oracle(case: Case) -> torch.Tensor:
    """The same by products of their own, in float64."""
    a, b, offsets = case.inputs
    ends = offsets.tolist()
    groups = list(zip([0, *ends], ends, strict=False))
    a, b = a.double(), b.double()
    if a.ndim == 3:
        return torch.cat([a[g] @ b[:, i:j] for g, (i, j) in enumerate(groups)], 1)
    if b.ndim == 2:
        return torch.stack([a[:, i:j] @ b[i:j] for i, j in groups])
    product = torch.cat([a[i:j] @ b[g] for g, (i, j) in enumerate(groups)])
    return F.pad(product, (0, 0, 0, a.shape[0] - ends[-1]))


GROUPS = [
    ((10, 16), (3, 16, 24), [3, 3, 10]),
    ((10, 16), (4, 16, 24), [0, 1, 4, 8]),
    ((150, 304), (3, 304, 136), [2, 80, 150]),
    ((13, 37), (3, 37, 45), [2, 6, 13]),
    ((5, 2000), (5, 2000, 8), [1, 2, 3, 4, 5]),
    ((3, 16, 24), (24, 40), [5, 5, 40]),
    ((24, 40), (40, 136), [7, 7, 40]),
]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_products_in_groups(dtype: torch.dtype, transposed: bool) -> None:
    cases = [
        _grouped(left, right, ends, dtype, transposed=transposed)
        for left, right, ends in GROUPS
        if (
            all(size % 8 == 0 for size in (*left[1:], *right[1:]))
            if dtype == torch.bfloat16
            else (len(left), len(right)) == (2, 3)
        )
    ]
    # Sums of up to 2000 products.
    atol = {torch.float32: 1e-4, torch.float64: 1e-10}.get(dtype, 0.06)
    for case, got in zip(cases, run(cases), strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(
            got.double(),
            _oracle(case),
            rtol=DOT[dtype].get("rtol", 1e-10),
            atol=atol,
            msg=case.name,
        )


def test_groups_that_reach_too_far_are_an_error() -> None:
    case = _grouped((10, 16), (2, 16, 24), [4, 10], torch.float32)
    converted = ts.from_pytorch(
        Calling(case.function), example_inputs=tuple(case.inputs), strict=True
    )
    a, b, _ = case.inputs
    for ends in ([4, 11], [5, 4], [-1, 10]):
        with pytest.raises(IndexError, match="out of"):
            converted(a, b, torch.tensor(ends, dtype=torch.int32))
    fine = converted(a, b, torch.tensor([0, 0], dtype=torch.int32))
    assert not fine.any()
