# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writing at indices against PyTorch: dtypes, dims, duplicates, smaller indices, masks, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from harness import FLOATS, INTEGERS, Case, check, special, values
from torch import Tensor, nn

import tessera as ts

#: Every place once, so that nothing depends on an order.
ROWS = torch.tensor([4, 0, 5, 2])
#: Places more than once.
TWICE = torch.tensor([4, 0, 4, 2, 0, 0])


def _along(dim: int, size: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """An index for each element of `shape`, below `size`, without duplicates along `dim`."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand((*shape[:dim], size, *shape[dim + 1 :]), generator=generator).argsort(dim)
    return order.narrow(dim, 0, shape[dim]).contiguous()


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, torch.bool], ids=str)
def test_types(dtype: torch.dtype) -> None:
    x, y = values(6, 9, dtype=dtype), values(4, 9, dtype=dtype, seed=1)
    once = _along(0, 6, (4, 9))
    more = torch.randint(0, 6, (4, 9), generator=torch.Generator().manual_seed(5))
    many = values(6, 9, dtype=dtype, seed=2)
    calls: dict[str, Callable[..., Any]] = {
        "scatter": lambda x, y, m: x.scatter(0, once, y),
        "scatter number": lambda x, y, m: x.scatter(0, once, 1),
        "scatter_add": lambda x, y, m: x.scatter_add(0, more, y),
        "index_copy": lambda x, y, m: x.index_copy(0, ROWS, y),
        "index_fill": lambda x, y, m: x.index_fill(1, ROWS, 1),
        "index_add": lambda x, y, m: x.index_add(0, TWICE, m),
        "index_put": lambda x, y, m: x.index_put((ROWS,), y),
        "accumulate": lambda x, y, m: x.index_put((TWICE,), m, accumulate=True),
        "put": lambda x, y, m: x.put(ROWS * 7, y[:, 0]),
        "masked_scatter": lambda x, y, m: x.masked_scatter(once[:1] > 2, m),
    }
    if dtype != torch.bool:
        calls |= {
            "multiply": lambda x, y, m: x.scatter(0, more, y, reduce="multiply"),
            **{
                f"reduce {kind}": lambda x, y, m, k=kind: x.scatter_reduce(0, more, y, k)
                for kind in ("sum", "prod", "mean", "amax", "amin")
            },
            **{
                f"only sources {kind}": lambda x, y, m, k=kind: x.scatter_reduce(
                    0, more, y, k, include_self=False
                )
                for kind in ("sum", "prod", "mean", "amax", "amin")
            },
            **{
                f"index_reduce {kind}": lambda x, y, m, k=kind: x.index_reduce(0, TWICE, m, k)
                for kind in ("prod", "mean", "amax", "amin")
            },
        }
    if dtype.is_floating_point:
        calls["alpha"] = lambda x, y, m: x.index_add(0, TWICE, m, alpha=0.5)
    # Sums of half precision are rounded once, PyTorch's after each element.
    tolerance = {torch.float16: 4e-3, torch.bfloat16: 4e-2}.get(dtype)
    check(
        [
            Case(
                name, call, [x, y, many], exact=dtype not in FLOATS, rtol=tolerance, atol=tolerance
            )
            for name, call in calls.items()
        ]
    )


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_dims(dim: int) -> None:
    x = values(5, 6, 7)
    shape = list(x.shape)
    shape[dim] = 4
    y = values(*shape, seed=1)
    once, row = _along(dim % 3, x.shape[dim], tuple(shape)), torch.tensor([3, 0, 4, 1])
    twice = torch.tensor([3, 0, 3, 3])
    check(
        [
            Case("scatter", lambda x, y: x.scatter(dim, once, y), [x, y]),
            Case("scatter_add", lambda x, y: x.scatter_add(dim, once // 2, y), [x, y]),
            Case("index_copy", lambda x, y: x.index_copy(dim, row, y), [x, y]),
            Case("index_add", lambda x, y: x.index_add(dim, twice, y), [x, y]),
            Case("index_fill", lambda x, y: x.index_fill(dim, row, -1.5), [x, y]),
            Case("amax", lambda x, y: x.index_reduce(dim, twice, y, "amax"), [x, y]),
            Case(
                "smaller index",
                lambda x, y: x.scatter(dim, once[:3, :2, :2], y[:3, :2, :2] * 2),
                [x, y],
            ),
            Case("larger source", lambda x, y: x.scatter_add(dim, once[:3, :2, :2], y), [x, y]),
            Case(
                "smaller mean",
                lambda x, y: x.scatter_reduce(dim, once[:3, :2, :2], y, "mean", include_self=False),
                [x, y],
            ),
            Case("transposed", lambda x, y: x.mT.scatter(dim, once.mT, y.mT), [x, y])
            if dim == 0
            else Case("reversed", lambda x, y: x.flip(0).index_add(dim, twice, y.flip(1)), [x, y]),
        ]
    )


INDICES: dict[str, tuple[Tensor | slice | None, ...]] = {
    "one": (torch.tensor([1, 0, -1]),),
    "negative": (torch.tensor([-6, -1, 2]),),
    "matrix": (torch.tensor([[0, 3], [2, 1]]),),
    "second": (slice(None), torch.tensor([4, 1])),
    "last": (slice(None), slice(None), torch.tensor([-1, 0])),
    "pairs": (torch.tensor([0, 5, 2]), torch.tensor([1, 1, -2])),
    "inner pairs": (slice(None), torch.tensor([0, 3]), torch.tensor([1, -1])),
    "grid": (torch.tensor([[0], [5]]), torch.tensor([[1, 2, 3]])),
    "apart": (torch.tensor([0, 5]), slice(None), torch.tensor([3, 1])),
    "all": (torch.tensor([0, 5]), torch.tensor([1, 1]), torch.tensor([6, 0])),
    "0-d": (torch.tensor(3), torch.tensor([0, 2])),
}


@pytest.mark.parametrize("name", INDICES)
def test_advanced_indexing(name: str) -> None:
    x, index = values(6, 5, 7), INDICES[name]
    chosen = x[index]

    def put(x: Tensor, y: Tensor) -> Tensor:
        x = x.clone()
        x[index] = y
        return x

    def put_then_read(x: Tensor, y: Tensor) -> Tensor:
        x = x.relu()
        x[index] = y * 2
        return x.sum(0) + x[index].mean()

    places = tuple(None if isinstance(part, slice) else part for part in index)
    check(
        [
            Case("put", put, [x, values(*chosen.shape, seed=4)]),
            Case("broadcast", put, [x, values(chosen.shape[-1], seed=5)]),
            Case("number", put, [x, torch.tensor(2.0)]),
            Case("among others", put_then_read, [x, values(*chosen.shape, seed=6)]),
            Case(
                "accumulate",
                lambda x, y: torch.ops.aten.index_put(x, places, y, True),
                [x, values(*chosen.shape, seed=7)],
            ),
        ]
    )


def test_the_last_of_several_writes_stays() -> None:
    line = torch.arange(6.0)
    check(
        [
            Case("index_copy", lambda x, y: x.index_copy(0, TWICE, y), [torch.zeros(6), line]),
            Case("index_put", lambda x, y: x.index_put((TWICE,), y), [torch.zeros(6), line]),
            Case("scatter", lambda x, y: x.scatter(0, TWICE, y), [torch.zeros(6), line]),
            Case("integers", lambda x, y: x.put(TWICE, y), [torch.zeros(2, 3), line]),
        ]
    )


def test_masks() -> None:
    x, mask = values(6, 5), values(6, 5, dtype=torch.bool)
    rows = mask[:, 0].contiguous()

    def at(index: Any) -> Callable[..., Tensor]:
        def put(x: Tensor, y: Tensor, *rest: Tensor) -> Tensor:
            return torch.ops.aten.index_put(x, index(*rest), y)

        return put

    count = int(mask.sum())
    check(
        [
            Case("number", at(lambda m: (m,)), [x, torch.tensor(3.0), mask]),
            Case("rows", at(lambda m: (m,)), [x, values(5, seed=2), rows]),
            Case("columns", at(lambda m: (None, m)), [x, values(6, 1), mask[0].contiguous()]),
            Case(
                "added",
                lambda x, m: torch.ops.aten.index_put(x, (m,), torch.tensor(2.0), True),
                [x, mask],
                exact=True,
            ),
            Case("masked_scatter", torch.masked_scatter, [x, mask, values(40)]),
            Case("masked_scatter exact", torch.masked_scatter, [x, mask, values(count)]),
            Case("masked_scatter rows", torch.masked_scatter, [x, mask[0], values(40)]),
            Case("masked_scatter none", torch.masked_scatter, [x, mask & ~mask, values(0)]),
        ]
    )


def test_special_values() -> None:
    line = special()
    rows = torch.stack([line, line.flip(0), torch.full_like(line, 2.0)])
    index = torch.tensor([0, 1, 0])
    check(
        [
            Case(
                f"{kind} {include}",
                lambda x, k=kind, i=include: x[:2].index_reduce(0, index, x, k, include_self=i),
                [rows],
                exact=True,
            )
            for kind in ("amax", "amin", "prod", "mean")
            for include in (True, False)
        ]
    )


def test_of_scalars_and_nothing() -> None:
    scalar, one, nothing = torch.tensor(2.0), torch.tensor(0), torch.empty(0, dtype=torch.int64)
    x = values(3, 4)
    check(
        [
            Case("scatter 0-d", lambda x: x.scatter(0, one, 3.0), [scalar]),
            Case("index_add 0-d", lambda x: x.index_add(0, one, x), [scalar]),
            Case("index_fill 0-d", lambda x: x.index_fill(0, one, 5.0), [scalar]),
            Case("reduce 0-d", lambda x: x.scatter_reduce(0, one, x, "sum"), [scalar]),
            Case("put 0-d", lambda x: x.put(one, x * 2), [scalar]),
            Case("scatter none", lambda x: x.scatter(0, nothing.reshape(0, 4), x), [x]),
            Case("index_add none", lambda x: x.index_add(0, nothing, x[:0]), [x]),
            Case("index_put none", lambda x: x.index_put((nothing,), x[:0]), [x]),
            Case("index_fill none", lambda x: x.index_fill(1, nothing, 1.0), [x]),
            Case("of nothing", lambda x: x[:, :0].index_add(0, ROWS[:1] - 4, x[:1, :0]), [x]),
            Case("put none", lambda x: x.put(nothing, x.flatten()[:0]), [x]),
        ]
    )


def test_into_views() -> None:
    x, cube = values(6, 8), values(4, 5, 6)
    check(
        [
            Case(
                f"diagonal {offset}",
                lambda x, o=offset: torch.diagonal_scatter(x, x.diagonal(o) * 2 + 1, o),
                [x],
            )
            for offset in (0, 1, -2, 7, -5)
        ]
        + [
            Case(
                f"diagonal of {dims}",
                lambda x, d=dims: torch.diagonal_scatter(x, x.diagonal(1, *d).exp(), 1, *d),
                [cube],
            )
            for dims in ((0, 1), (1, 2), (2, 0), (0, -1))
        ]
    )


def test_large() -> None:
    """Blocks of columns, and more rows than a block holds."""
    table, rows = values(3000, 200), values(500, 200, seed=1)
    ids = torch.randint(0, 3000, (500,), generator=torch.Generator().manual_seed(0))
    deep = values(2, 70, 300)
    last, middle = (deep.abs() * 90).long(), (deep.abs() * 20).long()
    check(
        [
            Case("embedding gradient", lambda t, r: t.index_add(0, ids, r), [table, rows]),
            Case("zeros", lambda t, r: t.new_zeros(3000, 200).index_add(0, ids, r), [table, rows]),
            Case("last dim", lambda x: x.scatter_add(2, last, x), [deep]),
            Case("middle", lambda x: x.scatter_add(1, middle, x), [deep], rtol=1e-5),
        ]
    )


def test_an_index_out_of_range_is_an_error_and_the_next_call_works() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor, index: Tensor) -> Tensor:
            return x.index_add(0, index, x[:2]).scatter(0, index[:, None], 1.0)

    x, good = values(4, 3), torch.tensor([1, 3])
    model = Model()
    converted = ts.from_pytorch(model, example_inputs=(x, good), strict=True)
    for bad in ([1, 4], [-1, 0], [0, 2**40]):
        with pytest.raises(IndexError, match="index out of range"):
            converted(x, torch.tensor(bad))
        torch.testing.assert_close(converted(x, good), model(x, good))


def test_results_do_not_depend_on_threads() -> None:
    x = values(1, 64 * 64)
    index = torch.randint(0, 7, (5000,), generator=torch.Generator().manual_seed(3))
    source = values(5000, 64, seed=9)

    class Model(nn.Module):
        def forward(self, x: Tensor, source: Tensor) -> Tensor:
            return x.reshape(64, 64).index_add(0, index, source)

    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(ts.from_pytorch(Model(), example_inputs=(x, source))(x, source))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_gradients_of_embeddings() -> None:
    """PyTorch decomposes them to masked writes, whose mask goes with the values."""
    backward = torch.ops.aten.embedding_dense_backward
    words = torch.tensor([[3, 0, 3], [9, 2, 2], [0, 0, 7]])
    gradients = values(3, 3, 5)
    check(
        [
            Case(
                f"padding {padding}, by frequency {scaled}",
                lambda g, i, p=padding, s=scaled: backward(g, i, 10, p, s),
                [gradients, words],
            )
            for padding in (-1, 2)
            for scaled in (False, True)
        ]
    )
