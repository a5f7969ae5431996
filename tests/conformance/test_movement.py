# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Movement and sources against PyTorch: every result must be equal to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import Case, check, special, values
from torch import Tensor

VIEWS: dict[str, Callable[[Tensor], Any]] = {
    "view": lambda x: x.view(12, 10),
    "view -1": lambda x: x.view(6, -1),
    "view up": lambda x: x.view(4, 3, 2, 5, 1),
    "reshape of transpose": lambda x: x.transpose(1, 2).reshape(4, 30),
    "flatten": lambda x: x.flatten(1),
    "flatten all": lambda x: x.flatten(),
    "ravel": torch.ravel,
    "unflatten": lambda x: x.unflatten(2, (2, -1)),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, -1),
    "swapaxes": lambda x: torch.swapaxes(x, 0, 1),
    "movedim": lambda x: x.movedim(0, 2),
    "movedim list": lambda x: torch.movedim(x, (0, 1), (2, 0)),
    "mT": lambda x: x.mT,
    "t": lambda x: x[0].t(),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "unsqueeze -1": lambda x: x.unsqueeze(-1),
    "squeeze": lambda x: x[:, :1].squeeze(),
    "squeeze dim": lambda x: x[:, :1].squeeze(1),
    "squeeze not": lambda x: x.squeeze(0),
    "squeeze dims": lambda x: x[:1, :1].squeeze((0, 1)),
    "expand": lambda x: x[:1].expand(3, -1, 10),
    "expand new": lambda x: x.expand(2, 4, 3, 10),
    "expand_as": lambda x: x[:, :1].expand_as(x),
    "broadcast_to": lambda x: x[0, 0].broadcast_to(5, 10),
    "select": lambda x: x.select(1, 2),
    "select -1": lambda x: x[-1],
    "slice": lambda x: x[1:3, :, 2:8],
    "slice step": lambda x: x[:, :, 1::3],
    "slice back": lambda x: x[:, -2:, :-3],
    "slice past the end": lambda x: x[:, :, 5:100],
    "slice of nothing": lambda x: x[3:1],
    "narrow": lambda x: x.narrow(2, 3, 4),
    "diagonal": lambda x: x.diagonal(0, 0, 1),
    "diagonal offset": lambda x: x.diagonal(2, 1, 2),
    "diagonal below": lambda x: x.diagonal(-1, 0, 2),
    "unfold": lambda x: x.unfold(2, 4, 3),
    "split": lambda x: x.split(4, 2),
    "split sizes": lambda x: x.split([1, 2], 1),
    "chunk": lambda x: x.chunk(3, 2),
    "tensor_split": lambda x: torch.tensor_split(x, 3, 2),
    "unbind": lambda x: x.unbind(1),
    "view_as": lambda x: x.view_as(x),
    "rot90": lambda x: torch.rot90(x, 1, [0, 2]),
    "chained": lambda x: x.view(4, 3, 2, 5).permute(0, 2, 1, 3).reshape(8, 15).t()[1::2],
}

COPIES: dict[str, Callable[[Tensor], Any]] = {
    "clone": torch.clone,
    "contiguous": lambda x: x.transpose(0, 1).contiguous(),
    "detach": lambda x: x.detach() + 0,
    "repeat": lambda x: x.repeat(2, 1, 3),
    "repeat new": lambda x: x[0].repeat(2, 1, 2),
    "tile": lambda x: x.tile(2, 2),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "repeat_interleave flat": lambda x: x.repeat_interleave(3),
    "flip": lambda x: x.flip(0, 2),
    "fliplr": torch.fliplr,
    "roll": lambda x: x.roll(1, 0),
    "roll two": lambda x: x.roll((2, -1), (2, 1)),
    "roll flat": lambda x: x.roll(5),
    "cat": lambda x: torch.cat([x, x[:, :1], x], 1),
    "cat one": lambda x: torch.cat([x], 0),
    "cat empty": lambda x: torch.cat([x, x[:0]], 0),
    "stack": lambda x: torch.stack([x, x], 1),
    "hstack": lambda x: torch.hstack([x, x]),
    "vstack": lambda x: torch.vstack([x[0], x[1]]),
    "pad": lambda x: F.pad(x, (1, 2)),
    "pad two": lambda x: F.pad(x, (1, 2, 0, 3), value=7),
    "pad crop": lambda x: F.pad(x, (-1, 2, -1, -1)),
    "pad reflect": lambda x: F.pad(x, (2, 3), mode="reflect"),
    "pad replicate": lambda x: F.pad(x, (2, 3), mode="replicate"),
    "pad circular": lambda x: F.pad(x, (2, 3), mode="circular"),
    "tril": torch.tril,
    "triu": lambda x: x.triu(2),
    "tril below": lambda x: x.tril(-1),
    "slice_scatter": lambda x: torch.slice_scatter(x, x[:, :, :3], 2, 4, 7),
    "slice_scatter step": lambda x: torch.slice_scatter(x, x[:, :, :3], 2, 1, 9, 3),
    "select_scatter": lambda x: torch.select_scatter(x, x[:, 0], 1, -1),
    "diag_embed": lambda x: torch.diag_embed(x[0]),
    "diag_embed above": lambda x: torch.diag_embed(x[0], 1),
    "meshgrid": lambda x: torch.meshgrid(x[0, 0], x[0, :, 0], indexing="ij"),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x.view(4, 5, 6), 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x.view(5, 4, 6), 2),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "index": lambda x: x[:, torch.tensor([2, 0, 2, -1])],
    "index two": lambda x: x[torch.tensor([[0], [3]]), torch.tensor([1, 2])],
    "index apart": lambda x: x[torch.tensor([0, 3]), :, torch.tensor([1, -2])],
    "index_select": lambda x: x.index_select(2, torch.tensor([9, 0, 5])),
    "gather": lambda x: x.gather(1, torch.tensor([[[0, 2, 1]], [[1, 1, 0]]])),
    "take": lambda x: x.take(torch.tensor([[0, -1], [5, 7]])),
    "take_along_dim": lambda x: torch.take_along_dim(x, x.long() % 3, 1),
    "index_fill": lambda x: x.index_fill(2, torch.tensor([1, 3, 3]), 2),
}

DTYPES = [
    torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int8, torch.int64,
    torch.uint8, torch.bool,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_copies(dtype: torch.dtype) -> None:
    x = values(4, 3, 10, dtype=dtype)
    skipped = {"dropout"} if not dtype.is_floating_point else set()
    if dtype == torch.bool:
        # What needs arithmetic, or is not there for bools in torch.
        skipped |= {"detach", "pad reflect", "pad replicate", "take_along_dim", "pad two"}
    if not dtype.is_floating_point:
        skipped |= {"pad reflect", "pad replicate"}
    check(
        [
            Case(name, function, [x], exact=True)
            for name, function in COPIES.items()
            if name not in skipped
        ]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16], ids=str)
def test_views(dtype: torch.dtype) -> None:
    """Views as results share the input's memory; here they are computed upon."""
    x = values(4, 3, 10, dtype=dtype)

    def computed(function: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        def run(x: Tensor) -> Any:
            result = function(x)
            parts = result if isinstance(result, (tuple, list)) else [result]
            return [part + 1 for part in parts]

        return run

    check([Case(name, computed(function), [x]) for name, function in VIEWS.items()])


def test_views_of_results() -> None:
    x = values(4, 3, 10)
    check([Case(name, lambda x, f=function: f(x * 2), [x]) for name, function in VIEWS.items()])


def test_views_of_inputs() -> None:
    x = values(4, 3, 10)
    check([Case(name, function, [x]) for name, function in VIEWS.items()])


def test_strided_inputs() -> None:
    functions = {**VIEWS, **COPIES}
    names = [
        "reshape of transpose", "permute", "slice step", "unbind", "clone", "flip", "cat", "roll",
        "pad", "index", "tril",
    ]  # fmt: skip
    x = values(3, 10, 4).permute(2, 0, 1)
    assert x.shape == (4, 3, 10)
    check([Case(name, functions[name], [x]) for name in names])


@pytest.mark.parametrize("step", [2, 3, 4])
@pytest.mark.parametrize("size", [1, 7, 33])
def test_elements_apart(size: int, step: int) -> None:
    """Whole vectors are read and written in their place; nothing beyond the last one is."""
    cases = []
    for dtype in DTYPES:
        ends = values(3, size * step - step + 1, dtype=dtype)
        parts = [values(3, size, dtype=dtype) for _ in range(step)]
        cases += [
            Case(f"read {dtype}", lambda x: x[:, ::step].contiguous(), [ends], exact=True),
            Case(f"back {dtype}", lambda x: x.flip(1)[:, ::step].contiguous(), [ends], exact=True),
            Case(f"written {dtype}", lambda *all: torch.stack(all, -1), parts, exact=True),
        ]
    check(cases)


def test_sources() -> None:
    x = values(3, 5)
    functions: dict[str, Callable[[Tensor], Any]] = {
        "arange": lambda x: torch.arange(7) + 0,
        "arange range": lambda x: torch.arange(2, 11, 3),
        "arange down": lambda x: torch.arange(5, -3, -2),
        "arange float": lambda x: torch.arange(0, 1, 0.1),
        "arange dtype": lambda x: torch.arange(5, dtype=torch.float32) * 0.5,
        "arange empty": lambda x: torch.arange(3, 3),
        "full": lambda x: torch.full((2, 3), 1.5),
        "full int": lambda x: torch.full((2, 3), 7),
        "full bool": lambda x: torch.full((2,), True),
        "zeros": lambda x: torch.zeros(2, 3, dtype=torch.int32),
        "ones": lambda x: torch.ones(4, dtype=torch.bfloat16),
        "zeros_like": torch.zeros_like,
        "ones_like": lambda x: torch.ones_like(x, dtype=torch.int64),
        "full_like": lambda x: torch.full_like(x, -2.5),
        "new_zeros": lambda x: x.new_zeros(2, 2),
        "new_full": lambda x: x.new_full((3,), 4),
        "scalar_tensor": lambda x: torch.scalar_tensor(2.5) * x,
        "tensor": lambda x: torch.tensor([1.0, 2.0, 3.0]),
        "eye": lambda x: torch.eye(3, 4),
        "linspace": lambda x: torch.linspace(-1, 1, 9),
        "linspace one": lambda x: torch.linspace(3, 5, 1),
        "fill": lambda x: torch.fill(x, 3),
        "one_hot": lambda x: F.one_hot(torch.tensor([0, 2, 1]), 4),
        "causal mask": lambda x: torch.ones(5, 5, dtype=torch.bool).tril(),
        "positions": lambda x: torch.arange(x.shape[1]).unsqueeze(0).expand(3, -1),
        "copied": lambda x: x.new_empty(3, 5).copy_(x),
    }
    check([Case(name, function, [x]) for name, function in functions.items()])


def test_embedding() -> None:
    weight, ids = values(50, 12), torch.tensor([[3, 49, 0], [7, 7, 1]])
    check(
        [
            Case("embedding", lambda w, i: F.embedding(i, w), [weight, ids]),
            Case("padding index", lambda w, i: F.embedding(i, w, padding_idx=0), [weight, ids]),
            Case("int32", lambda w, i: F.embedding(i, w), [weight, ids.int()]),
            Case("half", lambda w, i: F.embedding(i, w), [weight.half(), ids]),
            Case("one", lambda w, i: F.embedding(i, w), [weight, torch.tensor(4)]),
            Case("none", lambda w, i: F.embedding(i, w), [weight, ids[:0]]),
            Case("sum", lambda w, i: F.embedding(i, w) + F.embedding(i * 0, w), [weight, ids]),
            Case("computed index", lambda w, i: w[(i + 1) % 50], [weight, ids]),
            Case("columns", lambda w, i: w[:, i % 12], [weight, ids]),
            Case("sliced", lambda w, i: F.embedding(i, w[5:]), [weight, ids % 45]),
            Case(
                "normalized",
                lambda w, i: F.layer_norm(F.embedding(i, w), [12]),
                [weight, ids],
                atol=1e-5,
            ),
        ]
    )


def test_an_index_out_of_range_is_an_error() -> None:
    import tessera as ts

    class Embed(torch.nn.Module):
        def forward(self, w: Tensor, i: Tensor) -> Tensor:
            return F.embedding(i, w)

    weight, ids = values(5, 3), torch.tensor([0, 4])
    embed = ts.from_pytorch(Embed(), example_inputs=(weight, ids), strict=True)
    for wrong in (torch.tensor([0, 5]), torch.tensor([-1, 0])):
        with pytest.raises((IndexError, RuntimeError), match=r"(?i)index|range"):
            embed(weight, wrong)
    torch.testing.assert_close(embed(weight, ids), weight[[0, 4]])

    # along two dimensions, each index has its own range
    class Two(torch.nn.Module):
        def forward(self, x: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return x[i, j]

    two = ts.from_pytorch(Two(), example_inputs=(weight, ids, ids % 3), strict=True)
    with pytest.raises((IndexError, RuntimeError), match=r"(?i)index|range"):
        two(weight, ids, torch.tensor([3, 0]))


def test_joining_types() -> None:
    x, y = values(2, 3), values(2, 3, dtype=torch.int64)
    check(
        [
            Case("cat", lambda x, y: torch.cat([x, y], 1), [x, y], exact=True),
            Case("stack", lambda x, y: torch.stack([x.half(), x]), [x, y], exact=True),
            Case("cat of results", lambda x, y: torch.cat([x * 2, x.exp(), y + x], 0), [x, y]),
            Case("cat inside", lambda x, y: torch.cat([x, x.neg()], -1).relu().sum(1), [x, y]),
        ]
    )


@pytest.mark.parametrize("to", [torch.int8, torch.uint8])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.uint8])
def test_bytes_read_as_other_bytes(dtype: torch.dtype, to: torch.dtype) -> None:
    x = torch.arange(-128, 128).to(torch.int8).view(torch.uint8)
    x = (x > 7) if dtype == torch.bool else x.view(dtype)
    check(
        [
            Case("whole", lambda x: x.view(to), [x], exact=True),
            Case("inside", lambda x: (x | x).view(to).to(torch.int32) + 1, [x], exact=True),
        ]
    )


@pytest.mark.parametrize(
    ("dtype", "to"),
    [
        (torch.float32, torch.int32),
        (torch.int32, torch.float32),
        (torch.float64, torch.int64),
        (torch.int64, torch.float64),
    ],
)
def test_bits_read_as_another_type(dtype: torch.dtype, to: torch.dtype) -> None:
    real = special(dtype if dtype.is_floating_point else to)
    x = torch.cat([real, -real, torch.linspace(-9, 9, 40, dtype=real.dtype)])
    x = x if dtype.is_floating_point else x.view(dtype)
    check(
        [
            Case("whole", lambda x: x.view(to), [x], exact=True),
            Case("columns", lambda x: x.reshape(8, -1).t().view(to), [x], exact=True),
            Case("back", lambda x: (x.view(to) + 1).view(dtype), [x], exact=True),
        ]
    )
