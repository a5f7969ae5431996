# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Lowering a node that takes or gives complex tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import fx
from torch.utils import _pytree as pytree

from tessera.capture.decompose import trace_decomposition
from tessera.lowering.complexes.fourier import TRANSFORMS
from tessera.lowering.complexes.pairs import trace, translation_of
from tessera.lowering.complexes.value import complex_constant, is_complex, parts_of, regrouped
from tessera.lowering.outcome import Done, Failure
from tessera.lowering.registry import Unsupported

if TYPE_CHECKING:
    from tessera.lowering.nodes import NodeLowering

#: What is computed while importing, in bytes at most.
MAX_KNOWN_BYTES = 1 << 18


def takes_complex(node: fx.Node) -> bool:
    """Whether complex tensors are among the arguments or the results of a node."""
    return is_complex(node.meta.get("val")) or any(
        is_complex(source.meta.get("val")) for source in node.all_input_nodes
    )


def lower_complex(lowering: NodeLowering, node: fx.Node, depth: int) -> Done | Failure:
    """Through real tensors; or a failure that names the operator."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return Failure("complex", f"{target} takes complex numbers")
    transform = TRANSFORMS.get(target._schema.name)
    if transform is not None:
        return _transform(lowering, node, transform)
    function = translation_of(target)
    if node not in lowering.decompositions:
        lowering.decompositions[node] = (
            trace_decomposition(node) if function is None else trace(node, function)
        )
    body = lowering.decompositions[node]
    if body is None:
        return _known(lowering, node) or Failure(
            "complex",
            f"{target} has no form for complex numbers",
            "write it in real numbers (torch.view_as_real), or leave it in PyTorch",
        )
    return _inlined(lowering, node, body, depth, function is not None)


def _transform(lowering: NodeLowering, node: fx.Node, transform: Any) -> Done | Failure:
    ctx = lowering.context
    try:
        result = transform(ctx, *ctx.get_inputs(node), **ctx.get_kwargs(node))
    except Unsupported as error:
        return Failure(error.code, error.reason, error.remedy)
    ctx.bind(node, result)
    return Done("compiled", "graph.fft")


def _inlined(
    lowering: NodeLowering, node: fx.Node, body: fx.GraphModule, depth: int, real: bool
) -> Done | Failure:
    """Lowers `body` in place of the node; `real` where it is in terms of the parts."""
    ctx = lowering.context
    operands = [
        ctx.map(item)
        for item in pytree.tree_leaves((node.args, node.kwargs))
        if isinstance(item, fx.Node) and isinstance(item.meta.get("val"), torch.Tensor)
    ]
    if real:
        operands = [part for operand in operands for part in parts_of(operand)]
    outcome = lowering.inline(node, body, operands, depth)
    if isinstance(outcome, Failure):
        return outcome
    if real:
        ctx.bind(node, regrouped(ctx.lookup(node), node.meta.get("val")))
    problem = lowering.difference(node)
    if problem:
        return Failure("complex", f"what {node.target} becomes in real numbers {problem}")
    names = dict.fromkeys(
        str(inner.target) for inner in body.graph.nodes if inner.op == "call_function"
    )
    return Done("decomposed", ", ".join(names))


def _known(lowering: NodeLowering, node: fx.Node) -> Done | None:
    """Computes now what is made from nothing but numbers."""
    meta: Any = node.meta.get("val")
    assert isinstance(node.target, torch._ops.OpOverload)
    if (
        node.all_input_nodes
        or torch.Tag.nondeterministic_seeded in node.target.tags
        or not isinstance(meta, torch.Tensor)
        or meta.numel() * meta.element_size() > MAX_KNOWN_BYTES
    ):
        return None
    lowering.context.bind(
        node, complex_constant(lowering.context, node.target(*node.args, **node.kwargs))
    )
    return Done("folded", "known while importing")
