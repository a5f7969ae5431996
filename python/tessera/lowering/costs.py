# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the partitioner reckons with: the price of a crossing, and of a node on either side.

docs/decisions/0009-partitioning.md says where the numbers come from.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Prices:
    """Microseconds on one thread, as `python -m benchmarks.crossings` measures them."""

    #: a call of an island, out of compiled code and back
    island: float = 3.0
    #: a tensor that goes into an island or comes out of it
    tensor: float = 0.5
    #: launching what is compiled between two islands
    segment: float = 0.5
    #: an operator of PyTorch's, whatever it computes
    dispatch: float = 1.0
    #: a byte written to memory and read again
    byte: float = 2.5e-5
    #: a byte that crosses: cold caches, a layout of PyTorch's instead of our own
    crossing_byte: float = 0.5e-5
    #: what compiled code saves of a floating-point operation in PyTorch
    flop: float = 5e-6

    def crossing(self, tensors: int, size: int) -> float:
        """What an island costs besides what it computes."""
        return self.island + tensors * self.tensor + size * self.crossing_byte


@dataclass(frozen=True)
class NodeCost:
    """One node."""

    #: operators PyTorch calls for it
    dispatches: int
    #: of its results, as far as they are memory of their own
    bytes: int
    #: compiled code computes it together with its neighbours, without storing what is between
    fuses: bool


class CostModel:
    """Prices of the nodes of one graph."""

    def __init__(self, prices: Prices | None = None) -> None:
        self.prices = prices or Prices()
        self._flops: dict[Any, float | None] = {}

    def of(self, node: fx.Node) -> NodeCost:
        if node.op != "call_function":
            return NodeCost(0, 0, True)
        if node.target is operator.getitem:
            source = node.args[0]
            picked = isinstance(source, fx.Node) and not _is_view(source)
            return NodeCost(0, bytes_of(node) if picked else 0, True)
        several = isinstance(node.meta.get("val"), (tuple, list))
        view = _is_view(node)
        pointwise = torch.Tag.pointwise in getattr(node.target, "tags", ())
        return NodeCost(1, 0 if view or several else bytes_of(node), view or pointwise)

    def flops(self, node: fx.Node) -> float | None:
        """Floating-point operations, as torch counts them; None where that cannot be told."""
        if self.of(node).fuses:
            return 0.0
        if not callable(node.target):
            return None
        values: Any = fx.node.map_arg(
            (node.args, node.kwargs), lambda source: source.meta.get("val")
        )
        key = (node.target, _form(values))
        if key not in self._flops:
            self._flops[key] = _count(node.target, *values)
        return self._flops[key]


def bytes_of(node: fx.Node) -> int:
    """Bytes of the tensors a node gives."""
    total = 0
    for value in pytree.tree_leaves(node.meta.get("val")):
        if isinstance(value, torch.Tensor) and all(isinstance(size, int) for size in value.shape):
            total += value.numel() * value.element_size()
    return total


def _is_view(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.arguments:
        return False
    alias = schema.arguments[0].alias_info
    return alias is not None and not alias.is_write


def _form(values: Any) -> str:
    def show(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return tuple(value.shape), value.dtype
        return value

    return repr(pytree.tree_map(show, values))


def _count(target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    modes = [
        value.fake_mode
        for value in pytree.tree_leaves((args, kwargs))
        if isinstance(value, torch._subclasses.FakeTensor)
    ]
    counter = FlopCounterMode(display=False)
    try:
        if modes:
            with modes[0], counter:
                target(*args, **kwargs)
        else:
            return 0.0
    except Exception:  # an operator torch cannot run on fake tensors is not moved for its price
        return None
    return float(counter.get_total_flops())
