# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators taken out of the supported set: what a model is like of which parts stay in PyTorch."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import fx, nn

from tessera import compat
from tessera.capture.export import Captured, export
from tessera.lowering.importer import Importer
from tessera.lowering.registry import registry


@contextlib.contextmanager
def without(operators: Sequence[str]) -> Iterator[None]:
    """A context in which operators, such as "aten.gelu", run in PyTorch only."""

    def lower(node: Any, ctx: Any) -> Any:
        raise compat.Unsupported("taken out of the supported set", whole=True)

    if not operators:
        yield
        return
    compat.register_aten(*operators)(lower)
    try:
        yield
    finally:
        compat.unregister(lower)


def captured_importer(model: nn.Module, arguments: dict[str, Any]) -> tuple[Captured, Importer]:
    """A model's graph, and what imports it."""
    from tessera import _core

    captured = export(model, (), arguments)
    outputs = [item for item in captured.outputs if isinstance(item, fx.Node)]
    outputs += [node for _, _, node in captured.mutations]
    names = [f"input_{position}" for position in range(len(captured.user_inputs))]
    importer = Importer(captured.program, model, names, outputs, registry, _core.GraphBuilder)
    return captured, importer


def operators_of(nodes: Sequence[fx.Node]) -> list[str]:
    """The names of the operators in a graph that compute something, in alphabetical order."""
    return sorted(
        {
            f"aten.{node.target._schema.name.partition('::')[2]}"
            for node in nodes
            if isinstance(node.target, torch._ops.OpOverload)
            and node.target.namespace == "aten"
            and node.target._schema.returns
            and not node.is_impure()
        }
    )


def drawn(operators: Sequence[str], seed: int, count: int) -> list[str]:
    """`count` of `operators`, at random."""
    return sorted(random.Random(seed).sample(list(operators), min(count, len(operators))))
