# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A captured program and its derivatives as one graph.

PyTorch's own tracing of autograd (``aot_export_joint_with_descriptors``) runs the captured graph
and its backward pass, so every derivative is PyTorch's formula for the operator, and every node
keeps the module path and source line of what it is, or is the derivative of.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export.graph_signature import InputKind, InputSpec, TensorArgument

from tessera.capture.export import Captured, quiet
from tessera.capture.specialize import owner_of
from tessera.errors import CaptureError


@dataclass(frozen=True)
class JointSignature:
    """What the placeholders of a joint graph are."""

    input_specs: list[InputSpec]


@dataclass(frozen=True)
class JointProgram:
    """What the importer reads of an ExportedProgram, with derivatives."""

    graph: fx.Graph
    graph_module: fx.GraphModule
    graph_signature: JointSignature
    state_dict: Mapping[str, Any]
    constants: Mapping[str, Any]
    #: the nodes that depend on a gradient of the results: they run in the backward pass
    late: frozenset[fx.Node]


@dataclass(frozen=True)
class Joint:
    """Forward and backward of a captured program in one graph.

    Its inputs are those of the program, then a gradient for each of the results `tangents` names.
    """

    program: Any
    #: the nodes asked for, in this graph
    results: list[fx.Node]
    #: the numbers of those that have a gradient
    tangents: list[int]
    #: by the name of a placeholder of the captured program: its gradient; None where nothing that
    #: has a gradient depends on it
    gradients: dict[str, fx.Node | None]


def capture_joint(
    captured: Captured, results: Sequence[fx.Node], differentiated: Collection[str]
) -> Joint:
    """Traces the backward pass of `captured` from `results`, nodes of it, to the placeholders named
    in `differentiated`. Torch's errors pass through."""
    # Imports dynamo, which takes seconds: only who trains waits for that.
    from torch._functorch.aot_autograd import aot_export_joint_with_descriptors

    program = captured.program
    given = [node for node in program.graph.nodes if node.op == "placeholder"]
    module = _module_of(captured, results)
    inputs = _fake_inputs(given, differentiated)
    with quiet(), torch.enable_grad(), contextlib.ExitStack() as stack:
        traced: Any = aot_export_joint_with_descriptors(stack, module, inputs)
        joint: fx.GraphModule = traced.graph_module
    placeholders = [node for node in joint.graph.nodes if node.op == "placeholder"]
    output = joint.graph.output_node()
    outputs: Sequence[Any] = output.args[0]  # type: ignore[assignment]
    kinds = output.meta["desc"]
    found: list[fx.Node | None] = [None] * len(results)
    gradients: dict[str, fx.Node | None] = dict.fromkeys(differentiated)
    for node, kind in zip(outputs, kinds, strict=True):
        if kind is None:
            continue
        if hasattr(kind, "grad_of"):
            gradients[given[kind.grad_of.idx].name] = node
        else:
            found[kind.idx] = node
    specs = [
        InputSpec(spec.kind, TensorArgument(node.name), spec.target, spec.persistent)
        for spec, node in zip(program.graph_signature.input_specs, placeholders, strict=False)
    ]
    tangents = placeholders[len(given) :]
    if any(not hasattr(node.meta["desc"], "output") for node in tangents):
        raise CaptureError("the backward pass orders what PyTorch does by side effects")
    specs += [InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None) for node in tangents]
    return Joint(
        JointProgram(
            joint.graph,
            joint,
            JointSignature(specs),
            program.state_dict,
            program.constants,
            _depending_on(tangents),
        ),
        [node for node in found if node is not None],
        [node.meta["desc"].output.idx for node in tangents],
        gradients,
    )


def _depending_on(sources: Sequence[fx.Node]) -> frozenset[fx.Node]:
    found: set[fx.Node] = set()
    open_nodes = list(sources)
    while open_nodes:
        for user in open_nodes.pop().users:
            if user not in found and user.op != "output":
                found.add(user)
                open_nodes.append(user)
    return frozenset(found)


def _module_of(captured: Captured, results: Sequence[fx.Node]) -> fx.GraphModule:
    """The captured graph, ending in `results`, as a function of all its placeholders."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in captured.program.graph.nodes:
        if node.op != "output":
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in results))
    graph.eliminate_dead_code()
    return fx.GraphModule(owner_of(captured.program), graph)


def _fake_inputs(
    placeholders: Sequence[fx.Node], differentiated: Collection[str]
) -> tuple[Any, ...]:
    """Tensors without data in the form of the placeholders, in a mode of their own: what tracing
    learns of them must not get into the captured graph."""
    inputs: list[Any] = []
    with FakeTensorMode():
        for node in placeholders:
            value = node.meta["val"]
            inputs.append(
                torch.empty_strided(
                    value.shape,
                    value.stride(),
                    dtype=value.dtype,
                    requires_grad=node.name in differentiated,
                )
                if isinstance(value, torch.Tensor)
                else value
            )
    return tuple(inputs)
