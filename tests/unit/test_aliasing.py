# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a call does to memory: writes to arguments and buffers, and who shares memory with whom.

Each row is run by PyTorch and by the converted model, on arguments made anew; results, arguments,
parameters and buffers must be equal after each of two calls, and share memory in the same way.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils import _pytree as pytree

import tessera as ts
from tessera.errors import ArgumentError


class Fn(nn.Module):
    """A function of a module with a parameter and a buffer."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.w = nn.Parameter(torch.arange(12.0).reshape(3, 4))
        self.register_buffer("b", torch.arange(4.0))

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def _numbers(shape: tuple[int, ...] = (3, 4)) -> torch.Tensor:
    return torch.arange(1.0, 1.0 + torch.Size(shape).numel()).reshape(shape)


def _one() -> tuple[torch.Tensor, ...]:
    return (_numbers(),)


def _two() -> tuple[torch.Tensor, ...]:
    return (_numbers(), _numbers() * 2)


def _same() -> tuple[torch.Tensor, ...]:
    x = _numbers()
    return (x, x)


def _views() -> tuple[torch.Tensor, ...]:
    x = _numbers()
    return (x, x.view(3, 4))


def _overlapping() -> tuple[torch.Tensor, ...]:
    x = torch.arange(16.0)
    return (x[:12].view(3, 4), x[4:].view(3, 4))


def _state(model: nn.Module, args: Any, result: Any) -> tuple[list[torch.Tensor], list[Any]]:
    """Every tensor there is after a call, and for each the first one that shares its memory."""
    state = [*model.parameters(), *model.buffers()]
    leaves = pytree.tree_leaves((args, state, result))
    everything = [item for item in leaves if isinstance(item, torch.Tensor)]
    first: dict[int, int] = {}
    shared = [
        first.setdefault(item.untyped_storage().data_ptr(), place) if item.numel() else place
        for place, item in enumerate(everything)
    ]
    return everything, shared


def check(
    function: Callable[..., Any],
    make: Callable[[], tuple[Any, ...]],
    example: Callable[[], tuple[Any, ...]] | None = None,
    calls: int = 2,
) -> None:
    model = Fn(function).eval()
    eager = copy.deepcopy(model)
    tess = ts.from_pytorch(model, (example or make)())
    for _ in range(calls):
        with torch.no_grad():
            args, eager_args = make(), make()
            result, expected = tess(*args), eager(*eager_args)
        assert pytree.tree_structure(result) == pytree.tree_structure(expected)
        got, shared = _state(model, args, result)
        wanted, eager_shared = _state(eager, eager_args, expected)
        for one, other in zip(got, wanted, strict=True):
            assert one.dtype == other.dtype
            assert one.stride() == other.stride() or not other.is_contiguous()
            torch.testing.assert_close(one.detach(), other.detach(), equal_nan=True)
        assert shared == eager_shared


def _write_and_use(s: Fn, x: torch.Tensor) -> torch.Tensor:
    x.add_(1)
    return x * 2


def _write_row(s: Fn, x: torch.Tensor) -> torch.Tensor:
    x[0].mul_(3)
    return x.sum()


def _write_slice(s: Fn, x: torch.Tensor) -> torch.Tensor:
    x[:, 1:3] = x[:, 0:2].clone()
    return x


def _write_mask(s: Fn, x: torch.Tensor) -> torch.Tensor:
    x[x > 5] = 0
    return x


def _write_and_view(s: Fn, x: torch.Tensor) -> Any:
    x.add_(1)
    return x.t(), x[0]


def _write_through_view(s: Fn, x: torch.Tensor) -> torch.Tensor:
    x.view(-1)[::2] = 0
    return x


def _write_result(s: Fn, x: torch.Tensor) -> Any:
    y = x * 2
    z = y[0]
    z.add_(5)
    return y, z


def _views_of_result(s: Fn, x: torch.Tensor) -> Any:
    y = x * 2
    return y, y.t(), y[0], y


def _out_argument(s: Fn, x: torch.Tensor) -> torch.Tensor:
    y = torch.empty_like(x)
    torch.add(x, 1, out=y)
    return y


def _buffer(s: Fn, x: torch.Tensor) -> torch.Tensor:
    s.b.add_(1)
    return x + s.b


def _buffer_view(s: Fn, x: torch.Tensor) -> Any:
    s.b.add_(1)
    return s.b[1:], x * 1


def _assign_buffer(s: Fn, x: torch.Tensor) -> torch.Tensor:
    s.b = s.b + 1
    return x + s.b


def _transpose_argument(s: Fn, x: torch.Tensor) -> torch.Tensor:
    x.t_()
    return x + 1


ONE_ARGUMENT: dict[str, Callable[..., Any]] = {
    "write_and_use": _write_and_use,
    "write_and_return": lambda s, x: x.add_(1),
    "write_row": _write_row,
    "write_slice": _write_slice,
    "write_mask": _write_mask,
    "write_and_view": _write_and_view,
    "write_through_view": _write_through_view,
    "write_result": _write_result,
    "inplace_function": lambda s, x: F.relu(x, inplace=True),
    "transpose_argument": _transpose_argument,
    "out_argument": _out_argument,
    "out_of_one": lambda s, x: torch.abs(x - 5, out=torch.empty(3, 4)),
    "out_of_one_argument": lambda s, x: torch.neg(s.w, out=x),
    "out_of_an_argument": lambda s, x: torch.neg(x, out=torch.empty(0)),
    "out_of_two": lambda s, x: torch.sort(
        -x, out=(torch.empty(3, 4), torch.empty(3, 4, dtype=torch.int64))
    ),
    "out_row": lambda s, x: (y := torch.zeros(2, 3, 4), torch.abs(x, out=y[1])),
    "buffer": _buffer,
    "buffer_returned": lambda s, x: s.b.add_(1),
    "buffer_view": _buffer_view,
    "buffer_assigned": _assign_buffer,
    "identity": lambda s, x: x,
    "twice": lambda s, x: (x, x),
    "view": lambda s, x: x.view(4, 3),
    "transpose": lambda s, x: x.t(),
    "expand": lambda s, x: x[:, :1].expand(3, 5),
    "as_strided": lambda s, x: x.as_strided((2, 2), (1, 2)),
    "diagonal": lambda s, x: x.diagonal(),
    "unbind": lambda s, x: torch.unbind(x),
    "chunk": lambda s, x: torch.chunk(x, 2, 1),
    "detach": lambda s, x: x.detach(),
    "to_same": lambda s, x: x.to(torch.float32),
    "to_other": lambda s, x: x.to(torch.float64),
    "contiguous": lambda s, x: x.contiguous(),
    "contiguous_copy": lambda s, x: x.t().contiguous(),
    "reshape_copy": lambda s, x: x.t().reshape(-1),
    "clone": lambda s, x: x.clone(),
    "dropout_in_eval": lambda s, x: F.dropout(x, 0.5, s.training),
    "view_after_dropout": lambda s, x: F.dropout(x.view(4, 3), 0.0, True),
    "parameter": lambda s, x: s.w,
    "parameter_views": lambda s, x: (s.w.t(), s.w[0], s.b),
    "views_of_result": _views_of_result,
    "views_of_hidden": lambda s, x: torch.chunk(x * 2, 2, 1),
    "overlapping_views_of_hidden": lambda s, x: (lambda y: (y[0], y.view(-1)))(x * 2),
    "equal_results": lambda s, x: (x + 0, x * 1, x.mul(1)),
    "tree": lambda s, x: {"a": x, "b": (x + 1, None, 3, "s", 2.5, True)},
    "number": lambda s, x: (x.shape[0], x * 1),
    "nothing": lambda s, x: None,
    "masked": lambda s, x: (x[x > 3], s.b, x),
}


@pytest.mark.parametrize("name", ONE_ARGUMENT)
def test_one_argument(name: str) -> None:
    check(ONE_ARGUMENT[name], _one)


def _write_both(s: Fn, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.add_(y)
    y.mul_(x)
    return x + y


def _swap(s: Fn, x: torch.Tensor, y: torch.Tensor) -> None:
    t = x.clone()
    x.copy_(y)
    y.copy_(t)


TWO_ARGUMENTS: dict[str, Callable[..., Any]] = {
    "write_both": _write_both,
    "swap": _swap,
    "first": lambda s, x, y: x,
    "add": lambda s, x, y: x + y,
    "write_first": lambda s, x, y: x.add_(y),
    "views": lambda s, x, y: (x[0], y[0]),
}


@pytest.mark.parametrize("name", TWO_ARGUMENTS)
def test_two_arguments(name: str) -> None:
    check(TWO_ARGUMENTS[name], _two)


@pytest.mark.parametrize("make", [_same, _views, _overlapping])
@pytest.mark.parametrize("name", ["first", "add", "views"])
def test_arguments_that_share_memory(name: str, make: Callable[[], Any]) -> None:
    check(TWO_ARGUMENTS[name], make)
    check(TWO_ARGUMENTS[name], make, example=_two)


def test_one_tensor_passed_twice_and_written() -> None:
    tess = ts.from_pytorch(Fn(TWO_ARGUMENTS["write_both"]), _same())
    with torch.no_grad(), pytest.raises(ArgumentError, match="shares memory"):
        tess(*_same())
    for make in (_same, _views, _overlapping):
        tess = ts.from_pytorch(Fn(TWO_ARGUMENTS["write_first"]), _two())
        with torch.no_grad(), pytest.raises(ArgumentError, match="shares memory"):
            tess(*make())


def _strided(shape: tuple[int, ...], strides: tuple[int, ...]) -> Callable[[], Any]:
    reach = 1 + sum(max(size - 1, 0) * step for size, step in zip(shape, strides, strict=True))
    return lambda: (torch.arange(float(reach)).as_strided(shape, strides),)


LAYOUTS: dict[str, Callable[[], Any]] = {
    "transposed": lambda: (_numbers((4, 3)).t(),),
    "stepped": lambda: (_numbers((3, 8))[:, ::2],),
    "offset": lambda: (_numbers((13,))[1:].view(3, 4),),
    "far_apart": _strided((3, 4), (1_000_003, 5)),
    "negated": lambda: (torch._neg_view(_numbers()),),
    "parameter": lambda: (nn.Parameter(_numbers()),),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["buffer", "view_of_transpose", "identity", "write_and_return"])
def test_layouts_of_arguments(name: str, layout: str) -> None:
    table = {**ONE_ARGUMENT, "view_of_transpose": lambda s, x: x.transpose(0, 1)}
    check(table[name], LAYOUTS[layout])
    check(table[name], LAYOUTS[layout], example=_one)


@pytest.mark.parametrize("make", [_strided((3, 4), (1, 0)), _strided((3, 4), (1, 1))])
def test_elements_in_one_place(make: Callable[[], Any]) -> None:
    """Expanded tensors and windows may be read; written they have no answer."""
    check(lambda s, x: x * 2 + s.b, make, example=_one)
    tess = ts.from_pytorch(Fn(_write_and_use), _one())
    with torch.no_grad(), pytest.raises(ArgumentError, match="several elements in one place"):
        tess(*make())


EMPTY: dict[str, Callable[..., Any]] = {
    "product": lambda s, x: x @ s.w.t(),
    "product_over_nothing": lambda s, x: x.t().contiguous() @ torch.ones(0, 3) + 1,
    "sum": lambda s, x: x.sum(0),
    "mean": lambda s, x: x.mean(0),
    "softmax": lambda s, x: x.softmax(0),
    "max": lambda s, x: x.max(1),
    "cat": lambda s, x: torch.cat([x, s.w]),
    "write": lambda s, x: x.add_(1),
    "norm": lambda s, x: F.layer_norm(x, (4,)),
    "view": lambda s, x: x.view(4, 0),
    "std": lambda s, x: x.std(0),
    "sort": lambda s, x: x.sort(0),
    "attention": lambda s, x: F.scaled_dot_product_attention(x, s.w, s.w),
    "convolution": lambda s, x: F.conv1d(x[:, None], torch.ones(2, 1, 3)),
    "mask": lambda s, x: x[x > 0],
}


@pytest.mark.parametrize("name", EMPTY)
def test_arguments_without_elements(name: str) -> None:
    check(EMPTY[name], lambda: (torch.empty(0, 4),))


SCALAR: dict[str, Callable[..., Any]] = {
    "add": lambda s, x: x + 1,
    "broadcast": lambda s, x: x * s.w,
    "sum": lambda s, x: x.sum(),
    "view": lambda s, x: x.view(1),
    "sort": lambda s, x: x.sort(),
    "cumsum": lambda s, x: x.cumsum(0),
    "softmax": lambda s, x: x.softmax(0),
    "expand": lambda s, x: x.expand(3),
    "write": lambda s, x: x.add_(1),
    "item": lambda s, x: x.item(),
    "nonzero": lambda s, x: x.nonzero(),
    "mask": lambda s, x: x[x > 0],
}


@pytest.mark.parametrize("name", SCALAR)
def test_arguments_without_dimensions(name: str) -> None:
    check(SCALAR[name], lambda: (torch.tensor(2.5),))


def test_trees_with_plain_values() -> None:
    def make() -> Any:
        return (_numbers(), 3, None, "a", 2.5, True, {"k": [_numbers(), (1, None)]})

    check(lambda s, x, i, n, t, f, b, d: {"r": x * i + f, "n": n, "t": t, "b": b, "d": d}, make)
    check(lambda s, x, i, n, t, f, b, d: [d["k"][0].add_(1), x], make)
