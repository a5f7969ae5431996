# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Linear algebra by the real matrix of twice the size that does what a complex one does.

That is [[re, -im], [im, re]]. Its inverse and its exponential are those of the complex one in the
same form, and it has the same singular values and eigenvalues, each twice.
"""

from __future__ import annotations

from typing import Any

import torch

from tessera.lowering.complexes.pairs import Pair, pairs, translation

aten = torch.ops.aten


def _block(matrix: Pair) -> torch.Tensor:
    top = torch.cat([matrix.re, -matrix.im], -1)
    return torch.cat([top, torch.cat([matrix.im, matrix.re], -1)], -2)


def _unblocked(block: torch.Tensor) -> Pair:
    """The matrix whose block is given: its first columns."""
    size = block.shape[-1] // 2
    first = block[..., :size]
    rows = block.shape[-2] // 2
    return Pair(first[..., :rows, :], first[..., rows:, :])


def _solved(matrix: Pair, right: Pair) -> Pair:
    both = torch.linalg.solve(_block(matrix), torch.cat([right.re, right.im], -2))
    size = matrix.shape[-1]
    return Pair(both[..., :size, :], both[..., size:, :])


@translation("linalg_inv", "inverse")
def inverse(self: Pair) -> Pair:
    return _unblocked(torch.linalg.inv(_block(self)))


@translation("linalg_inv_ex")
def inverse_checked(A: Pair, *, check_errors: bool = False) -> Any:
    result, info = torch.linalg.inv_ex(_block(A), check_errors=check_errors)
    return _unblocked(result), info


@translation("linalg_matrix_exp", "matrix_exp")
def matrix_exp(self: Pair) -> Pair:
    return _unblocked(torch.linalg.matrix_exp(_block(self)))


@translation("linalg_svdvals")
def singular_values(A: Pair, *, driver: str | None = None) -> Any:
    return torch.linalg.svdvals(_block(A))[..., ::2]


@translation("linalg_eigvalsh")
def eigenvalues(self: Pair, UPLO: str = "L") -> Any:
    # The block is symmetric where the matrix is Hermitian, and only one triangle of that is read.
    upper = UPLO.upper() == "U"
    re, im = (part.triu() if upper else part.tril() for part in (self.re, self.im))
    inner = (part.triu(1) if upper else part.tril(-1) for part in (self.re, self.im))
    other_re, other_im = (part.transpose(-2, -1) for part in inner)
    diagonal = torch.diag_embed(self.im.diagonal(dim1=-2, dim2=-1))
    whole = Pair(re + other_re, im - diagonal - other_im)
    return torch.linalg.eigvalsh(_block(whole))[..., ::2]


@translation("linalg_solve")
def solve(A: Any, B: Any, *, left: bool = True) -> Pair:
    matrix, right = pairs(A, B)
    if not left:
        transposed = matrix.map(lambda part: part.transpose(-2, -1))
        turned = right.map(lambda part: part.transpose(-2, -1))
        return solve(transposed, turned).map(lambda part: part.transpose(-2, -1))
    if right.ndim == 1 or right.shape == matrix.shape[:-1]:  # a vector, or a batch of them
        column = solve(matrix, right.map(lambda part: part.unsqueeze(-1)))
        return column.map(lambda part: part.squeeze(-1))
    batch = torch.broadcast_shapes(matrix.shape[:-2], right.shape[:-2])
    return _solved(
        matrix.map(lambda part: part.expand(*batch, *part.shape[-2:])),
        right.map(lambda part: part.expand(*batch, *part.shape[-2:])),
    )


@translation("linalg_solve_ex")
def solve_checked(A: Pair, B: Pair, *, left: bool = True, check_errors: bool = False) -> Any:
    if not left or A.ndim != B.ndim or A.shape[:-2] != B.shape[:-2]:
        raise ValueError("only matrices of one batch, from the left")
    right = torch.cat([B.re, B.im], -2)
    both, info = torch.linalg.solve_ex(_block(A), right, check_errors=check_errors)
    size = A.shape[-1]
    return Pair(both[..., :size, :], both[..., size:, :]), info
