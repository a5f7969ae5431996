# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Factorizations and what is made of them, against PyTorch in float64."""

from __future__ import annotations

import pytest
import torch
from harness import Case, check, values
from torch import Tensor, linalg

import tessera as ts


def _matrix(rows: int, columns: int, dtype: torch.dtype, batch: tuple[int, ...] = (2,)) -> Tensor:
    """Well-conditioned: what is tested is the method, not the condition."""
    unit = torch.zeros(rows, columns, dtype=dtype).fill_diagonal_(6.0 + rows)
    return values(*batch, rows, columns, dtype=dtype) + unit


def _positive(size: int, dtype: torch.dtype) -> Tensor:
    a = values(2, size, size, dtype=dtype)
    return a @ a.mT + size * torch.eye(size, dtype=dtype)


def _tolerance(dtype: torch.dtype) -> dict[str, float]:
    # The inputs are rounded, and a solution moves with them.
    return {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-9}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 5, 40])
def test_equations(size: int, dtype: torch.dtype) -> None:
    a, s = _matrix(size, size, dtype), _positive(size, dtype)
    b, v = values(2, size, 3, dtype=dtype), values(2, size, dtype=dtype, seed=4)
    tolerance = _tolerance(dtype)
    packed = linalg.lu_factor(a)
    check(
        [
            Case("solve", linalg.solve, [a, b], **tolerance),
            Case("vector", linalg.solve, [a, v], **tolerance),
            Case("right", lambda a, b: linalg.solve(a, b.mT, left=False), [a, b], **tolerance),
            Case("one matrix, several sides", lambda a, b: linalg.solve(a[0], b), [a, b],
                 **tolerance),
            Case("inv", linalg.inv, [a], **tolerance),
            Case("det", lambda a: linalg.det(a * 0.1), [a], **tolerance),
            Case("slogdet", linalg.slogdet, [a], **tolerance),
            Case("logdet", torch.logdet, [s], **tolerance),
            Case("cholesky", linalg.cholesky, [s], **tolerance),
            Case("upper", lambda s: linalg.cholesky(s, upper=True), [s], **tolerance),
            Case("cholesky_solve", lambda s, b: torch.cholesky_solve(b, linalg.cholesky(s)), [s, b],
                 **tolerance),
            Case("cholesky_inverse", lambda s: torch.cholesky_inverse(linalg.cholesky(s)), [s],
                 **tolerance),
            Case("triangular", lambda a, b: linalg.solve_triangular(a, b, upper=True), [a, b],
                 **tolerance),
            Case("lower, right",
                 lambda a, b: linalg.solve_triangular(a, b.mT, upper=False, left=False), [a, b],
                 **tolerance),
            Case("lu_solve transposed",
                 lambda f, p, b: linalg.lu_solve(f, p, b, adjoint=True), [*packed, b], **tolerance),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (3, 5), (30, 30), (0, 3), (4, 0)])
def test_factors(rows: int, columns: int, dtype: torch.dtype) -> None:
    a = _matrix(rows, columns, dtype)
    tolerance = _tolerance(dtype)
    cases = [
        Case("lu", linalg.lu, [a], **tolerance),
        Case("lu_factor", linalg.lu_factor, [a], **tolerance),
        Case("qr", linalg.qr, [a], **tolerance),
        Case("complete", lambda a: linalg.qr(a, "complete"), [a], **tolerance),
        Case("r", lambda a: linalg.qr(a, "r"), [a], **tolerance),
        Case("geqrf", torch.geqrf, [a], **tolerance),
        Case("svdvals", linalg.svdvals, [a], **tolerance),
    ]
    if rows and columns:
        cases += [
            Case("pinv", linalg.pinv, [a], **tolerance),
            Case("rank", linalg.matrix_rank, [a]),
            Case("nuclear", lambda a: linalg.norm(a, "nuc", dim=(-2, -1)), [a], **tolerance),
        ]
    check(cases)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_symmetric(dtype: torch.dtype) -> None:
    a = values(3, 12, 12, dtype=dtype)
    s = a + a.mT
    low = values(3, 12, 4, dtype=dtype) @ values(3, 4, 12, dtype=dtype, seed=1)
    tolerance = _tolerance(dtype)
    check(
        [
            Case("eigvalsh", linalg.eigvalsh, [s], **tolerance),
            Case("triangle", lambda a: linalg.eigvalsh(a, "U"), [a], **tolerance),
            Case("values", lambda s: linalg.eigh(s).eigenvalues, [s], **tolerance),
            Case("pinv", lambda s: linalg.pinv(s, hermitian=True), [_positive(9, dtype)],
                 **tolerance),
            Case("singular pinv", lambda x: linalg.pinv(x, rtol=1e-4), [low], **tolerance),
            Case("rank", lambda x: linalg.matrix_rank(x, rtol=1e-4), [low]),
            Case("exp", linalg.matrix_exp, [a], **tolerance),
            Case("exp of nothing", linalg.matrix_exp, [a * 0], **tolerance),
        ]
    )  # fmt: skip


def test_a_matrix_that_cannot_be_factored_is_an_error() -> None:
    class Inverse(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return linalg.inv(x)

    converted = ts.from_pytorch(Inverse(), (torch.eye(3),), strict=True)
    with pytest.raises(RuntimeError, match="singular"):
        converted(torch.ones(3, 3))
    torch.testing.assert_close(converted(2 * torch.eye(3)), 0.5 * torch.eye(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["any", "low rank", "zero"])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_vectors_make_up_the_matrix(shape: tuple[int, int], kind: str, dtype: torch.dtype) -> None:
    x = values(2, *shape, dtype=dtype)
    x = x[..., :1] * x[..., :1, :] if kind == "low rank" else x * (kind != "zero")
    count = min(shape)

    def of_singular(x: Tensor, left: Tensor, sizes: Tensor, right: Tensor) -> list[Tensor]:
        matrix = left[..., :count] * sizes.unsqueeze(-2) @ right[..., :count, :]
        return [matrix, left.mT @ left, right @ right.mT, sizes]

    def of_symmetric(x: Tensor) -> list[Tensor]:
        sizes, vectors = linalg.eigh(x)
        return [vectors * sizes.unsqueeze(-2) @ vectors.mT, vectors.mT @ vectors]

    def transposed(x: Tensor, some: bool) -> list[Tensor]:
        left, sizes, right = torch.svd(x, some=some)
        return of_singular(x, left, sizes, right.mT)

    tolerance = _tolerance(dtype)
    check(
        [
            Case("full", lambda x: of_singular(x, *linalg.svd(x)), [x], **tolerance),
            Case("reduced", lambda x: of_singular(x, *linalg.svd(x, full_matrices=False)), [x],
                 **tolerance),
            Case("some", lambda x: transposed(x, True), [x], **tolerance),
            Case("all", lambda x: transposed(x, False), [x], **tolerance),
            Case("eigh", lambda x: of_symmetric(x @ x.mT), [x], **tolerance),
        ]
    )  # fmt: skip


def test_powers() -> None:
    a, numbers = _matrix(4, 4, torch.float64) / 10, torch.arange(9).view(3, 3)
    cases = [Case("integers", lambda x: linalg.matrix_power(x, 3), [numbers])]
    for n in (-3, -1, 0, 1, 6):
        cases.append(Case(f"power {n}", lambda x, n=n: linalg.matrix_power(x, n), [a]))
    check(cases)
