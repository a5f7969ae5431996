# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Complex numbers, compiled through real ones, against PyTorch in complex128."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

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


class Affine(nn.Module):
    """With a complex parameter and a complex buffer, which it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(numbers(6, 6))
        self.register_buffer("seen", numbers(6, seed=3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.add_(1j)
        x = x if x.is_complex() else torch.complex(x, x)
        return torch.view_as_real(x @ self.weight + self.seen)


def _doubled(model: Affine) -> None:
    model.to(torch.complex128)


MOVES: dict[str, Callable[[Affine], Any]] = {
    "data": lambda model: setattr(model.weight, "data", numbers(6, 6, seed=7)),
    "data of another layout": lambda model: setattr(model.weight, "data", numbers(6, 6, seed=7).T),
    "conjugated data": lambda model: setattr(model.weight, "data", numbers(6, 6, seed=7).conj()),
    "negated data": lambda model: setattr(model.weight, "data", torch._neg_view(model.weight.data)),
    "set_": lambda model: model.weight.set_(numbers(6, 6, seed=7)),
    "buffer": lambda model: setattr(model.seen, "data", numbers(6, seed=7)),
    "vector_to_parameters": lambda model: nn.utils.vector_to_parameters(
        numbers(36, seed=7), [model.weight]
    ),
    "dtype": _doubled,
}


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("real", [False, True], ids=["complex argument", "real argument"])
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_parameters_are_followed_to_other_memory(move: Callable[[Affine], Any], real: bool) -> None:
    model = Affine().eval()
    x = values(3, 6) if real else numbers(3, 6)
    own = copy.deepcopy(model)
    with torch.no_grad():
        tess = ts.compat.wrap(own)
        torch.testing.assert_close(tess(x), model(x))
        for each in (model, own):
            move(each)
        if own.weight.dtype == torch.complex128:
            x = x.to(torch.float64 if real else torch.complex128)
        for write in (0.0, 1j):  # what is written into the new memory counts as well
            for each in (model, own):
                each.weight.add_(write)
            torch.testing.assert_close(tess(x), model(x))
            torch.testing.assert_close(own.seen, model.seen)
        tess.refresh()
        torch.testing.assert_close(tess(x), model(x))


@pytest.mark.parametrize("reduce", ["add", "multiply"])
@pytest.mark.parametrize("source", [numbers(1, 6, seed=5), 2 + 1j], ids=["tensor", "number"])
@pytest.mark.filterwarnings("ignore:The reduce argument")
def test_scatter_with_a_reduction(reduce: str, source: Any) -> None:
    class Scatter(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            places = torch.tensor([[0, 1, 2, 0, 1, 2]])
            return torch.scatter(x, 0, places, source, reduce=reduce)

    x = numbers(4, 6)
    tess = ts.from_pytorch(Scatter(), example_inputs=(x,))
    torch.testing.assert_close(tess(x), Scatter()(x))
    # Complex numbers are not multiplied part by part: PyTorch does it.
    assert bool(tess.report.islands) == (reduce == "multiply")


def test_what_has_no_form_names_itself() -> None:
    class Eigen(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(z * 2) + 1

    z = numbers(4, 4)
    with pytest.raises(ts.errors.ConversionError, match="linalg_eigvals"):
        ts.from_pytorch(Eigen(), example_inputs=(z,), strict=True)
    tess = ts.from_pytorch(Eigen(), example_inputs=(z,))
    torch.testing.assert_close(tess(z), Eigen()(z))


# --- families ---------------------------------------------------------------------------------


def unary(function: Callable[[torch.Tensor], Any]) -> list[Case]:
    """A function around the cuts and the poles of functions, in both precisions."""
    grid = torch.linspace(-3, 3, 13, dtype=torch.float64)
    z = torch.complex(*torch.meshgrid(grid + 0.01, grid - 0.02, indexing="ij"))
    return [Case(str(dtype), function, [z.to(dtype)], rtol=rtol, atol=rtol)
            for dtype, rtol in ((torch.complex64, 4e-6), (torch.complex128, 1e-12))]  # fmt: skip


UNARY = [
    *("abs", "acos", "acosh", "angle", "asin", "asinh", "atan", "atanh", "conj_physical", "cos"),
    *("cosh", "exp", "expm1", "log", "log10", "log1p", "log2", "neg", "reciprocal", "rsqrt"),
    *("sgn", "sigmoid", "sin", "sinc", "sinh", "sqrt", "square", "tan", "tanh"),
]


def test_functions_of_one_number() -> None:
    cases = []
    for name in UNARY:
        function = getattr(torch, name)
        cases += [
            Case(f"{name} {case.name}", function, case.inputs, rtol=case.rtol, atol=case.atol)
            for case in unary(function)
        ]
    check(cases)


def every(*parts: float) -> torch.Tensor:
    """All complex numbers of these parts."""
    return torch.cartesian_prod(torch.tensor(parts), torch.tensor(parts)).view(torch.complex64)[
        :, 0
    ]


INF = float("inf")


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        (lambda z: z[:, None] / z, every(0.0, -0.0, 1.0, -0.5, 1e30, 1e-30, INF, -INF, INF - INF)),
        (torch.reciprocal, every(0.0, -0.0, 1.0, -0.5, 1e30, 1e-30, INF, -INF, INF - INF)),
        (torch.rsqrt, every(0.0, 1.0, -0.5, 1e30, 1e-30, INF, -INF)),
        (torch.exp, every(0.0, 1.0, 89.0, -200.0, 1e30, -1e30, INF, -INF, INF - INF)),
        (torch.sigmoid, every(0.0, 2.0, -89.0, -100.0, 100.0, -1e30, 1e30, INF, -INF)),
        (nn.functional.silu, every(0.0, 2.0, -89.0, -100.0, 100.0, -1e30, 1e30, INF, -INF)),
        (torch.atanh, every(0.0, -1.0, 1.0, 1 + 1e-6, 1e-20, 1e-30, 1e30, INF, -INF, INF - INF)),
        (torch.atan, every(0.0, -1.0, 1.0, 1 + 1e-6, 1e-20, 1e-30, 1e30, INF, -INF, INF - INF)),
    ],
    ids=["quotient", "reciprocal", "rsqrt", "exp", "sigmoid", "silu", "atanh", "atan"],
)
def test_zeros_infinities_and_overflow(
    function: Callable[[torch.Tensor], Any], numbers: torch.Tensor
) -> None:
    class Apply(nn.Module):
        def forward(self, z: torch.Tensor) -> Any:
            return function(z)

    tess = ts.from_pytorch(Apply(), example_inputs=(numbers,), strict=True)
    # Part by part: as complex numbers any two with a NaN in them are equal.
    result, expected = torch.view_as_real(tess(numbers)), torch.view_as_real(function(numbers))
    torch.testing.assert_close(result, expected, equal_nan=True)


def test_arithmetic_and_promotion() -> None:
    z, w, x, n = numbers(3, 4), numbers(4, seed=5), values(3, 4), values(3, 4, dtype=torch.int64)
    wide = numbers(4, dtype=torch.complex128)
    check(
        [
            Case("sum", lambda a, b: a + b, [z, w]),
            Case("scaled sum", lambda a, b: torch.sub(a, b, alpha=2 - 1j), [z, w]),
            Case("product", lambda a, b: a * b, [z, w]),
            Case("quotient", lambda a, b: a / b, [z, w]),
            Case("one over", lambda z: 1 / z, [z]),
            Case("real times complex", lambda a, b: a * b, [x, w]),
            Case("integers", lambda a, b: a - b, [n, z]),
            Case("wider", lambda a, b: a * b, [z, wide]),
            Case("wider without dimensions", lambda a, b: a * b.sum(), [z, wide]),
            Case("double", lambda a, b: a * b, [x.double(), w]),
            Case("numbers", lambda z: (2 - z) * 1j + 0.5, [z]),
            Case("real and number", lambda x: x * (1 + 2j), [x]),
            Case("square", lambda z: z**2, [z]),
            Case("power", lambda a, b: (a / 3) ** (b / 3), [z, w], rtol=1e-5),
            Case(
                "powers at zero",
                lambda a, b: (a**b, a**0, a**1.5, 0.0**b, 1**b),
                [
                    torch.tensor([0j, 1, 2j, 0, 0, 0, 1e-30]),
                    torch.tensor([0j, 0, 1, 1, 2, 1 + 1j, 0]),
                ],
                exact=True,
            ),
            Case("base", lambda z: 2.0**z, [z], rtol=1e-5),
            Case("into", lambda a, b, c: torch.addcmul(a, b, c, value=0.5j), [z, w, z]),
            Case("between", lambda a, b: torch.lerp(a, b, 0.25), [z, w.expand(3, 4)]),
            Case("equal", lambda a, b: (a == b, a != b, a == a), [z, w]),
            Case("finite", lambda z: (z.isnan(), z.isfinite(), z.isinf()), [z / 0]),
        ]
    )


def test_reductions() -> None:
    z = numbers(3, 5, 4)
    check(
        [
            Case("sum", lambda z: (z.sum(), z.sum(1), z.mean((0, 2), keepdim=True)), [z]),
            Case("prod", lambda z: (z.prod(1), z[:, 0].prod()), [z], rtol=1e-5, atol=1e-4),
            Case("scans", lambda z: (z.cumsum(0), z.cumprod(1)), [z], rtol=1e-5, atol=1e-4),
            Case("spread", lambda z: (z.var(1), z.std(), z.var(dim=0, correction=0)), [z]),
            Case("norms", lambda z: (torch.linalg.vector_norm(z, dim=1), z.norm()), [z]),
            Case("truth", lambda z: (z.any(1), z.all(2), z.bool(), z.count_nonzero(0)), [z]),
            Case("empty", lambda z: (z.sum(0), z.prod(0)), [numbers(0, 3)]),
        ]
    )


def test_movement() -> None:
    z, i = numbers(4, 6), torch.tensor([[0, 3, 1], [2, 0, 0]])
    m = values(4, 6) > 0
    check(
        [
            Case("views", lambda z: z.reshape(3, 8).t()[1:6:2], [z]),
            Case("joined", lambda a, b: torch.cat([a, b.real], 1), [z, z]),
            Case("stacked", lambda a, b: torch.stack([a, b, a]), [z, z + 1]),
            Case("gathered", lambda z, i: z.gather(0, i), [z, i]),
            Case("indexed", lambda z, i: (z[i], z[:, i[0]]), [z, i]),
            Case("chosen", lambda z, m: torch.where(m, z, 1.0), [z, m]),
            Case("filled", lambda z, m: z.masked_fill(m, 1j), [z, m]),
            Case("turned", lambda z: (z.flip(0), z.roll(2, 1), z.rot90()), [z]),
            Case("padded", lambda z: nn.functional.pad(z, (1, 2), value=2.0), [z]),
            Case("added at", lambda z, i: z.index_add(1, i[0], z[:, :3], alpha=2), [z, i]),
            Case("scattered", lambda z, i: z.scatter(1, i, 2j), [z, i]),
            Case("written", lambda z: torch.zeros_like(z).index_put((z.real > 0,), z[0, 0]), [z]),
            Case("split", lambda z: z.split(2, 1) + z.unbind(0), [z]),
            Case("diagonals", lambda z: (z.diagonal(), z.tril(), torch.diag_embed(z[0])), [z]),
        ]
    )


def test_creation_and_conversion() -> None:
    z, x = numbers(3, 4), values(3, 4)
    check(
        [
            Case("parts", lambda x: torch.complex(x, x + 1), [x]),
            Case("polar", lambda x: torch.polar(x.abs(), x), [x]),
            Case("to complex", lambda x: (x.cfloat(), x.to(torch.complex128)), [x]),
            Case("filled", lambda z: torch.full((2, 3), 1 - 2j) + z[:2, :3], [z]),
            Case("large", lambda z: torch.ones(300, 300, dtype=z.dtype) * z.sum(), [z / 9]),
            Case("likes", lambda z: (torch.zeros_like(z), z.new_full((2,), 3j)), [z]),
        ]
    )


@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_real_numbers_lose_the_imaginary_part() -> None:
    check([Case("to real", lambda z: (z.to(torch.float64), z.int()), [numbers(3, 4)])])


def test_products_of_matrices() -> None:
    a, b, v = numbers(5, 6), numbers(6, 7, seed=3), numbers(6, seed=4)
    s, t = numbers(3, 5, 6), numbers(3, 6, 4, seed=3)
    check(
        [
            Case("mm", torch.mm, [a, b], atol=1e-4),
            Case("bmm", torch.bmm, [s, t], atol=1e-4),
            Case("batched", torch.matmul, [s, b], atol=1e-4),
            Case("vector", lambda a, v: (a @ v, v @ v, torch.vdot(v, v)), [a, v], atol=1e-4),
            Case("adjoint", lambda a: a @ a.mH, [a], atol=1e-4),
            Case("linear", nn.functional.linear, [s, b.t(), numbers(7)], atol=1e-4),
            Case("addmm", lambda c, a, b: torch.addmm(c, a, b, beta=2j, alpha=0.5),
                 [numbers(7), a, b], atol=1e-4),
            Case("einsum", lambda s, t: torch.einsum("bij,bjk->ik", s, t), [s, t], atol=1e-4),
            Case("convolution", nn.functional.conv1d,
                 [numbers(2, 3, 9), numbers(4, 3, 3), numbers(4)], atol=1e-4),
        ]
    )  # fmt: skip


def test_linear_algebra() -> None:
    a, b = numbers(2, 4, 4, dtype=torch.complex128), numbers(2, 4, 3, dtype=torch.complex128)
    check(
        [
            Case("inverse", torch.linalg.inv, [a]),
            Case("solve", torch.linalg.solve, [a, b]),
            Case("exponential", torch.linalg.matrix_exp, [a / 4]),
            Case("singular values", torch.linalg.svdvals, [b]),
            Case("eigenvalues", torch.linalg.eigvalsh, [a]),
            Case("solved and told", torch.linalg.solve_ex, [a, b]),
        ]
    )
