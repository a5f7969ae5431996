# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Complex numbers, compiled through real ones, against PyTorch in complex128."""

from __future__ import annotations

import pytest
import torch
from harness import Case, check, values
from torch import nn

import tessera as ts

COMPLEX = (torch.complex64, torch.complex128)


def numbers(*shape: int, dtype: torch.dtype = torch.complex64, seed: int = 0) -> torch.Tensor:
    part = torch.float64 if dtype == torch.complex128 else torch.float32
    return torch.complex(
        values(*shape, dtype=part, seed=seed), values(*shape, dtype=part, seed=seed + 1)
    )


class Rotary(nn.Module):
    """Positions as rotations of pairs of features."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(32, 32)
        self.register_buffer("turns", torch.polar(torch.ones(12, 4), values(12, 4)))

    def forward(self, x: torch.Tensor, turns: torch.Tensor | None = None) -> torch.Tensor:
        batch, length, _ = x.shape
        heads = self.project(x).view(batch, length, 4, 8)
        pairs = torch.view_as_complex(heads.reshape(batch, length, 4, 4, 2))
        turned = pairs * (self.turns if turns is None else turns)[:length, None, :]
        return torch.view_as_real(turned).flatten(3)


def same(model: nn.Module, *args: torch.Tensor, **options: object) -> ts.Module:
    model = model.eval()
    with torch.no_grad():
        tess = ts.from_pytorch(model, example_inputs=args, strict=True, **options)
        for _ in range(2):
            torch.testing.assert_close(tess(*args), model(*args), rtol=1e-4, atol=1e-4)
    return tess


def test_rotary_embedding_of_a_buffer() -> None:
    model = Rotary()
    tess = same(model, values(2, 12, 32))
    model.turns.mul_(1j)
    with torch.no_grad():
        torch.testing.assert_close(tess(values(2, 12, 32)), model(values(2, 12, 32)))


def test_rotary_embedding_of_an_argument() -> None:
    tess = same(Rotary(), values(2, 12, 32), torch.polar(torch.ones(12, 4), values(12, 4)))
    # A lazy conjugate is another tensor of the same form.
    x, turns = values(2, 12, 32), torch.polar(torch.ones(12, 4), values(12, 4)).conj()
    with torch.no_grad():
        torch.testing.assert_close(tess(x, turns), tess._torch(x, turns))
        with pytest.raises(ts.errors.InputMismatchError, match="expected complex64"):
            tess(x, turns.real)


def test_rotary_embedding_for_any_batch() -> None:
    batch = torch.export.Dim("batch", min=2, max=64)
    tess = same(Rotary(), values(4, 12, 32), dynamic_shapes={"x": {0: batch}})
    for rows in (2, 7, 33):
        x = values(rows, 12, 32)
        with torch.no_grad():
            torch.testing.assert_close(tess(x), tess._torch(x))


def test_verify_compares_complex_values() -> None:
    model = nn.Sequential(Rotary()).eval()
    tess = ts.from_pytorch(model, example_inputs=(values(2, 12, 32),), strict=True)
    assert tess.verify(values(2, 12, 32)).ok


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_arguments_and_results(dtype: torch.dtype) -> None:
    z = numbers(3, 4, dtype=dtype)
    check(
        [
            Case("identity", lambda z: z, [z]),
            Case("times", lambda z: z * 2j, [z]),
            Case("transposed", lambda z: z.t() + 1, [z.t()]),
            Case("sliced", lambda z: z * z, [numbers(8, 8, dtype=dtype)[1:5, ::2]]),
            Case("conjugate", lambda z: z.conj() * 3, [z]),
            Case("parts", lambda z: (z.real + 1, z.imag), [z]),
            Case("pairs", lambda z: torch.view_as_real(z) * 2, [z]),
            Case("empty", lambda z: z + 1, [numbers(0, 4, dtype=dtype)]),
            Case("no dimensions", lambda z: z + 1, [numbers(dtype=dtype)]),
        ]
    )


def test_a_conjugated_buffer_is_read_where_it_lies() -> None:
    class Conjugated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("w", numbers(4).conj())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.w

    model = Conjugated()
    tess = same(model, values(3, 4))
    model.w.mul_(2)
    with torch.no_grad():
        torch.testing.assert_close(tess(values(3, 4)), model(values(3, 4)))


def test_what_has_no_form_names_itself() -> None:
    class Eigen(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(z * 2) + 1

    z = numbers(4, 4)
    with pytest.raises(ts.errors.ConversionError, match="linalg_eigvals"):
        ts.from_pytorch(Eigen(), example_inputs=(z,), strict=True)
    tess = ts.from_pytorch(Eigen(), example_inputs=(z,))
    torch.testing.assert_close(tess(z), Eigen()(z))
