# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators whose result's size depends on data, each as two operators of fixed size.

The *measure* computes the one number the size follows from, a 0-d tensor; once that number is
known, the *build* computes the result. Both are plain PyTorch over other ATen operators. A measure
that finds arguments PyTorch refuses is negative, which is no size: PyTorch then says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

Measure = Callable[..., torch.Tensor]
Build = Callable[..., Any]
_aten = torch.ops.aten
_MASKS = (torch.bool, torch.uint8)


@dataclass(frozen=True)
class Sized:
    """`measure(*args)` gives the size, `build(size, *args)` the operator's result of that size."""

    measure: Measure
    build: Build
    #: whether the two stand for the operator with these arguments
    applies: Callable[..., bool] = lambda *args, **kwargs: True


# --- places of elements ----------------------------------------------------------------------


def _count(self: torch.Tensor) -> torch.Tensor:
    return torch.count_nonzero(self)


def _places(size: int, self: torch.Tensor) -> torch.Tensor:
    return torch.nonzero_static(self, size=size)


def _columns(size: int, self: torch.Tensor) -> list[torch.Tensor]:
    self = self if self.ndim else self.reshape(1)
    return list(_places(size, self).unbind(1))


# --- masks -----------------------------------------------------------------------------------


def _mask_of(indices: Sequence[torch.Tensor | None]) -> torch.Tensor:
    return next(item for item in indices if item is not None and item.dtype in _MASKS)


def _one_mask(self: torch.Tensor, indices: Sequence[torch.Tensor | None]) -> bool:
    masks = [item for item in indices if item is not None and item.dtype in _MASKS]
    return len(masks) == 1 and masks[0].ndim > 0


def _count_mask(self: torch.Tensor, indices: Sequence[torch.Tensor | None]) -> torch.Tensor:
    return torch.count_nonzero(_mask_of(indices))


def _index(size: int, self: torch.Tensor, indices: Sequence[torch.Tensor | None]) -> torch.Tensor:
    mask = _mask_of(indices)
    if all(item is None or item is mask for item in indices):
        # The masked dimensions are one dimension to choose from.
        first = [item is mask for item in indices].index(True)
        after = self.shape[first + mask.ndim :]
        rows = self.reshape((*self.shape[:first], mask.numel(), *after))
        return rows.index_select(first, _places(size, mask.reshape(-1))[:, 0])
    given: list[torch.Tensor | None] = []
    for item in indices:
        given += _columns(size, mask) if item is mask else [item]
    result: torch.Tensor = _aten.index.Tensor(self, given)
    return result


def _count_selected(self: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.count_nonzero(mask.expand(torch.broadcast_shapes(self.shape, mask.shape)))


def _select(size: int, self: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    shape = torch.broadcast_shapes(self.shape, mask.shape)
    places = _places(size, mask.expand(shape).reshape(-1))[:, 0]
    return self.expand(shape).reshape(-1).index_select(0, places)


# --- runs of equal elements ------------------------------------------------------------------


def _starts(row: torch.Tensor) -> torch.Tensor:
    """Where in a vector a run of equal elements begins; NaN equals nothing."""
    first = torch.full((min(row.numel(), 1),), True, dtype=torch.bool)
    return torch.cat([first, row[1:] != row[:-1]])


def _runs(
    size: int,
    self: torch.Tensor,
    row: torch.Tensor,
    order: torch.Tensor | None,
    inverse: bool,
    counts: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    starts = _starts(row)
    places = _places(size, starts)[:, 0]
    none = torch.empty((0,), dtype=torch.int64)
    group, lengths = none, none
    if inverse:
        group = starts.cumsum(0) - 1
        if order is not None:
            group = torch.scatter(torch.zeros_like(group), 0, order, group)
        group = group.reshape(self.shape)
    if counts:
        ends = torch.cat([places[1:], torch.full((min(size, 1),), row.numel())])
        lengths = ends - places
    return row.index_select(0, places), group, lengths


def _count_unique(self: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return _starts(self.reshape(-1).sort().values).sum()


def _unique(
    size: int,
    self: torch.Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> Any:
    # PyTorch sorts on the CPU whether it is asked to or not.
    row, order = self.reshape(-1).sort(stable=True)
    return _runs(size, self, row, order, return_inverse, return_counts)


def _count_runs(self: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return _starts(self.reshape(-1)).sum()


def _unique_consecutive(
    size: int,
    self: torch.Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    return _runs(size, self, self.reshape(-1), None, return_inverse, return_counts)


def _is_flat(
    self: torch.Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> bool:
    return dim is None


# --- repeats and counts ----------------------------------------------------------------------


def _unless(bad: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    return torch.where(bad, -1, count)


def _sum_repeats(repeats: torch.Tensor, **_: Any) -> torch.Tensor:
    return _unless((repeats < 0).any(), repeats.sum())


def _repeat_places(size: int, repeats: torch.Tensor, **_: Any) -> torch.Tensor:
    # In the type of the repeats, as PyTorch gives it.
    places = torch.searchsorted(
        repeats.cumsum(0), torch.arange(size, dtype=torch.int64), right=True
    )
    return places.to(repeats.dtype)


def _repeats_along(self: torch.Tensor, repeats: torch.Tensor, dim: int | None) -> torch.Tensor:
    count = self.numel() if dim is None else (self.shape[dim] if self.ndim else 1)
    return repeats.reshape(-1).expand(count) if repeats.numel() == 1 else repeats


def _sum_repeats_of(
    self: torch.Tensor, repeats: torch.Tensor, dim: int | None = None, **_: Any
) -> torch.Tensor:
    return _sum_repeats(_repeats_along(self, repeats, dim))


def _repeat(
    size: int, self: torch.Tensor, repeats: torch.Tensor, dim: int | None = None, **_: Any
) -> torch.Tensor:
    places = _repeat_places(size, _repeats_along(self, repeats, dim)).to(torch.int64)
    source = self.reshape(-1) if dim is None or not self.ndim else self
    return source.index_select(0 if dim is None or not self.ndim else dim, places)


def _count_bins(
    self: torch.Tensor, weights: torch.Tensor | None = None, minlength: int = 0
) -> torch.Tensor:
    if not self.numel():
        return torch.full((), minlength, dtype=torch.int64)
    wide = self.to(torch.int64)
    return _unless((wide < 0).any(), (wide.max() + 1).clamp(min=minlength))


def _bincount(
    size: int, self: torch.Tensor, weights: torch.Tensor | None = None, minlength: int = 0
) -> torch.Tensor:
    if weights is None:
        weights = torch.ones(self.shape, dtype=torch.int64)
    elif weights.dtype != torch.float32:
        weights = weights.to(torch.float64)
    room = torch.zeros((size,), dtype=weights.dtype)
    return torch.scatter_add(room, 0, self.to(torch.int64), weights)


SIZED: dict[Any, Sized] = {
    _aten.nonzero.default: Sized(_count, _places),
    _aten.argwhere.default: Sized(_count, _places),
    _aten.nonzero_numpy.default: Sized(_count, _columns),
    _aten.where.default: Sized(_count, _columns),
    _aten.index.Tensor: Sized(_count_mask, _index, _one_mask),
    _aten.masked_select.default: Sized(_count_selected, _select),
    _aten._unique2.default: Sized(_count_unique, _unique),
    _aten.unique_consecutive.default: Sized(_count_runs, _unique_consecutive, _is_flat),
    _aten.repeat_interleave.Tensor: Sized(_sum_repeats, _repeat_places),
    _aten.repeat_interleave.self_Tensor: Sized(_sum_repeats_of, _repeat),
    _aten.bincount.default: Sized(_count_bins, _bincount),
}


def _value(item: Any) -> Any:
    return item.meta.get("val") if isinstance(item, fx.Node) else item


def sized_operator(node: fx.Node) -> Sized | None:
    """What stands for `node`; None where nothing does."""
    sized = SIZED.get(node.target) if node.op == "call_function" else None
    if sized is None:
        return None
    args, kwargs = pytree.tree_map(_value, (node.args, node.kwargs))
    return sized if sized.applies(*args, **kwargs) else None
