# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Taking operators apart, one at a time, while importing.

``ExportedProgram.run_decompositions`` traces the whole program again, which costs more than
everything Tessera does; here only operators without a lowering are traced, each on its own, into
a small graph of simpler operators.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from tessera.capture import autocast

#: In-place by name only: nothing that anyone can see changes.
_HARMLESS = {"aten::detach_", "aten::lift_fresh", "aten::requires_grad_"}


def is_mutating(node: fx.Node) -> bool:
    """Whether a node writes to one of its arguments."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return False
    return target._schema.is_mutable and target._schema.name not in _HARMLESS


def needs_functionalization(program: ExportedProgram) -> bool:
    """Whether the graph has in-place operators or autocast regions (also in its subgraphs).

    Under autocast it does as a whole: functionalizing writes the casts out.
    """
    if autocast.state() is not None:
        return True
    for module in program.graph_module.modules():
        if not isinstance(module, fx.GraphModule):
            continue
        for node in module.graph.nodes:
            if node.target is torch.ops.higher_order.wrap_with_autocast:
                return True
            if node.op == "call_function" and is_mutating(node):
                return True
    return False


def functionalize(program: ExportedProgram) -> ExportedProgram:
    """The program without in-place operators; every operator that could be kept is kept whole."""
    result: ExportedProgram = program.run_decompositions({})
    return result


@functools.cache
def _core_table() -> dict[Any, Callable[..., Any]]:
    return dict(torch.export.default_decompositions().items())


def decomposition_of(op: Any) -> Callable[..., Any] | None:
    """PyTorch's own decomposition of an operator: core ATen's table first, then all others."""
    table = _core_table()
    if op in table:
        return table[op]
    general: dict[Any, Callable[..., Any]] = torch._decomp.decomposition_table
    if op in general:
        return general[op]
    if isinstance(op, torch._ops.OpOverload) and op._can_decompose():
        return op.decompose
    return None


def _draws_random_numbers(op: Any) -> bool:
    # Taken apart it would draw others than PyTorch draws from the same seed.
    return isinstance(op, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in op.tags


def trace_decomposition(node: fx.Node) -> fx.GraphModule | None:
    """The graph `node` decomposes into, on the fake tensors of its arguments.

    Placeholders are the tensors among the node's flattened arguments, in order. None when the
    operator has no decomposition, or only into itself.
    """
    decomposition = decomposition_of(node.target)
    if decomposition is None or _draws_random_numbers(node.target):
        return None
    flat, spec = pytree.tree_flatten((node.args, node.kwargs))
    values = [item.meta.get("val") if isinstance(item, fx.Node) else item for item in flat]
    positions = [index for index, value in enumerate(values) if isinstance(value, torch.Tensor)]
    if any(not isinstance(values[index], FakeTensor) for index in positions):
        return None
    first: Any = values[positions[0]] if positions else None
    mode = FakeTensorMode() if first is None else first.fake_mode

    def run(*tensors: torch.Tensor) -> Any:
        leaves = list(values)
        for index, tensor in zip(positions, tensors, strict=True):
            leaves[index] = tensor
        args, kwargs = pytree.tree_unflatten(leaves, spec)
        result = decomposition(*args, **kwargs)
        if result is NotImplemented:
            raise NotImplementedError(str(node.target))
        return result

    try:
        with mode, torch.no_grad():
            graph = make_fx(run, tracing_mode="real")(*(values[index] for index in positions))
    except Exception:  # a decomposition may fail on any input, in any way: the op stays whole
        return None
    for inner in graph.graph.nodes:
        if inner.target is node.target or (inner.op == "call_function" and is_mutating(inner)):
            return None
    return graph
