# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Outputs that share memory with inputs, parameters or one another, as eager PyTorch gives them.

Read from the graph before functionalization, where in-place operators and views still say whose
memory they are.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from tessera.capture.decompose import is_mutating


@dataclass(frozen=True)
class ViewStep:
    """One view operator; its first argument is the tensor viewed."""

    target: Any
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]

    def apply(self, value: Any) -> Any:
        return self.target(value, *self.args, **dict(self.kwargs))


@dataclass(frozen=True)
class Alias:
    """`steps` applied to what `base` holds."""

    base: fx.Node
    steps: tuple[ViewStep, ...]

    def replay(self, value: torch.Tensor) -> torch.Tensor:
        result: Any = value
        for step in self.steps:
            result = step.apply(result)
        assert isinstance(result, torch.Tensor)
        return result


def alias_of(node: fx.Node) -> Alias | None:
    """The node whose memory `node` is a view of (itself, when it owns its memory).

    None when the way there cannot be replayed.
    """
    steps: list[ViewStep] = []
    current = node
    while True:
        if current.op != "call_function" or not current.args:
            break
        written = _written(current)
        if written is not None:
            current = written
            continue
        source = current.args[0]
        if not isinstance(source, fx.Node) or is_mutating(current):
            break
        if _is_idle_dropout(current):
            current = source
            continue
        if not _is_view(current):
            break
        if any(isinstance(item, fx.Node) for item in current.all_input_nodes if item is not source):
            return None
        kwargs = tuple(current.kwargs.items())
        steps.append(ViewStep(current.target, tuple(current.args[1:]), kwargs))
        current = source
    alias = Alias(current, tuple(reversed(steps)))
    return alias if _stays_a_view(alias) else Alias(node, ())


_DROPOUTS = ("aten::dropout", "aten::alpha_dropout", "aten::feature_dropout")


def _is_idle_dropout(node: fx.Node) -> bool:
    """Whether a node is a dropout that drops nothing, which returns its argument."""
    name = getattr(getattr(node.target, "_schema", None), "name", "")
    return name in _DROPOUTS and (node.args[2:3] == (False,) or node.args[1:2] in ((0,), (0.0,)))


def _written(node: fx.Node) -> fx.Node | None:
    """The argument that `node` writes to and returns: `self` of in-place operators, `out`.

    Of operators with several results `node` is the choice of one.
    """
    call, place = node, 0
    if node.target is operator.getitem and isinstance(node.args[0], fx.Node):
        call, place = node.args[0], int(node.args[1])  # type: ignore[arg-type]
    if call.op != "call_function" or not is_mutating(call):
        return None
    schema = call.target._schema  # type: ignore[union-attr]
    returned = schema.returns[place].alias_info if place < len(schema.returns) else None
    if returned is None or (call is node and len(schema.returns) > 1):
        return None
    for index, argument in enumerate(schema.arguments):
        info = argument.alias_info
        if info is not None and info.is_write and info.before_set == returned.before_set:
            given = call.args[index] if index < len(call.args) else call.kwargs.get(argument.name)
            return given if isinstance(given, fx.Node) else None
    return None


def _is_view(node: fx.Node) -> bool:
    if node.target is operator.getitem:
        source = node.args[0]
        return isinstance(source, fx.Node) and _is_view(source)
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    schema = node.target._schema
    first = schema.arguments[0].alias_info if schema.arguments else None
    return (
        first is not None
        and not first.is_write
        and any(item.alias_info is not None or "[]" in str(item.type) for item in schema.returns)
    )


def _stays_a_view(alias: Alias) -> bool:
    """Whether replaying gives a view: reshape, contiguous and `to` copy where they must."""
    if not alias.steps:
        return True
    fake = alias.base.meta.get("val")
    if not isinstance(fake, torch.Tensor):
        return False
    try:
        base = torch.empty_strided(
            [int(size) for size in fake.shape],
            [int(stride) for stride in fake.stride()],
            dtype=fake.dtype,
            device="meta",
        )
        result = alias.replay(base)
    except (RuntimeError, TypeError, ValueError, AssertionError, IndexError):
        return False
    return bool(result.untyped_storage()._cdata == base.untyped_storage()._cdata)


def output_aliases(outputs: Sequence[Any]) -> list[Alias | None]:
    """For each output of the raw graph, the memory it is a view of."""
    return [alias_of(item) if isinstance(item, fx.Node) else None for item in outputs]
