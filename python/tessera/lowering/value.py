# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a value of the graph being built shares with ``ts.Tensor``, so that the same code runs on
both: methods, indexing, and for whatever needs data an explanation.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import Any

import torch

from tessera._operators import OperatorMixin
from tessera.lowering.registry import Unsupported

_NO_DATA = "there is no data while the graph is built"


def _needs_data(what: str, remedy: str) -> Unsupported:
    return Unsupported(f"{what}, and {_NO_DATA}", remedy, code="data-dependent")


class TensorInterface(OperatorMixin):
    """Methods of ``ts.Tensor`` over the functions of ``ts.ops``."""

    __slots__ = ()

    shape: tuple[int, ...]

    @property
    def T(self) -> Any:
        """The dimensions in the opposite order."""
        return _ops().permute(self, list(reversed(range(len(self.shape)))))

    @property
    def mT(self) -> Any:
        """The last two dimensions exchanged."""
        return _ops().transpose(self, -2, -1)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def __getattr__(self, name: str) -> Any:
        function = None if name.startswith("_") else getattr(_ops(), name, None)
        if callable(function):
            return functools.partial(function, self)
        raise AttributeError(f"a traced tensor has no attribute {name!r}")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(_ops().unbind(self))

    def __getitem__(self, index: Any) -> Any:
        return _index(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise Unsupported(
            "an element of a traced tensor is assigned, and values of a graph do not change",
            "compute a new tensor: ts.ops.where, ts.ops.cat, ts.ops.masked_fill",
            code="mutation",
        )

    # --- what only data can answer --------------------------------------------------------

    def __bool__(self) -> bool:
        raise Unsupported(
            "the truth of a tensor is needed while the graph is built, before there is any data",
            "use torch.where (ts.ops.where) instead of a Python if",
            code="data-dependent-branch",
        )

    def _number(self, *_: Any) -> Any:
        raise _needs_data(
            "a tensor's value is needed as a Python number",
            "keep it a tensor, or compute it outside of what is traced",
        )

    __float__ = __int__ = __index__ = __complex__ = item = tolist = _number

    def _memory(self, *_: Any, **__: Any) -> Any:
        raise _needs_data(
            "a tensor's memory is needed",
            "use the functions of ts.ops, or keep this part in a ts.Module of its own, which then "
            "runs as it is",
        )

    __array__ = numpy = torch = data_ptr = _memory


def _ops() -> Any:
    # Late, since ts.ops itself is built from graph values.
    return importlib.import_module("tessera.ops")


def _index(value: Any, index: Any) -> Any:
    """value[index] by torch's rules, except for masks, whose result has no known shape."""
    items = _expand_ellipsis(index if isinstance(index, tuple) else (index,), len(value.shape))
    ops, dim = _ops(), 0
    gathered: list[Any] = []
    for item in items:
        if item is None:
            value = ops.unsqueeze(value, dim)
        elif isinstance(item, slice):
            start, stop, step = item.start, item.stop, item.step
            if (start, stop, step) != (None, None, None):
                value = ops.slice(value, dim, start, stop, 1 if step is None else step)
        elif isinstance(item, int) and not isinstance(item, bool):
            value = ops.select(value, dim, item)
            continue
        else:
            gathered += [None] * (dim - len(gathered)) + [_indices(item)]
        dim += 1
    return ops.index(value, gathered) if gathered else value


def _expand_ellipsis(items: tuple[Any, ...], rank: int) -> list[Any]:
    used = sum(item is not None and item is not Ellipsis for item in items)
    ellipses = sum(item is Ellipsis for item in items)
    if used > rank or ellipses > 1:
        raise IndexError(f"too many indices for a tensor of {rank} dimensions: {items!r}")
    if not ellipses:
        return list(items)
    at = next(position for position, item in enumerate(items) if item is Ellipsis)
    return [*items[:at], *[slice(None)] * (rank - used), *items[at + 1 :]]


def _indices(item: Any) -> Any:
    dtype = getattr(item, "dtype", None)
    if isinstance(item, bool) or dtype in (torch.bool, torch.uint8):
        raise _needs_data(
            "the shape of what a mask selects depends on data", "use ts.ops.where(mask, x, 0)"
        )
    return torch.tensor(item) if isinstance(item, (list, tuple, range)) else item
