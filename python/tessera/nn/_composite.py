# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of PyTorch that are made of several operators, on tensors and graph values.

PyTorch's own code is run once on tensors without data; the operators it calls are lowered like
those of a captured model. So arguments, defaults and complaints are PyTorch's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes

from tessera.capture import autocast
from tessera.capture.decompose import of_tensors, trace_call
from tessera.errors import NotYetSupportedError
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.nodes import NodeLowering
from tessera.lowering.outcome import Failure
from tessera.lowering.registry import Unsupported, registry
from tessera.nn._fallback import in_pytorch
from tessera.ops._check import COMPOSITE
from tessera.ops._dispatch import find_context, operands_of
from tessera.tracing.active import building


def composite(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`function` of PyTorch: built where there are graph values or a graph is being built, run
    compiled on tensors, and run by PyTorch where it cannot be compiled."""
    context = find_context((args, kwargs)) or building()
    if context is not None:
        context.begin_operator(name, f"torch.nn.{name}")
        given, named = operands_of(context, (args, kwargs))
        with _disable_current_modes():
            return context.results(_lower(function, context, given, named))

    def lower(context: LoweringContext, *args: Any, **kwargs: Any) -> Any:
        return _lower(function, context, args, kwargs)

    from tessera.ops._eager import run

    try:
        return run(f"{name}.{COMPOSITE}", lower, args, kwargs)
    except NotYetSupportedError as error:
        reason = error.message.removeprefix(f"[{name}] ")
    return in_pytorch(name, reason, function, *args, **kwargs)


def _lower(
    function: Callable[..., Any], context: LoweringContext, args: Any, kwargs: dict[str, Any]
) -> Any:
    """What `function` gives for graph values."""
    call, operands = of_tensors(function, GraphValue, tuple(args), kwargs)
    graph = _traced(call, operands)
    lowering = NodeLowering(context, registry, graph, {})
    values = iter(operands)
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            context.bind(node, next(values))
        elif node.op == "output":
            return context.map(node.args[0])
        else:
            outcome = lowering.lower(node)
            if isinstance(outcome, Failure):
                reason = f"{node.target} is not compiled: {outcome.reason}"
                raise Unsupported(reason, outcome.remedy, code=outcome.code)
    raise AssertionError("a graph ends in its output")


def _traced(function: Callable[..., Any], operands: list[GraphValue]) -> fx.GraphModule:
    """The operators `function` calls for tensors in the form of `operands`."""
    mode = FakeTensorMode()
    with mode:
        fakes = [torch.empty(item.shape, dtype=item.dtype) for item in operands]
    try:
        with autocast.suspended(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = trace_call(function, fakes, mode)
    except Exception as error:
        # PyTorch on tensors with data either knows the answer or complains in its own words.
        raise Unsupported(
            f"PyTorch does not tell its operators without data: {error}", code="trace-failed"
        ) from error
    if graph is None:
        raise Unsupported("it writes to its arguments", "use the form that gives a new tensor")
    return graph
